"""The matured side of a day: labels, losses and scores against labels, known at one place of the log."""

import datetime as dt

import msgspec
import numpy as np
import pyarrow as pa

from harness.experiment_file import duration
from harness.log.log import Log
from harness.measured_columns import outcome_tables
from harness.monitor.day import DayRange, floats
from harness.monitor.file import Outcomes
from policies.accumulators import Moments
from policies.columns import Floats, Ints
from policies.drift import MonitorPlan, WindowState, fold_window
from policies.drift.detector import DetectorPlan, LossDay
from policies.drift.reliability import Reliability
from recorders.columns import DECISION_ENVELOPE
from replay.join import join

LABEL = "label"
_COLUMNS = ("decision_id", "occurred_at", "score")
_SCHEMA = pa.schema(
    [
        pa.field("position", pa.int64(), nullable=False),
        *(field for field in DECISION_ENVELOPE if field.name in _COLUMNS),
    ]
)


class Matured(msgspec.Struct, frozen=True):
    """The labels and losses of one day. `reasons` accounts for every decision that has none.

    `unusable` have a label and no loss: no score, one that is no probability, or a label beside 0 and 1.
    `values` are the distinct labels and `counts` how often each occurs: of 0 and 1 a day keeps two.
    """

    as_of: int
    labelled: int
    reasons: dict[str, int]
    unusable: int
    values: Floats
    counts: Ints
    losses: Moments
    reliability: Reliability

    @property
    def labels(self) -> Floats:
        """All labels of the day, by value."""
        return np.repeat(self.values, self.counts)

    def day(self, number: int) -> LossDay:
        """The losses as the detector reads them."""
        return LossDay(number, self.losses)

    def window(self, plan: MonitorPlan) -> WindowState:
        """Return the state of the labels under a plan."""
        return fold_window(pa.table({LABEL: self.labels}), plan)


def matures_at(day: DayRange, label: Outcomes) -> dt.datetime:
    """Return when all decisions of a day are old enough to count."""
    return day.ends + duration(label.window)


def matured(log: Log, point: str, day: DayRange, label: Outcomes, plan: DetectorPlan) -> Matured:
    """Return the day's outcomes as they were known when all of its decisions had matured."""
    place = log.as_of(matures_at(day, label))
    batches = log.read(day.start, day.stop, kind="decision", decision_point=point, columns=_COLUMNS)
    plain = [
        pa.RecordBatch.from_arrays([each.column(name) for name in _SCHEMA.names], schema=_SCHEMA)
        for each in batches
    ]
    decisions = pa.Table.from_batches(plain, schema=_SCHEMA)
    joined = join(
        decisions,
        outcome_tables(log, 1, place.position + 1, point, decisions.num_rows),
        as_of=place,
        window=duration(label.window),
        label=label.name,
    )
    labels, scores = (floats(joined.table.column(name)) for name in (LABEL, "score"))
    usable = (scores >= 0.0) & (scores <= 1.0) & ((labels == 0.0) | (labels == 1.0))
    known, right = scores[usable], labels[usable]
    values, counts = np.unique(labels, return_counts=True)
    return Matured(
        as_of=place.position,
        labelled=labels.size,
        reasons=joined.reasons,
        unusable=int(np.count_nonzero(~usable)),
        values=values,
        counts=counts,
        losses=Moments.of(_losses(known, right, label, plan.scale)),
        reliability=Reliability.of(known, right, label.threshold),
    )


def _losses(scores: Floats, labels: Floats, label: Outcomes, scale: int) -> Ints:
    """Return the loss of each decision in units of 1/scale."""
    if label.loss == "error":
        wrong = (scores >= label.threshold) != (labels == 1.0)
        values: Ints = wrong.astype(np.int64) * scale
    else:
        values = np.rint((scores - labels) ** 2 * scale).astype(np.int64)
    return values
