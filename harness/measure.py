"""From a range of the log to evidence: join, pair, fold, with every decision accounted for.

A function of the log alone: the same experiment at the same place gives the same bytes, whoever asks.
"""

from collections.abc import Mapping
from itertools import takewhile

import msgspec

from harness.engines.engine import Engine, InProcess
from harness.experiments import Experiment
from harness.intake_counts import intake_counts
from harness.kept_pairs import kept_parts, key_of
from harness.log.log import Log
from harness.mapped_parts import POSITIONS_MAX, Piece, cells, cut, even_end, map_parts, undivided
from harness.measured_part import Account, MeasuredPart, Question, measure_part
from harness.rivalry import rivalry_of
from harness.scoring import failure_of
from harness.slice_columns import slice_evidence
from policies.evidence import Evidence
from policies.integrity import Integrity
from policies.seen import Rivalry
from replay.digest import canonical_digest
from replay.ranges import AsOf


class Scores(msgspec.Struct, frozen=True):
    """The challenger's scores that a look used: `rows` of them, known up to position `up_to`.

    `digest` covers the paired columns, so that a score which changes is seen.
    """

    model_digest: str
    up_to: int
    rows: int
    digest: str


class Measured(msgspec.Struct, frozen=True):
    """What the log says about an experiment at one place.

    [start, stop) are positions; `outside` counts decisions in them that occurred outside the window, which
    are no part of it. `outcomes` accounts for every outcome of the decision point that was known.
    Law: integrity.decisions == integrity.used + sum(integrity.reasons.values()).
    """

    start: int
    stop: int
    outside: int
    outcomes: dict[str, int]
    scores: Scores
    integrity: Integrity
    evidence: Evidence
    slices: Mapping[str, Evidence] = {}
    rivalry: Rivalry | None = None


class Spread(msgspec.Struct, frozen=True):
    """Where a range is measured, and in how many parts.

    There are `parts` of them at least, as many as the engine has workers. None has more than `positions`:
    what a part holds grows with it, and what the parts together read more than once shrinks. `keep`: pairs of
    parts are kept in the store, and those that are kept are used; without it all is read from the log.
    """

    engine: Engine = InProcess()
    parts: int = 1
    positions: int = POSITIONS_MAX
    keep: bool = False


def measure(
    log: Log,
    experiment: Experiment,
    as_of: AsOf,
    *,
    start: int,
    stop: int,
    scores_up_to: int,
    spread: Spread | None = None,
) -> Measured:
    """Return the evidence over [start, stop) as of `as_of`, and the account of every decision in it.

    Scores are a function of decisions and model, so that they may have been appended after `as_of`; those
    up to position `scores_up_to` are used.

    A long range is cut into parts, and the parts' evidence is merged: the same bytes for any parts on any
    engine (tests/process/test_measured_parts.py). A plan that needs its rows whole is measured whole.

    Raises:
        PartPoisoned, EngineLost, ClusterFailed: the engine of `spread`.
    """
    where = spread or Spread()
    error = None
    if experiment.rescore is not None:
        point = experiment.decision_point
        error = failure_of(log, experiment.rescore, point, (start, stop), up_to=scores_up_to)
    question = Question(experiment, as_of, start, stop, scores_up_to, error)
    if max(where.parts, -(-(stop - start) // where.positions)) == 1 or undivided(experiment.plan):
        found = _whole(log, question)
    else:
        pieces = _pieces(log, question, where)
        found = _measured(question, *map_parts(log, question, pieces, where.engine), {})
    intake = intake_counts(log, experiment, as_of, (start, stop), scores_up_to=scores_up_to)
    if intake is None:
        return found
    integrity = msgspec.structs.replace(found.integrity, intake=intake)
    return msgspec.structs.replace(found, integrity=integrity)


def _pieces(log: Log, question: Question, where: Spread) -> list[Piece]:
    """Return the parts: cells that stay when the range grows, but for the last; equal ones where few."""
    start, stop = question.start, question.stop
    parts = cells(start, stop, where.positions)
    if len(parts) < where.parts or len(parts) == 1:
        return [Piece(part) for part in cut(start, stop, where.parts)]
    key = key_of(log, question) if where.keep else None
    if key is None:
        return [Piece(part) for part in even_end(parts, len(parts), where.parts)]
    kept = kept_parts(log, key, question, parts)
    anew = len(list(takewhile(lambda found: found is None, reversed(kept))))
    parts = even_end(parts, anew, where.parts)
    kept = kept_parts(log, key, question, parts)
    return [Piece(part, found, key) for part, found in zip(parts, kept, strict=True)]


def _whole(log: Log, question: Question) -> Measured:
    experiment, places = question.experiment, (question.start, question.stop)
    found = measure_part(log, question, *places)
    assert found.columns is not None, "they were just measured"
    point, plan = experiment.decision_point, experiment.plan
    digest = canonical_digest(found.columns.paired)
    if experiment.all is not None:
        return _measured(question, found, digest, {}, rivalry_of(log, question, found))
    slices = slice_evidence(log, found.columns.measured, plan, point, places)
    return _measured(question, found, digest, slices)


def _measured(
    question: Question,
    found: MeasuredPart,
    digest: str,
    slices: Mapping[str, Evidence],
    rivalry: Rivalry | None = None,
) -> Measured:
    account, model = found.account, question.experiment.challenger.digest
    return Measured(
        start=question.start,
        stop=question.stop,
        outside=account.outside,
        outcomes=_outcomes(account),
        scores=Scores(model, question.scores_up_to, account.scored + account.failed, digest),
        integrity=_integrity(question, found),
        evidence=found.evidence,
        slices=slices,
        rivalry=rivalry,
    )


def _outcomes(account: Account) -> dict[str, int]:
    """Return the account of outcomes: one without a decision *in this range* is another's, not an orphan."""
    others = account.known - sum(account.outcomes.values())
    return {**account.outcomes, "of_other_decisions": others, "other_label": account.other_label}


def _integrity(question: Question, found: MeasuredPart) -> Integrity:
    experiment, account = question.experiment, found.account
    reasons = {name: count for name, count in account.reasons.items() if name != "excluded"}
    # A day that is not closed will have matured as a whole later: until then all of it is immature.
    reasons["immature"] += account.open
    # A metric of failures alone uses decisions that have no score.
    gating = [metric for metric in experiment.plan.gating if not metric.sampled]
    used = min(account.scored, *(found.evidence.metrics[metric.name].used for metric in gating))
    reasons |= {
        "partial_day": account.partial,
        "unscored": account.unscored,
        "failed": account.failed,
        "unusable": account.scored - used,
    }
    decisions = account.decisions - account.outside
    assert decisions == used + sum(reasons.values()), (decisions, used, reasons)
    return Integrity(
        decisions=decisions,
        matured=account.joined + account.reasons["missing"] + account.reasons["late"],
        used=used,
        scored=account.scored,
        failed=account.failed,
        trained_until=experiment.challenger.trained_until,
        window_start=question.start,
        window_stop=question.stop,
        reasons=dict(sorted(reasons.items())),
        noise_floor=found.noise,
    )
