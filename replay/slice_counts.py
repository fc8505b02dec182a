"""How many rows of each value of each feature differ, counted as the rows stream by."""

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from replay.columns import FEATURE

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

VALUES_MAX = 50
PARTS = 10
# Numbers are cut at the quantiles of so many of them.
CUT_BY = 65_536
MISSING, OTHER = "(missing)", "(other)"
_DIGITS = range(6, 18)  # 17 tell any two doubles apart


@dataclass(slots=True)
class _Waiting:
    """Numbers that wait for more of them, to be cut by; `finite` of them can be."""

    rows: list[tuple[Floats, Flags]] = field(default_factory=list)
    finite: int = 0


@dataclass(slots=True)
class Slices:
    """The counts, (rows, differing rows) of each slice.

    Numbers are cut into PARTS at the quantiles of the first CUT_BY that are seen; of a category the first
    VALUES_MAX values have their own count, the rest are "(other)". Where one batch of rows ends and the next
    begins changes nothing: the same decisions come in other batches once they are sealed.
    """

    counts: dict[str, dict[str, tuple[int, int]]] = field(default_factory=dict)
    _waiting: dict[str, _Waiting] = field(default_factory=dict)
    _edges: dict[str, Floats] = field(default_factory=dict)

    def update(self, features: pa.RecordBatch, differs: Flags) -> None:
        """Count these rows; columns that are neither numbers, booleans nor text are left out."""
        for name in features.schema.names:
            column, own = features.column(name), name.removeprefix(FEATURE)
            if pa.types.is_dictionary(column.type):
                column = column.cast(column.type.value_type)
            kind = column.type
            if pa.types.is_boolean(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind):
                self._count(own, pc.fill_null(column.cast(pa.string()), MISSING), differs)
            elif pa.types.is_floating(kind) or pa.types.is_integer(kind):
                # Not safe: an integer beyond 2**53 is as near to its part as a double can say.
                values = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
                self._number(own, np.asarray(values, dtype=np.float64), differs)

    def finish(self) -> None:
        """Count the numbers that waited for more of them, to be cut by."""
        for name in sorted(self._waiting):
            self._cut(name)

    def _number(self, name: str, values: Floats, differs: Flags) -> None:
        if name in self._edges:
            self._count_parts(name, values, differs)
            return
        waiting = self._waiting.setdefault(name, _Waiting())
        waiting.rows.append((values, differs))
        waiting.finite += int(np.isfinite(values).sum())
        if waiting.finite >= CUT_BY:
            self._cut(name)

    def _cut(self, name: str) -> None:
        """Choose where a feature's parts begin, and count what waited for it."""
        waiting = self._waiting.pop(name).rows
        seen = np.concatenate([values[np.isfinite(values)] for values, _differs in waiting])[:CUT_BY]
        shares = np.linspace(0, 1, PARTS + 1)[1:-1]
        self._edges[name] = np.unique(np.quantile(seen, shares)) if seen.size else seen
        for values, differs in waiting:
            self._count_parts(name, values, differs)

    def _count_parts(self, name: str, values: Floats, differs: Flags) -> None:
        edges, missing = self._edges[name], np.isnan(values)
        names = [*part_names(edges), MISSING]
        part = np.where(missing, len(names) - 1, np.searchsorted(edges, values, side="right"))
        self._count(name, pa.DictionaryArray.from_arrays(pa.array(part), names), differs)

    def _count(self, name: str, labels: pa.Array, differs: Flags) -> None:
        own = self.counts.setdefault(name, {})
        told = labels if pa.types.is_dictionary(labels.type) else labels.dictionary_encode()
        at = np.asarray(told.indices.to_numpy(zero_copy_only=False), dtype=np.int64)
        size = len(told.dictionary)
        rows, differing = np.bincount(at, minlength=size), np.bincount(at[differs], minlength=size)
        for value, here, differ in zip(told.dictionary.to_pylist(), rows, differing, strict=True):
            if here:
                shown = value if value in own or len(own) < VALUES_MAX else OTHER
                before = own.get(shown, (0, 0))
                own[shown] = (before[0] + int(here), before[1] + int(differ))


def part_names(edges: Floats) -> list[str]:
    """Return what the parts between increasing edges are called, with digits enough to tell them apart.

    >>> part_names(np.array([1.0, 2.5])), part_names(np.array([]))
    (['< 1', '[1, 2.5)', '>= 2.5'], ['(no part)'])
    >>> part_names(np.array([1_700_000_001.0, 1_700_000_002.0]))[1]
    '[1700000001, 1700000002)'
    """
    if not edges.size:
        return ["(no part)"]
    spelled = next(
        texts
        for digits in _DIGITS
        if len(set(texts := [f"{edge:.{digits}g}" for edge in edges.tolist()])) == edges.size
    )
    between = [f"[{low}, {high})" for low, high in pairwise(spelled)]
    return [f"< {spelled[0]}", *between, f">= {spelled[-1]}"]
