"""The noise floor: champions scored again on their own snapshots, against what they decided live."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from harness.challengers import challenger
from harness.errors import NotFound, UsageError
from harness.log.log import Log
from harness.remembered import RememberedModel
from harness.replay_errors import NothingToScore
from replay.columns import mask_of
from replay.model import Model
from replay.score import columns_for, score_blocks

# Edges of the histogram of absolute score differences: equal bits, then decades of double precision.
DECADES = (0.0, 1e-15, 1e-12, 1e-9, 1e-6, 1e-3, np.inf)
_RECORDED = ("decision_id", "model", "model_version", "score", "decision")


def noise_floor(
    log: Log,
    decision_point: str,
    start: int,
    stop: int,
    *,
    progress: Callable[[int], None] | None = None,
    folder: Path | None = None,
) -> dict[str, Any]:
    """Return how the champions of [start, stop), scored again, differ from what was recorded.

    Each decision is scored by the model that its own record names, registered under that name and
    version. A difference is feature skew between service and log, a wrong artefact, or chance in the
    model: find it before a challenger is judged by it.

    `rows` were scored again; `failed` could not be; `unregistered` name a model that is not registered;
    `unscored` recorded no score. `differing_scores` counts other bits, `differing_decisions` other texts
    among the `decisions_compared` (where both sides have one). `histogram` counts |difference| up to
    each edge.

    Raises:
        NothingToScore: no decision there.
        ModelError: see replay.model_errors.
    """
    total = _Account()
    models: dict[str, dict[str, int]] = {}
    champions = _champions(log, decision_point, start, stop)
    if not champions:
        raise NothingToScore(decision_point, start, stop)
    for reference, count in champions.items():
        try:
            account = _rescored(log, reference, decision_point, (start, stop), folder, progress)
        except NotFound:
            account = _Account(unregistered=count)
        models[reference] = account.as_dict() | {"decisions": count}
        total.add(account)
    return {
        "decision_point": decision_point,
        "start": start,
        "stop": stop,
        **total.as_dict(),
        "models": models,
    }


class _Account:
    def __init__(self, *, unregistered: int = 0) -> None:
        self.counts = {
            "rows": 0,
            "failed": 0,
            "unscored": 0,
            "unregistered": unregistered,
            "differing_scores": 0,
            "decisions_compared": 0,
            "differing_decisions": 0,
        }
        self.largest = 0.0
        self.histogram = np.zeros(len(DECADES), dtype=np.int64)

    def add(self, other: "_Account") -> None:
        for name, count in other.counts.items():
            self.counts[name] += count
        self.largest = max(self.largest, other.largest)
        self.histogram += other.histogram

    def count(self, recorded: pa.RecordBatch, again: pa.RecordBatch) -> None:
        """Add one block: what was recorded beside what the model says now."""
        ok = again.column("error").is_null()
        self.counts["failed"] += recorded.num_rows - int(pc.sum(ok).as_py() or 0)
        recorded, again = recorded.filter(ok), again.filter(ok)
        then, now = recorded.column("decision"), again.column("decision")
        differs = pc.not_equal(then, now)
        self.counts["decisions_compared"] += len(differs) - differs.null_count
        self.counts["differing_decisions"] += int(pc.sum(differs).as_py() or 0)
        live, redone = _floats(recorded.column("score")), _floats(again.column("score"))
        both = ~np.isnan(live) & ~np.isnan(redone)
        self.counts["rows"] += recorded.num_rows
        self.counts["unscored"] += recorded.num_rows - int(np.count_nonzero(both))
        gaps = np.abs(live[both] - redone[both])
        self.counts["differing_scores"] += int(np.count_nonzero(gaps > 0))
        self.largest = max(self.largest, float(gaps.max(initial=0.0)))
        self.histogram += np.bincount(np.searchsorted(DECADES, gaps), minlength=len(DECADES))

    def as_dict(self) -> dict[str, Any]:
        edges = [f"<= {edge:g}" if edge else "equal" for edge in DECADES]
        edges[-1] = f"> {DECADES[-2]:g}"
        histogram = dict(zip(edges, self.histogram.tolist(), strict=True))
        return {**self.counts, "max_abs_difference": self.largest, "histogram": histogram}


def _floats(column: pa.Array) -> npt.NDArray[np.float64]:
    return np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.float64)


def _champions(log: Log, decision_point: str, start: int, stop: int) -> dict[str, int]:
    """Return the models that the decisions name, with how often, in order of appearance."""
    found: dict[str, int] = {}
    columns = ("model", "model_version")
    for batch in log.read(start, stop, kind="decision", decision_point=decision_point, columns=columns):
        for pair, count in _pairs(batch):
            found[pair] = found.get(pair, 0) + count
    return found


def _pairs(batch: pa.RecordBatch) -> Iterator[tuple[str, int]]:
    named = pc.binary_join_element_wise(batch.column("model"), batch.column("model_version"), ":")
    for entry in named.value_counts().to_pylist():
        yield entry["values"], entry["counts"]


def _rescored(
    log: Log,
    reference: str,
    decision_point: str,
    part: tuple[int, int],
    folder: Path | None,
    progress: Callable[[int], None] | None,
) -> _Account:
    with challenger(log, reference, decision_point=decision_point, folder=folder) as model:
        return _counted(log, model, reference, (decision_point, *part), progress)


def _counted(
    log: Log,
    model: Model,
    reference: str,
    place: tuple[str, int, int],
    progress: Callable[[int], None] | None,
) -> _Account:
    decision_point, *part = place
    columns = dict.fromkeys((*_RECORDED, *columns_for(model.info)))
    account = _Account()
    recorded: list[pa.RecordBatch] = []

    def own() -> Iterator[pa.RecordBatch]:
        for batch in log.read(*part, kind="decision", decision_point=decision_point, columns=list(columns)):
            names = pc.binary_join_element_wise(batch.column("model"), batch.column("model_version"), ":")
            mine = batch.filter(mask_of(np.asarray(pc.equal(names, reference), dtype=np.bool_)))
            if mine.num_rows < batch.num_rows and isinstance(model, RememberedModel):
                raise _not_alone(reference)
            if mine.num_rows:
                recorded.append(mine.select(["position", "score", "decision"]))
                yield mine

    for block in score_blocks(model, own()):
        table = pa.Table.from_batches(recorded).combine_chunks()
        account.count(table.slice(0, block.num_rows).to_batches()[0], block)
        rest = table.slice(block.num_rows)
        recorded[:] = rest.to_batches()
        if progress is not None:
            progress(block.column("decision_position")[-1].as_py() + 1 - part[0])
    return account


def _not_alone(reference: str) -> UsageError:
    return UsageError(
        f"{reference} remembers what it decided on, and others decided in this range too.",
        "Expected a range whose decisions are all its own: nobody knows what it had observed live.",
        "Choose such a range.",
    )
