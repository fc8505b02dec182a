"""Two models on the same recorded decisions: where they differ, in what, and how much it weighs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from harness.challengers import challenger
from harness.diff_noise import COLUMNS, below_noise, champions_noise
from harness.errors import UsageError
from harness.flip_search import smallest_changes
from harness.known_differences import RECORDED, KnownDifference, covered, known_differences
from harness.log.log import Log
from harness.models import get_model
from harness.replay_errors import FeatureUnknown, NothingToScore
from harness.replays import read_scores
from policies.concentration import Concentrated, concentrated
from recorders.errors import HarnessError
from replay.adapters.uri import parse_uri
from replay.columns import FEATURE
from replay.differences import DIFFERS, KNOWN, LACKING, Differences, Floats, Sides, states
from replay.tolerance import Tolerance

NOT_SCORED = "not scored"
UNDECIDED = "no decision"


@dataclass(frozen=True, slots=True)
class Question:
    """What is compared: models `a` and `b` ("recorded": what was decided live) on [start, stop).

    `threshold`: decide by score instead of by recorded decision. `cost`: a numeric feature that weighs a
    difference. `keep` rows are kept, `alpha` is the level of the slices.
    """

    a: str
    b: str
    decision_point: str
    start: int
    stop: int
    tolerance: Tolerance = Tolerance("exact")  # noqa: RUF009 - frozen
    threshold: float | None = None
    cost: str | None = None
    keep: int = 20
    alpha: float = 0.05


@dataclass(frozen=True, slots=True)
class Comparison:
    """The answer: the account, the slices that hold too many differences, and the rows that weigh most.

    Rows that `ended` known differences were about count as differing.
    `searched` slices were tested. `changes` has for some of the rows that flip the smallest change of one
    feature after which `b` decides as `a` did, None where no single one does; `unsearched` is why there are
    none although rows flip: `b` could not be asked. `noise` is how far the
    champions of these decisions are from themselves, None when it is not known; `below_noise` differences
    are no larger.
    """

    question: Question
    account: Differences
    known: Sequence[KnownDifference]
    ended: Sequence[KnownDifference]
    searched: int
    slices: Sequence[Concentrated]
    worst: pa.Table
    changes: dict[int, dict[str, Any] | None]
    unsearched: str | None
    noise: dict[str, Any] | None
    below_noise: int

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, with names as in the command's --json."""
        account = self.account
        return {
            "a": self.question.a,
            "b": self.question.b,
            "decision_point": self.question.decision_point,
            "start": self.question.start,
            "stop": self.question.stop,
            "tolerance": str(self.question.tolerance),
            "rows": account.rows,
            "states": account.by_state,
            "lacking": account.lacking,
            "flips": [{"a": a, "b": b, "rows": n} for (a, b), n in sorted(account.flips.items())],
            "max_abs_difference": account.largest,
            "noise": self.noise,
            "below_noise": self.below_noise,
            "known": list(self.known),
            "known_ended": list(self.ended),
            "slices_searched": self.searched,
            "slices": [each._asdict() for each in self.slices],
            "worst": self.worst.to_pylist(),
            "smallest_changes": {str(at): change for at, change in self.changes.items()},
            "changes_unsearched": self.unsearched,
        }


def compare_models(log: Log, question: Question, *, folder: Path | None = None) -> Comparison:
    """Return where two models differ on the decisions of a range.

    A function of the log: scores are read, none is made. A decision that a model has not scored is
    counted as lacking; "harness replay run" scores it.

    Raises:
        NotFound: a model is not registered.
        NothingToScore: no decision lies there.
        FeatureUnknown, UsageError: the cost is no numeric feature of these snapshots.
    """
    known, ended = known_differences(log, question.decision_point, (question.a, question.b))
    decisions, about = _decisions(log, question, known)
    if not decisions.num_rows:
        raise NothingToScore(question.decision_point, question.start, question.stop)
    sides = _sides(log, question, decisions)
    found = states(sides, question.tolerance, about)
    noise = champions_noise(log, question.decision_point, question.start, question.stop, decisions)
    account, at = Differences(question.keep), 0
    for batch in log.read(
        question.start, question.stop, kind="decision", decision_point=question.decision_point
    ):
        stop = at + batch.num_rows
        account.update(batch, sides.slice(at, batch.num_rows), found[at:stop], _cost(batch, question))
        at = stop
    account.slices.finish()
    slices = {
        f"{name} {value}": pair for name, own in account.slices.counts.items() for value, pair in own.items()
    }
    compared = account.rows - account.by_state[LACKING] - account.by_state[KNOWN]
    worst = account.worst if account.worst is not None else pa.table({"position": pa.array([], pa.int64())})
    return Comparison(
        question,
        account,
        known,
        ended,
        len(slices),
        concentrated(slices, rows=compared, differing=account.by_state[DIFFERS], alpha=question.alpha),
        worst,
        *_changes(log, question, worst, folder),
        noise,
        int(np.count_nonzero(below_noise(sides, found, noise))),
    )


def _decisions(
    log: Log, question: Question, known: Sequence[KnownDifference]
) -> tuple[pa.Table, npt.NDArray[np.bool_]]:
    """Return what was decided live, and which of it some known difference is about.

    Features do not leave their batch: another feature set may have one of that name and of another type.
    """
    named = sorted({FEATURE + name for each in known for name in each.where})
    batches = log.read(
        question.start,
        question.stop,
        kind="decision",
        decision_point=question.decision_point,
        columns=(*COLUMNS, *named),
    )
    tables, about = [], [np.zeros(0, dtype=np.bool_)]
    for batch in batches:
        about.append(covered(batch, known))
        own = [name for name in batch.schema.names if name not in named]
        tables.append(pa.Table.from_batches([batch.select(own).replace_schema_metadata(None)]))
    if not tables:
        return pa.table({"position": pa.array([], pa.int64())}), about[0]
    return pa.concat_tables(tables, promote_options="permissive"), np.concatenate(about)


def _sides(log: Log, question: Question, decisions: pa.Table) -> Sides:
    a_score, a_decision, a_lacks = _answers(log, question, question.a, decisions)
    b_score, b_decision, b_lacks = _answers(log, question, question.b, decisions)
    if question.threshold is not None:
        a_decision, b_decision = (_decided(score, question.threshold) for score in (a_score, b_score))
    if question.tolerance.kind == "decision":
        a_lacks, b_lacks = _undecided(a_decision, a_lacks), _undecided(b_decision, b_lacks)
    return Sides(a_score, b_score, a_decision, b_decision, a_lacks, b_lacks)


def _undecided(decision: pa.Array, lacks: pa.Array) -> pa.Array:
    """Return why a side has no decision: where decisions alone are compared, a score is no answer."""
    return pc.coalesce(lacks, pc.if_else(pc.is_null(decision), UNDECIDED, pa.scalar(None, pa.string())))


def _answers(
    log: Log, question: Question, reference: str, decisions: pa.Table
) -> tuple[Floats, pa.Array, pa.Array]:
    """Return a side's scores, decisions and why it has neither, one a decision."""
    if reference == RECORDED:
        score, decision = decisions.column("score"), decisions.column("decision")
        nothing = pc.and_(pc.is_null(score), pc.is_null(decision))
        lacks = pc.if_else(nothing, "nothing recorded", pa.scalar(None, pa.string()))
    else:
        digest = get_model(log, reference).digest
        stored = read_scores(log, digest, question.decision_point, question.start, question.stop)
        at = pc.index_in(decisions.column("position"), stored.column("decision_position"))
        score, decision = stored.column("score").take(at), stored.column("decision").take(at)
        lacks = pc.if_else(pc.is_null(at), NOT_SCORED, stored.column("error").take(at))
    values = np.asarray(pc.fill_null(score.cast(pa.float64()), float("nan")).to_numpy(), dtype=np.float64)
    return values, _one(decision.cast(pa.string())), _one(lacks.cast(pa.string()))


def _one(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _decided(scores: Floats, threshold: float) -> pa.Array:
    above = np.where(scores >= threshold, f">= {threshold:g}", f"< {threshold:g}")
    return pa.array(above, mask=np.isnan(scores), type=pa.string())


def _cost(batch: pa.RecordBatch, question: Question) -> Floats:
    if question.cost is None:
        return np.ones(batch.num_rows)
    name = FEATURE + question.cost
    if name not in batch.schema.names:
        known = [each.removeprefix(FEATURE) for each in batch.schema.names if each.startswith(FEATURE)]
        raise FeatureUnknown([question.cost], known)
    column = batch.column(name)
    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        raise UsageError(
            f'The feature "{question.cost}" is of type {column.type}.',
            "Expected a number to weigh differences by.",
            "Name a numeric feature with --cost.",
        )
    values = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)  # beyond 2**53: as near
    return np.asarray(np.abs(np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)), dtype=np.float64)


def _changes(
    log: Log, question: Question, worst: pa.Table, folder: Path | None
) -> tuple[dict[int, dict[str, Any] | None], str | None]:
    """Return what flips rows back, and why nothing was searched if the model could not be asked."""
    flips = worst.filter(worst.column("flipped")) if worst.num_rows else worst
    if question.b == RECORDED or not flips.num_rows:
        return {}, None
    if parse_uri(get_model(log, question.b).uri).key is not None:
        return {}, None  # what it answers to a changed row depends on rows that would have to be changed too
    try:
        with challenger(log, question.b, decision_point=question.decision_point, folder=folder) as model:
            found = smallest_changes(log, model, question.decision_point, flips, threshold=question.threshold)
    except HarnessError as error:  # the comparison itself reads the log alone
        return {}, str(error)
    return found, None
