"""Whether a row's score depends on anything but the row: on time, order, neighbours, cuts or columns."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from replay.adapters.uri import parse_uri
from replay.checks.finding import Finding
from replay.columns import FEATURE
from replay.isolation import IsolatedModel
from replay.model import Model, StatefulModel
from replay.quantised import fragile, quantised_digest
from replay.score import BLOCK_ROWS, JOINED, score_blocks, score_joined

CUTS = (1, 7, 64, 1000)
# Sums in another order differ by less than this, relative to the largest score; influence by more.
ROUNDING = 1e-9
# Kernels of float32 that more rows choose differ by less than this.
ROUNDING_32 = 1e-5

Scores = npt.NDArray[np.float64]


def scores_of(model: Model, rows: pa.Table) -> pa.Table:
    """Return the scores of `rows` in canonical blocks; a model that remembers knows of no other rows."""
    forget(model)
    return pa.Table.from_batches(score_blocks(model, rows.combine_chunks().to_batches()))


def forget(model: Model) -> None:
    """Let a model that remembers know what it knew when it was loaded."""
    if isinstance(model, StatefulModel):
        model.reset()


def numbers(scores: pa.Table | pa.RecordBatch) -> Scores:
    """Return the scores, NaN where there is none."""
    return np.asarray(scores.column("score").to_numpy(), dtype=np.float64)


def contract(first: pa.Table, rows: pa.Table) -> Finding:
    """Check that there is one answer a row, in order, with its id, and that some are scores."""
    same = first.column("decision_id").to_pylist() == rows.column("decision_id").to_pylist()
    failed = first.num_rows - first.column("error").null_count
    figures = {"rows": first.num_rows, "failed": failed}
    if not same or failed == first.num_rows:
        return Finding("contract", "fail", f"{failed:,} of {first.num_rows:,} rows failed", figures)
    if failed:
        return Finding("contract", "warn", f"{failed:,} of {first.num_rows:,} rows failed", figures)
    return Finding("contract", "pass", f"{first.num_rows:,} rows, one score each, in order", figures)


def reach(scores: Scores) -> Finding:
    """Check the range of the scores; their digest to twelve digits is what another machine compares with."""
    some = scores[~np.isnan(scores)]
    if not some.size:
        return Finding("range", "warn", "no scores, decisions alone")
    low, high = float(some.min()), float(some.max())
    distinct = int(np.unique(some).size)
    figures = {"min": low, "max": high, "distinct": distinct, "digest_of_12_digits": quantised_digest(scores)}
    if low == high:
        return Finding("range", "warn", f"every score is {low:g}", figures)
    kind = ", as a probability has" if low >= 0.0 and high <= 1.0 else ""
    return Finding("range", "pass", f"{low:.4g} to {high:.4g}{kind}", figures)


def repeated(check: str, words: str, first: pa.Table, again: pa.Table) -> Finding:
    """Check that the same rows have the same bits the second time."""
    if again.equals(first):
        return Finding(check, "pass", words)
    differing, largest = _difference(numbers(first), numbers(again))
    figures = {"rows": differing, "max_abs_difference": largest}
    return Finding(check, "fail", f"{differing:,} rows differ, by {largest:.3g} at most", figures)


def cut(model: Model, rows: pa.Table, first: pa.Table, *, sizes: Sequence[int] = CUTS) -> Finding:
    """Check that batches of these sizes give the bits of one batch."""
    for size in sizes:
        edges = [*range(0, rows.num_rows, size), rows.num_rows]
        forget(model)
        parts = (part for a, b in pairwise(edges) for part in rows.slice(a, b - a).to_batches())
        if not pa.Table.from_batches(score_blocks(model, parts)).equals(first):
            return Finding("batch size", "fail", f"batches of {size} rows give other scores", {"rows": size})
    told = " and ".join(filter(None, [", ".join(map(str, sizes[:-1])), f"{sizes[-1]:,}"]))
    return Finding("batch size", "pass", f"batches of {told} rows give the same bits")


def columns(model: Model, rows: pa.Table, first: pa.Table) -> Finding:
    """Check that the order of columns, and one that it does not know, decide nothing."""
    turned = rows.select(rows.schema.names[::-1]).append_column("f.zz_unknown", pa.nulls(rows.num_rows))
    return repeated(
        "column order", "neither order nor unknown columns matter", first, scores_of(model, turned)
    )


def neighbours(model: Model, rows: pa.Table, first: pa.Table) -> Iterator[Finding]:
    """Check that a row's place in its block and the rows beside it decide nothing.

    Yields one finding for other places of the same rows (for a model that remembers: for fewer keys), and
    one for fewer rows beside it (prefix invariance): a model that looks at its whole batch sees the future of
    each row.
    """
    count = min(rows.num_rows, BLOCK_ROWS)
    block, known = rows.slice(0, count), numbers(first)[:count]
    key = parse_uri(model.info.uri).key
    yield _moved(model, block, known) if key is None else _other_keys(model, block, known, FEATURE + key)
    half = max(1, count // 2)
    yield _judged("prefix", known[:half], numbers(scores_of(model, block.slice(0, half))))


def _moved(model: Model, block: pa.Table, known: Scores) -> Finding:
    order = np.random.default_rng(0).permutation(block.num_rows)
    moved = numbers(scores_of(model, block.take(pa.array(order))))
    back = np.empty_like(moved)
    back[order] = moved
    return _judged("row order", known, back)


def _other_keys(model: Model, block: pa.Table, known: Scores, key: str) -> Finding:
    """Check a model that remembers, whose rows have an order, on the rows of every other key alone."""
    codes = block.column(key).combine_chunks().dictionary_encode().indices.fill_null(0)
    kept = np.flatnonzero(np.asarray(codes) % 2 == 0)
    return _judged("other keys", known[kept], numbers(scores_of(model, block.take(pa.array(kept)))))


def _judged(check: str, known: Scores, found: Scores) -> Finding:
    differing, largest = _difference(known, found)
    scale = float(np.nanmax(np.abs(known), initial=0.0)) or 1.0
    figures = {"rows": differing, "max_abs_difference": largest}
    if not differing:
        return Finding(check, "pass", "the same bits beside other rows", figures)
    if largest <= ROUNDING * scale:
        words = f"{differing:,} rows differ in their last bits, by {largest:.2g} at most"
        return Finding(check, "warn", words, figures)
    words = f"{differing:,} rows differ, by {largest:.3g} at most: rows of a batch influence each other"
    return Finding(check, "fail", words, figures)


def joined(model: IsolatedModel, rows: pa.Table) -> Finding:
    """Find out whether several blocks in one call have the bits of each alone: replays may join them."""
    inputs = [name for name in rows.schema.names if name not in {"position", "decision_id"}]
    whole = rows.filter(~np.logical_or.reduce([rows.column(name).is_null().to_numpy() for name in inputs]))
    if not whole.num_rows:
        return Finding("joined blocks", "pass", "not tried: no row has all inputs", {"joined": 1})
    places = np.arange(JOINED * BLOCK_ROWS) * 7_919 % whole.num_rows
    many = whole.take(pa.array(places)).combine_chunks()
    for _block in score_joined(model, many.to_batches()):
        pass
    count = model.joined.verified
    if model.joined.calls:
        words = f"{JOINED} blocks in one call have the bits of each alone: replays join them"
        return Finding("joined blocks", "pass", words, {"joined": JOINED, "rows": many.num_rows})
    if model.joined.apart is None:
        words = "several blocks in one call fail: each has a call of its own"
        return Finding("joined blocks", "pass", words, {"joined": 1})
    together, alone = (numbers(scores) for scores in model.joined.apart)
    differing, largest = _difference(alone, together)
    figures = {"joined": 1, "rows": differing, "max_abs_difference": largest}
    if largest > ROUNDING_32 * (float(np.nanmax(np.abs(alone), initial=0.0)) or 1.0):
        words = f"{differing:,} rows differ, by {largest:.3g} at most, in a call of {JOINED} blocks"
        return Finding("joined blocks", "fail", f"{words}: how many rows it is asked decides", figures)
    words = f"block {count} has other bits in one call: each has a call of its own"
    return Finding("joined blocks", "pass", words, figures)


def near_threshold(findings: list[Finding], scores: Scores, threshold: float | None) -> Finding | None:
    """Count the decisions that the last bits could turn, or the rows beside; None without a threshold."""
    if threshold is None:
        return None
    moved = max(
        (f.figures.get("max_abs_difference", 0.0) for f in findings if f.state != "pass"), default=0.0
    )
    margin = max(moved, float(np.spacing(abs(threshold))))
    count = fragile(scores, threshold, margin)
    figures = {"fragile": count, "margin": margin, "threshold": threshold}
    words = f"{count:,} scores within {margin:.2g} of the threshold {threshold:g}"
    return Finding("fragile decisions", "warn" if count else "pass", words, figures)


def _difference(known: Scores, found: Scores) -> tuple[int, float]:
    """Return how many rows differ in a bit, and by how much at most; no score is infinitely far."""
    unequal = ~((known == found) | (np.isnan(known) & np.isnan(found)))
    gaps = np.abs(known[unequal] - found[unequal])
    gaps[np.isnan(gaps)] = np.inf
    return int(np.count_nonzero(unequal)), float(gaps.max(initial=0.0))
