"""What arrived of an experiment's window: decisions by arm, and those that lack the challenger's answer."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from harness.experiments import Experiment
from harness.log.log import Log
from harness.mapped_parts import POSITIONS_MAX, cut
from harness.replays import read_scores
from harness.window import OUTSIDE, row_codes
from policies.intake import OTHER, Intake
from policies.intake_plan import ArmsPlan, CompletenessPlan
from replay.columns import mask_of
from replay.ranges import AsOf

_PREFIX = "f."


def intake_counts(
    log: Log, experiment: Experiment, as_of: AsOf, places: tuple[int, int], *, scores_up_to: int
) -> Intake | None:
    """Return the counts over the decision events of the window, whatever their age; None if none is watched.

    Memory: some columns of as many positions as a part has.
    """
    arms, pairs = experiment.plan.arms, experiment.plan.completeness
    if not isinstance(arms, ArmsPlan) and not isinstance(pairs, CompletenessPlan):
        return None
    counted: tuple[dict[str, int], ...] = ({}, {}, {})
    start, stop = places
    for part in cut(start, stop, -(-(stop - start) // POSITIONS_MAX)):
        decisions = _decisions(log, experiment, as_of, part)
        if isinstance(arms, ArmsPlan):
            _add(counted[0], decisions.column("arm"), arms.levels)
        if isinstance(pairs, CompletenessPlan):
            model, point = experiment.challenger.digest, experiment.decision_point
            scores = read_scores(log, model, point, *part, up_to=scores_up_to)
            answered = pc.or_(pc.is_valid(scores.column("score")), pc.is_valid(scores.column("decision")))
            whole = pc.and_(pc.is_null(scores.column("error")), answered)
            known = scores.filter(whole).column("decision_position").cast(pa.int64())
            lacks = ~np.isin(decisions.column("position").to_numpy(), known.to_numpy())
            _add(counted[1], decisions.column("watched"), pairs.levels)
            _add(counted[2], decisions.column("watched").filter(mask_of(lacks)), pairs.levels)
    return Intake(*counted)


def _decisions(log: Log, experiment: Experiment, as_of: AsOf, part: tuple[int, int]) -> pa.Table:
    """Return position, arm and watched level, as text, of the decisions of the window."""
    plan = experiment.plan
    arm = _PREFIX + plan.arms.feature if isinstance(plan.arms, ArmsPlan) else "decision"
    watched = "decision"
    if isinstance(plan.completeness, CompletenessPlan) and plan.completeness.feature:
        watched = _PREFIX + plan.completeness.feature
    schema = pa.schema([("position", pa.int64()), ("arm", pa.string()), ("watched", pa.string())])
    wanted, batches = sorted({"occurred_at", arm, watched}), []
    for batch in log.read(*part, kind="decision", decision_point=experiment.decision_point, columns=wanted):
        codes = row_codes(
            batch.column("occurred_at").cast(pa.int64()).to_numpy(zero_copy_only=False),
            experiment.bounds,
            timezone=None,
            now=as_of,
            label_window=experiment.label_window,
        )
        columns = [batch.column("position"), _text(batch, arm), _text(batch, watched)]
        rows = pa.RecordBatch.from_arrays(columns, schema=schema)
        batches.append(rows.filter(pa.array(codes != OUTSIDE)))
    return pa.Table.from_batches(batches, schema=schema)


def _text(batch: pa.RecordBatch, name: str) -> pa.Array:
    if name not in batch.schema.names:
        return pa.nulls(batch.num_rows, pa.string())
    return batch.column(name).cast(pa.string())


def _add(counts: dict[str, int], column: pa.ChunkedArray, levels: tuple[str, ...]) -> None:
    """Add the rows of each level to the counts; what is not a level is another."""
    for found in pc.value_counts(column).to_pylist():
        name = found["values"] if found["values"] in levels else OTHER
        counts[name] = counts.get(name, 0) + found["counts"]
