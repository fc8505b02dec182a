"""The facts and signs around a proof of retraining: past, inputs, labels, split and earlier proofs."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from msgspec import UNSET

from harness.experiment_file import Rivals
from harness.experiments import Experiment
from harness.log.log import Log
from harness.measured_columns import outcome_tables, read_decisions
from harness.measured_part import MeasuredPart, Question
from harness.proof_history import days_since_retraining, gap_us, read_before
from harness.proof_inputs import Answer, Inputs
from harness.window import Bounds
from policies.columns import Floats
from policies.contenders import Contender, Facts
from policies.diagnosis import Signs
from policies.drift.bits import bit_counts
from policies.drift.distance import KS_SQUARE, debiased, effective, ks_chance, ks_distance
from policies.drift.reliability import Reliability, calibration_shift
from policies.figures import tidy
from replay.columns import mask_of
from replay.join import Joined, join
from replay.ranges import AsOf

_THRESHOLD = 0.5


class Past(NamedTuple):
    """The reference as it was known before the first decision held out; `start` to `stop` in positions.

    `scores` and `labels` are of its matured decisions that have both.
    """

    start: int
    stop: int
    scores: Floats
    labels: Floats

    @property
    def calibrates(self) -> bool:
        """Return whether the champion can be recalibrated: its scores are probabilities of labels 0 and 1."""
        return self.scores.size > 0 and _probable(self.scores, self.labels)


class HeldOut(NamedTuple):
    """The decisions held out: the champion's scores and labels, and its scores where no label is."""

    scores: Floats
    labels: Floats
    unlabelled: Floats


def past_of(log: Log, experiment: Experiment, start: int) -> Past:
    """Return the reference as it was known at the position before `start`."""
    known = log.as_of(start - 1)
    places = _reference(log, experiment, known)
    joined = _joined(log, experiment, places, known)
    scores, labels = (_floats(joined.table.column(name)) for name in ("score", "label"))
    both = ~np.isnan(scores) & ~np.isnan(labels)
    return Past(*places, scores[both], labels[both])


def _reference(log: Log, experiment: Experiment, known: AsOf) -> tuple[int, int]:
    """Return the positions of the reference; its end is cut where the held-out range begins."""
    rivals = experiment.declared.rivals
    assert isinstance(rivals, Rivals), "a plan of retraining has its rivals"
    start, stop = Bounds(rivals.start, rivals.stop).positions(log, known, late=dt.timedelta())
    end = known.position + 1
    return min(start or end, end), min(stop or end, end)


def _joined(log: Log, experiment: Experiment, places: tuple[int, int], as_of: AsOf) -> Joined:
    point = experiment.decision_point
    decisions = read_decisions(log, experiment, *places)
    return join(
        decisions,
        outcome_tables(log, 1, as_of.position + 1, point, decisions.num_rows),
        as_of=as_of,
        window=experiment.label_window,
        label=experiment.declared.label.name,
        keep_missing=True,
    )


def held_out(log: Log, question: Question) -> HeldOut:
    """Return the matured decisions of the question's range as the champion scored them."""
    experiment = question.experiment
    joined = _joined(log, experiment, (question.start, question.stop), question.as_of)
    assert joined.missing is not None, "they were asked for"
    inside = [_inside(table, experiment) for table in (joined.table, joined.missing)]
    unlabelled = _floats(inside[1].column("score"))
    return HeldOut(
        _floats(inside[0].column("score")),
        _floats(inside[0].column("label")),
        unlabelled[~np.isnan(unlabelled)],
    )


def _inside(table: pa.Table, experiment: Experiment) -> pa.Table:
    outside = experiment.bounds.outside(table.column("occurred_at").cast(pa.int64()).to_numpy())
    return table.filter(mask_of(~outside))


def facts_of(
    log: Log,
    question: Question,
    found: MeasuredPart,
    held: HeldOut,
    inputs: Inputs,
    contenders: Sequence[Contender],
) -> Facts:
    """Return the facts of the proof at the question's place."""
    experiment, account, noise = question.experiment, found.account, found.noise
    bias, chance = _label_bias(held)
    return Facts(
        broken=inputs.broken,
        encrypted=inputs.encrypted or UNSET,
        **replayed(noise, experiment.plan.policy.max_noise_difference),
        matured=account.joined + account.reasons["missing"] + account.reasons["late"],
        labelled=account.joined,
        label_bias=bias,
        label_bias_chance=chance,
        heldout_start=question.start,
        heldout_stop=question.stop,
        gap_us=gap_us(log, contenders, question.start),
        window_us=round(experiment.label_window.total_seconds() * 1e6),
        read_before=read_before(log, experiment, question.start, question.stop),
        days_since=days_since_retraining(log, experiment, question.as_of),
    )


def signs_of(past: Past, held: HeldOut, answer: Answer) -> Signs:
    """Return what monitors would say: they explain a proof, and open no gate of it."""
    known = ~np.isnan(held.scores) & ~np.isnan(held.labels)
    scores, labels = held.scores[known], held.labels[known]
    if not past.calibrates or not scores.size or not _probable(scores, labels):
        return Signs(features=answer)
    shift = calibration_shift(
        Reliability.of(past.scores, past.labels, _THRESHOLD), Reliability.of(scores, labels, _THRESHOLD)
    )
    return Signs(features=answer, calibration=(shift.effect, shift.p))


def replayed(noise: Mapping[str, Any] | None, tolerance: float | None) -> dict[str, int | None]:
    """Return how many of the champion's scores were computed again, and how many differ.

    Within the registered tolerance none does: other machines have other last bits.

    >>> noise = {"rows": 9, "unscored": 1, "failed": 0, "differing_scores": 8, "max_abs_difference": 1e-16}
    >>> replayed(noise, None)["skewed"], replayed(noise, 1e-9)["skewed"]
    (8, 0)
    """
    rows = 0 if noise is None else noise["rows"] - noise["unscored"] + noise["failed"]
    if noise is None or not rows:
        return {"replayed": None, "skewed": None}
    near = tolerance is not None and noise["max_abs_difference"] <= tolerance
    return {"replayed": rows, "skewed": noise["failed"] + (0 if near else noise["differing_scores"])}


def _label_bias(held: HeldOut) -> tuple[float, float]:
    """Return how far the scores of decisions with and without a label lie apart, and the chance of that."""
    sides = [bit_counts(scores)[0] for scores in (held.scores[~np.isnan(held.scores)], held.unlabelled)]
    size = effective(*(int(side.sum()) for side in sides))
    if not size:
        return 0.0, 1.0
    distance = ks_distance(*sides)
    return tidy(debiased(distance, KS_SQUARE / size)), tidy(ks_chance(distance, size, 0.0))


def _probable(scores: Floats, labels: Floats) -> bool:
    return bool(((scores >= 0.0) & (scores <= 1.0)).all() and ((labels == 0.0) | (labels == 1.0)).all())


def _floats(column: pa.ChunkedArray) -> Floats:
    found: Floats = np.asarray(column.cast(pa.float64()).fill_null(float("nan")).to_numpy(), dtype=np.float64)
    return found
