"""From rows to the figures below the verdict."""

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from harness.experiments import Experiment
from harness.log.log import Log
from harness.replays import read_scores
from harness.report import aggregate
from harness.report.aggregate import Words
from harness.report.figures import (
    Absent,
    Bounds,
    Calibration,
    Flips,
    Maturity,
    Missing,
    NoiseFloor,
    ScoreDifference,
    Scores,
    Serving,
)
from harness.report.rows import Flags, Floats, Rows
from policies.columns import Columns
from policies.estimate import estimate
from policies.fold import difference_sign, fold
from policies.groups import Grouped
from policies.metric_plan import MetricPlan
from policies.options import declared
from policies.serving import LATENCY

_BINARY = frozenset({"brier", "accuracy", "log_loss", "cost"})
_DECIDED = frozenset({"accuracy", "cost"})
_NO_PAIRS = Absent("No decision of the window has both scores yet; they come with the first look.")


def primary(experiment: Experiment) -> MetricPlan:
    """Return the first primary metric: the page is about this one, others are gates."""
    return next(metric for metric in experiment.plan.metrics if metric.role == "primary")


def threshold(experiment: Experiment) -> float | None:
    """Return the score from which on an answer is positive, if any metric of the plan names one."""
    found = [metric.threshold for metric in experiment.plan.metrics if metric.threshold is not None]
    return found[0] if found else None


def naive_z(rows: Rows, metric: MetricPlan, usable: Flags) -> float | None:
    """Return the paired z over single decisions as if they were independent: above 0 favours the challenger.

    This is what a harness that ignores units and repeated looks reads; nothing gates on it.
    """
    if np.count_nonzero(usable) < 2 or not _by_decision(metric):  # noqa: PLR2004 -- no variance of one
        return None
    columns = rows.table.filter(pa.array(usable))
    values = metric.kind.values(Columns(columns), metric)
    gain = (difference_sign(metric) * (values.challenger - values.champion))[values.usable]
    spread = float(gain.std(ddof=1)) if gain.size > 1 else 0.0
    return float(gain.mean()) / (spread / float(np.sqrt(gain.size))) if spread > 0 else None


def _by_decision(metric: MetricPlan) -> bool:
    """Return whether a decision has a value of its own that the paired columns alone can tell."""
    return not isinstance(metric.kind, Grouped) and not metric.columns


def scores(rows: Rows, experiment: Experiment, names: tuple[str, str]) -> Scores | Absent:
    """Return the density of both scores."""
    first, second = _both(rows)
    if not first.size:
        return _NO_PAIRS if not rows.table.num_rows else Absent("The models decide without a score.")
    limit = threshold(experiment)
    return aggregate.score_figure(first, second, thresholds=(limit, limit), names=names)


def flips(rows: Rows, experiment: Experiment) -> Flips | Absent:
    """Return the matrix of decisions as recorded; without any, that of the scores against the threshold."""
    if not rows.table.num_rows:
        return _NO_PAIRS
    label = experiment.declared.label.name
    limit = threshold(experiment)
    live, other, both = _recorded(rows)
    if not both.any():
        if limit is None:
            return Absent("The models give scores without decisions, and the plan names no threshold.")
        live, other, both = _by_threshold(rows, limit, label)
    outcome = np.where(rows.known, rows.floats("label"), np.nan)[both]
    return aggregate.flip_figure(
        live[both],
        other[both],
        outcome,
        words=label.replace("_", " "),
        positive_decision=_positive(experiment, live[both], rows.floats("champion_score")[both]),
        threshold=limit,
    )


def _recorded(rows: Rows) -> tuple[Words, Words, Flags]:
    """Return both models' decisions, and where both decided."""
    columns = [rows.table.column(f"{name}_decision") for name in ("champion", "challenger")]
    both = np.asarray(pc.and_(*(pc.is_valid(column) for column in columns)).to_numpy(), dtype=np.bool_)
    live, other = (np.asarray(pc.fill_null(column, "").to_numpy(), dtype=np.str_) for column in columns)
    return live, other, both


def _by_threshold(rows: Rows, limit: float, label: str) -> tuple[Words, Words, Flags]:
    first, second = rows.floats("champion_score"), rows.floats("challenger_score")
    live, other = (np.where(side >= limit, label, f"not {label}") for side in (first, second))
    return live, other, np.isfinite(first) & np.isfinite(second)


def _positive(experiment: Experiment, decisions: Words, values: Floats) -> str | None:
    """Return the decision that stands for the label: the declared one, else that with the higher scores."""
    declared = [m.positive_decision for m in experiment.plan.metrics if m.positive_decision is not None]
    if declared:
        return declared[0]
    names, codes = np.unique(decisions, return_inverse=True)
    fine = np.isfinite(values)
    count = np.bincount(codes[fine], minlength=names.size)
    total = np.bincount(codes[fine], weights=values[fine], minlength=names.size)
    return str(names[np.argmax(total / np.maximum(count, 1))]) if names.size > 1 else None


def _both(rows: Rows) -> tuple[Floats, Floats]:
    first, second = rows.floats("champion_score"), rows.floats("challenger_score")
    fine = np.isfinite(first) & np.isfinite(second)
    return first[fine], second[fine]


def calibration(rows: Rows, experiment: Experiment) -> Calibration | Absent:
    """Return the reliability of both models, where scores are probabilities and labels 0 or 1."""
    first, second, label = (rows.floats(name) for name in ("champion_score", "challenger_score", "label"))
    fine = rows.known & np.isfinite(first) & np.isfinite(second)
    first, second, label = first[fine], second[fine], label[fine]
    if not label.size:
        return Absent("No matured decision has both scores and an outcome yet.")
    if not np.isin(label, (0.0, 1.0)).all():
        return Absent("Calibration is drawn for labels 0 and 1; this label has other values.")
    if min(first.min(), second.min()) < 0 or max(first.max(), second.max()) > 1:
        return Absent("Calibration is drawn for probabilities; these scores lie outside 0 to 1.")
    words = experiment.declared.label.name.replace("_", " ")
    return aggregate.calibration_figure(first, second, label, words=words)


def differences(
    rows: Rows, log: Log, experiment: Experiment, noise: dict[str, object] | None, scores_up_to: int
) -> ScoreDifference | Absent:
    """Return the histogram of challenger minus champion, with the noise floor that the look counted."""
    first, second = _both(rows)
    if not first.size:
        return _NO_PAIRS if not rows.table.num_rows else Absent("The models decide without a score.")
    gap = second - first
    start, width, counts, inside = aggregate.histogram(gap)
    median, q05, q95 = (float(v) for v in np.quantile(gap, [0.5, 0.05, 0.95], method="inverted_cdf"))
    floor = _noise(rows, log, experiment, noise, scores_up_to, (start, width, len(counts)))
    return ScoreDifference(start, width, counts, inside, median, q05, q95, floor)


def _noise(
    rows: Rows,
    log: Log,
    experiment: Experiment,
    noise: dict[str, object] | None,
    scores_up_to: int,
    bins: tuple[float, float, int],
) -> NoiseFloor | Absent:
    if experiment.rescore is None:
        return Absent("the experiment names no model to re-score (champion.rescore).")
    if noise is None:
        return Absent("no decision of that model and version has been scored again yet.")
    counted = msgspec.convert(noise, _Noise, strict=False)
    histogram: tuple[int, ...] = ()
    if counted.differing_scores:
        place = rows.decisions.column("position").to_numpy()
        again = read_scores(
            log,
            experiment.rescore.digest,
            experiment.decision_point,
            int(place.min()),
            int(place.max()) + 1,
            up_to=scores_up_to,
        )
        gap = _rescored(rows, again)
        histogram = aggregate.rebin(gap[gap != 0], *bins) if gap.size else ()
    return NoiseFloor(
        counted.rows,
        counted.differing_scores,
        counted.differing_decisions,
        counted.max_abs_difference or 0.0,
        histogram,
    )


class _Noise(msgspec.Struct, frozen=True):
    rows: int
    differing_scores: int
    differing_decisions: int
    max_abs_difference: float | None = None


def _rescored(rows: Rows, again: pa.Table) -> Floats:
    """Return re-scored minus recorded where both are numbers."""
    place = rows.decisions.column("position").to_numpy()
    recorded = np.asarray(rows.decisions.column("score").cast(pa.float64()).to_numpy(zero_copy_only=False))
    at = np.searchsorted(place, again.column("decision_position").to_numpy())
    scored = np.asarray(again.column("score").cast(pa.float64()).to_numpy(zero_copy_only=False))
    inside = at < place.size
    gap: Floats = scored[inside] - recorded[at[inside]]
    return gap[np.isfinite(gap)]


def maturity(rows: Rows, experiment: Experiment) -> Maturity:
    """Return when outcomes arrived, over the mature decisions."""
    return aggregate.maturity_figure(
        rows.age_hours[rows.known],
        mature=int(np.count_nonzero(rows.mature)),
        window_hours=experiment.label_window.total_seconds() / 3_600,
        label=experiment.declared.label.name,
        late=rows.late_count,
    )


def missing(rows: Rows, experiment: Experiment) -> Missing | Absent:
    """Return the estimate itself with every missing outcome set against the challenger, and for it."""
    metric = primary(experiment)
    lost = rows.mature & ~rows.known
    count = int(np.count_nonzero(lost))
    if metric.identification != "direct":
        return Absent("Replaced by the bounds above: outcomes of actions that were not taken are never seen.")
    if metric.name not in _BINARY:
        return Absent("Drawn for labels 0 and 1 alone: other labels have no extremes.")
    if not count:
        return Absent("No mature decision lacks its outcome.")
    if not rows.known.any():
        return Absent("No mature decision has its outcome yet.")
    gains = [_gain(rows, metric, label) for label in (0.0, 1.0)]
    worst = np.where(gains[1] < gains[0], 1.0, 0.0)
    ends = []
    for labels in (worst, 1.0 - worst):
        filled = np.where(lost, labels, rows.floats("label"))
        table = rows.table.set_column(rows.table.schema.get_field_index("label"), "label", pa.array(filled))
        alone = msgspec.structs.replace(experiment.plan, metrics=(metric,))
        point = estimate(fold(table.filter(pa.array(rows.mature)), alone), alone)[0].point
        ends.append(0.0 if point is None else difference_sign(metric) * point)
    return Missing(count, ends[0], ends[1])


def _gain(rows: Rows, metric: MetricPlan, label: float) -> npt.NDArray[np.float64]:
    column = pa.array(np.full(rows.table.num_rows, label))
    table = rows.table.set_column(rows.table.schema.get_field_index("label"), "label", column)
    values = metric.kind.values(Columns(table), metric)
    return difference_sign(metric) * (values.challenger - values.champion)


def bounds(rows: Rows, experiment: Experiment) -> tuple[Bounds | None, int, int]:
    """Return the bounds of a blocked metric, and in how many of how many decisions the outcome is unseen.

    Where both models decide alike the recorded outcome is that of both; where not, it could be anything.
    """
    metric = primary(experiment)
    read = Columns(rows.table)
    differ = read.decisions_differ
    total, unseen = rows.table.num_rows, int(np.count_nonzero(differ))
    if metric.name not in _DECIDED or not total:
        return None, unseen, total
    used = differ | rows.known
    values = metric.kind.values(read, metric)
    seen = (values.challenger - values.champion)[rows.known & ~differ & values.usable]
    reach = metric.kind.limit(metric) * unseen
    size = max(int(np.count_nonzero(used)), 1)
    return Bounds((float(seen.sum()) - reach) / size, (float(seen.sum()) + reach) / size), unseen, total


def serving(rows: Rows, experiment: Experiment) -> Serving | Absent:
    """Return recorded times, beside the objective that gates, and the challenger's failures."""
    if not rows.scored:
        return Absent("The challenger has scored nothing yet.")
    latency = (
        aggregate.latency_rows(rows.champion_ms, rows.challenger_ms)
        if rows.champion_ms.size
        else Absent("No serving times were recorded; they come with latency_us in the decision events.")
    )
    failures = tuple((reason, count, "") for reason, count in rows.errors.items())
    timed, alone = int(rows.champion_ms.size), int(rows.challenger_ms.size)
    objectives = (declared(m.slo_us) for m in experiment.plan.metrics if m.name == LATENCY)
    objective = next((us for us in objectives if us is not None), None)
    slo_ms = None if objective is None else objective / 1_000
    return Serving(latency, timed, slo_ms, failures, rows.scored, alone)
