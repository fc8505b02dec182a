"""Whether the trees of a loaded model can be walked: their libraries follow indices without a look.

A type on the allow-list says nothing about its content: a node whose child or feature lies outside its
array reads foreign memory at the first prediction (scikit-learn pull request 34558).
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

Flags = npt.NDArray[np.bool_]


def unsound_trees(model: Any) -> list[str]:
    """Return what is wrong with the trees in `model`, in words; empty when each can be walked.

    A walk is safe when each inner node's children lie behind it and inside the array (so it ends), its
    feature is one of the model's, and the arrays that it indexes are as long as it thinks.
    """
    return [
        f"{type(tree).__name__} {problem}" for tree, width in _trees(model) for problem in _check(tree, width)
    ]


def _trees(root: Any) -> Iterator[tuple[Any, int | None]]:
    """Yield each tree with the number of features of the estimator that holds it."""
    seen: set[int] = set()
    todo: list[tuple[Any, int | None]] = [(root, None)]
    while todo:
        item, width = todo.pop()
        if id(item) in seen or isinstance(item, str | bytes | int | float | None):
            continue
        seen.add(id(item))
        if type(item).__name__ in {"Tree", "TreePredictor"}:
            yield item, width
        elif isinstance(item, dict):
            todo += [(value, width) for value in item.values()]
        elif isinstance(item, list | tuple | set):
            todo += [(value, width) for value in item]
        elif isinstance(item, np.ndarray):
            todo += [(value, width) for value in item.ravel()] if item.dtype == object else []
        elif hasattr(item, "__dict__"):
            own = vars(item).get("n_features_in_", width)
            todo += [(value, own) for value in vars(item).values()]


def _check(tree: Any, width: int | None) -> Iterator[str]:
    if type(tree).__name__ == "Tree":
        yield from _check_tree(tree, width)
    else:
        yield from _check_predictor(tree, width)


def _check_tree(tree: Any, width: int | None) -> Iterator[str]:
    left, right, feature = (np.asarray(a) for a in (tree.children_left, tree.children_right, tree.feature))
    count = int(tree.node_count)
    if width is not None and tree.n_features > width:
        yield f"has {tree.n_features} features, its model {width}"
    if tree.value.shape[0] != count or left.size != count or count == 0:
        yield f"has {count} nodes and {tree.value.shape[0]} values"
        return
    inner = left != -1
    if not _descends(left, right, inner):
        yield "has a child outside its nodes"
    if not bool(np.all((feature[inner] >= 0) & (feature[inner] < tree.n_features))):
        yield "has a feature outside its model"


def _check_predictor(tree: Any, width: int | None) -> Iterator[str]:
    nodes = getattr(tree, "nodes", None)
    fields = ("left", "right", "feature_idx", "is_leaf", "is_categorical", "bitset_idx")
    if not isinstance(nodes, np.ndarray) or not set(fields) <= set(nodes.dtype.names or ()) or not nodes.size:
        yield "has no nodes"
        return
    inner = nodes["is_leaf"] == 0
    if not _descends(nodes["left"].astype(np.int64), nodes["right"].astype(np.int64), inner):
        yield "has a child outside its nodes"
    feature = nodes["feature_idx"][inner]
    if width is None or not bool(np.all((feature >= 0) & (feature < width))):
        yield "has a feature outside its model"
    bitsets = np.asarray(getattr(tree, "raw_left_cat_bitsets", np.empty((0, 8))))
    used = nodes["bitset_idx"][inner & (nodes["is_categorical"] != 0)]
    if used.size and (bitsets.ndim != 2 or bitsets.shape[1] != 8 or int(used.max()) >= bitsets.shape[0]):  # noqa: PLR2004
        yield "has a category set outside its sets"


def _descends(left: npt.NDArray[Any], right: npt.NDArray[Any], inner: Flags) -> bool:
    here = np.flatnonzero(inner)
    return all(bool(np.all((child[inner] > here) & (child[inner] < inner.size))) for child in (left, right))
