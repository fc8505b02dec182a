"""From a range of the log to evidence: join, pair, fold, with every decision accounted for.

A function of the log alone: the same experiment at the same place gives the same bytes, whoever asks.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from harness.challengers import row_latencies
from harness.champion_again import champion_noise
from harness.experiments import Experiment
from harness.log.log import Log
from harness.measured_columns import (
    beside,
    blocking,
    completed,
    errors_column,
    read_decisions,
    read_outcomes,
    with_blocked,
)
from harness.own_metrics import own_values
from harness.replays import read_scores
from harness.scoring import failure_of
from harness.slice_columns import slice_evidence
from harness.window import COUNTED, OPEN, OUTSIDE, PARTIAL, Codes, row_codes
from policies.evidence import Evidence
from policies.fold import fold
from policies.integrity import Integrity
from policies.serving import LATENCIES
from replay.digest import canonical_digest
from replay.join import Joined, join
from replay.pairs import Paired, pair
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


def measure(
    log: Log,
    experiment: Experiment,
    as_of: AsOf,
    *,
    start: int,
    stop: int,
    scores_up_to: int,
) -> Measured:
    """Return the evidence over [start, stop) as of `as_of`, and the account of every decision in it.

    Scores are a function of decisions and model, so that they may have been appended after `as_of`; those
    up to position `scores_up_to` are used.
    """
    point, plan = experiment.decision_point, experiment.plan
    decisions = read_decisions(log, start, stop, point, plan)
    outcomes = read_outcomes(log, as_of.position + 1, point)
    codes = _codes(experiment, decisions, as_of)
    joined = join(
        decisions,
        outcomes,
        as_of=as_of,
        window=experiment.label_window,
        label=experiment.declared.label.name,
        exclude=pa.array(codes != COUNTED),
        keep_missing=bool(blocking(plan)),
    )
    joined = with_blocked(joined, plan)
    model = experiment.challenger.digest
    scores = read_scores(log, model, point, start, stop, up_to=scores_up_to)
    paired = pair(joined, scores, also=beside(plan), errors=errors_column(plan))
    took = row_latencies(log, model, up_to=scores_up_to) if LATENCIES[1] in plan.columns else {}
    table = own_values(completed(paired.table, plan, took), plan.metrics)
    evidence = fold(table, plan)
    noise = None
    if experiment.rescore is not None:
        again = read_scores(log, experiment.rescore.digest, point, start, stop, up_to=scores_up_to)
        error = failure_of(log, experiment.rescore, point, (start, stop), up_to=scores_up_to)
        noise = champion_noise(decisions, again, experiment.rescore, error=error)
    left_out = _left_out(decisions, codes)
    return Measured(
        start=start,
        stop=stop,
        outside=left_out[OUTSIDE],
        outcomes=_named(joined.outcomes),
        scores=Scores(model, scores_up_to, paired.scored + paired.failed, canonical_digest(paired.table)),
        integrity=_integrity(experiment, joined, paired, evidence, left_out, (start, stop), noise),
        evidence=evidence,
        slices=slice_evidence(log, table, experiment.plan, point, (start, stop)),
    )


def _codes(experiment: Experiment, decisions: pa.Table, as_of: AsOf) -> Codes:
    unit = experiment.plan.unit
    return row_codes(
        decisions.column("occurred_at").cast(pa.int64()).to_numpy(),
        experiment.bounds,
        timezone=unit.timezone if unit.kind == "day" else None,
        now=as_of,
        label_window=experiment.label_window,
    )


def _left_out(decisions: pa.Table, codes: Codes) -> dict[int, int]:
    """Return how many decisions each code leaves out; a repeated id is a duplicate before anything else."""
    first = _first_of_id(decisions)
    return {code: int(np.count_nonzero(first & (codes == code))) for code in (OUTSIDE, PARTIAL, OPEN)}


def _first_of_id(decisions: pa.Table) -> npt.NDArray[np.bool_]:
    first = np.zeros(decisions.num_rows, dtype=np.bool_)
    if decisions.num_rows:
        ids = decisions.column("decision_id").combine_chunks().dictionary_encode().indices.to_numpy()
        first[np.unique(ids, return_index=True)[1]] = True
    return first


def _named(outcomes: dict[str, int]) -> dict[str, int]:
    """Return the account of outcomes: one without a decision *in this range* is another's, not an orphan."""
    return {("of_other_decisions" if name == "orphan" else name): n for name, n in outcomes.items()}


def _integrity(
    experiment: Experiment,
    joined: Joined,
    paired: Paired,
    evidence: Evidence,
    left_out: dict[int, int],
    places: tuple[int, int],
    noise: dict[str, Any] | None,
) -> Integrity:
    reasons = {name: count for name, count in joined.reasons.items() if name != "excluded"}
    # A day that is not closed will have matured as a whole later: until then all of it is immature.
    reasons["immature"] += left_out[OPEN]
    # A metric of failures alone uses decisions that have no score.
    used = min(paired.scored, *(evidence.metrics[metric.name].used for metric in experiment.plan.gating))
    reasons |= {
        "partial_day": left_out[PARTIAL],
        "unscored": paired.unscored,
        "failed": paired.failed,
        "unusable": paired.scored - used,
    }
    decisions = joined.rows_in - left_out[OUTSIDE]
    assert decisions == used + sum(reasons.values()), (decisions, used, reasons)
    return Integrity(
        decisions=decisions,
        matured=joined.table.num_rows + joined.reasons["missing"] + joined.reasons["late"],
        used=used,
        scored=paired.scored,
        failed=paired.failed,
        trained_until=experiment.challenger.trained_until,
        window_start=places[0],
        window_stop=places[1],
        reasons=dict(sorted(reasons.items())),
        noise_floor=noise,
    )
