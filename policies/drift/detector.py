"""Watching matured losses day by day: an alarm whose average run length is chosen, not hoped for.

A Shiryaev-Roberts e-detector (Shin, Ramdas and Rinaldo 2024): while the mean loss stays at or below the
baseline's upper limit, the expected time to the first false alarm is at least `run_days`. It reads the order
of days, so its state is folded on the log and does not merge; the days it reads do.
"""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import msgspec
import numpy as np
from scipy.stats import beta, t

from policies.accumulators import LOG_UNIT, Moments
from policies.checks import between, positive, refuse
from policies.columns import Floats
from policies.errors import EvidenceMismatch
from policies.evalues import fan, grid, mixture
from policies.fixed import VALUE_MAX
from recorders.canonical import canonical_json

FORMAT = 1
_FEW_UNITS = 2  # a spread needs two


class DetectorPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is watched, and how rarely it may alarm without cause.

    `losses`: `binary` are 0 or 1, `bounded` from 0 to `bound`; kept as integers in units of 1/`scale`.
    `unit`: `request` bets on each decision, given the ones before it; `day` on each day's mean, for losses
    that fall together in a day (docs/adr/0009). `run_days`: the average run to a false alarm, at least.
    `confidence` is that of the baseline's upper limit, `tolerance` how much worse than that limit is still
    no news, relatively.
    """

    losses: Literal["binary", "bounded"] = "binary"
    unit: Literal["request", "day"] = "request"
    bound: float = 1.0
    scale: int = 2**24
    run_days: int = 3650
    confidence: float = 0.99
    tolerance: float = 0.0
    bets: int = 24
    least_bet: float = 0.005
    largest_bet: float = 0.9

    def __post_init__(self) -> None:
        positive("detector", bound=self.bound)
        between("detector.confidence", self.confidence, 0.5, 1.0)
        between("detector.least_bet", self.least_bet, 0.0, 1.0)
        between("detector.largest_bet", self.largest_bet, self.least_bet, 1.0)
        if self.run_days < 1 or self.bets < 1:
            refuse("detector.run_days", self.run_days, "at least 1, and at least one bet", "Raise it.")
        if not 0.0 <= self.tolerance < math.inf:
            refuse("detector.tolerance", self.tolerance, "a finite number of at least 0", "Correct it.")
        if self.losses == "binary" and self.bound != 1.0:
            refuse("detector.bound", self.bound, "1 for binary losses", "Leave it out.")
        whole = self.scale >= 1 and self.scale & (self.scale - 1) == 0
        if not whole or self.bound * self.scale > VALUE_MAX:
            refuse("detector.scale", self.scale, "a power of two, times the bound up to 2**40", "Lower it.")


class LossDay(NamedTuple):
    """The matured losses of one local day, days counted since 1970-01-01; moments in units of 1/scale."""

    number: int
    losses: Moments


class Baseline(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the losses were: their mean, and the limit that alarms are about. All in the loss's own unit.

    `validity` is of the limit: exact where losses are 0 or 1 and requests the units, else asymptotic.
    """

    mean: float
    limit: float
    days: int
    decisions: int
    validity: Literal["exact", "asymptotic"]


def baseline_of(days: Sequence[LossDay], plan: DetectorPlan) -> Baseline:
    """Return the baseline of past days, with an upper limit of the mean loss at the plan's confidence.

    For requests with binary losses the limit is Clopper and Pearson's, exact; else Student's over requests
    or days. Nobody knows the true rate: to take the mean for it alarms too often, as often as luck had it.

    Raises:
        PlanError: there are fewer than two units.
        EvidenceMismatch: a loss is not what the plan declares.
    """
    losses = Moments.empty()
    for day in days:
        _check(day.losses, plan)
        losses = losses.merge(day.losses)
    held = [day for day in days if day.losses.count]
    units = len(held) if plan.unit == "day" else losses.count
    if units < _FEW_UNITS:
        refuse("baseline", f"{units} units", "at least two", "Choose a longer baseline.")
    validity: Literal["exact", "asymptotic"] = "asymptotic"
    if plan.unit == "request" and plan.losses == "binary":
        failed = losses.total // plan.scale
        mean, validity = failed / losses.count, "exact"
        upper = (
            float(beta.ppf(plan.confidence, failed + 1, losses.count - failed))
            if failed < losses.count
            else 1.0
        )
    else:
        mean, upper = _student(held, losses, plan)
    limit = max(upper, plan.bound / (units + 1)) * (1.0 + plan.tolerance)
    return Baseline(mean, min(limit, plan.bound), len(held), losses.count, validity)


class Detector(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The state after some days. `logs` hold log(1 + M) per bet in units of 2**-40, rounded down.

    Rounding down can only delay an alarm. `log_level` is the log of the mean M, which is read against
    `run_days`; `alarm` is the first day on which it reached it.
    """

    plan: DetectorPlan
    baseline: Baseline
    logs: tuple[int, ...]
    days: int = 0
    last: int | None = None
    log_level: float | None = None
    alarm: int | None = None

    @classmethod
    def start(cls, plan: DetectorPlan, baseline: Baseline) -> "Detector":
        """Return the detector before its first day."""
        return cls(plan, baseline, (0,) * plan.bets)

    def step(self, day: LossDay) -> "Detector":
        """Return the detector after one more closed day; a day without losses changes no capital.

        Raises:
            EvidenceMismatch: the day is not later than the last one, or a loss is not what the plan declares.
        """
        if self.last is not None and day.number <= self.last:
            raise EvidenceMismatch("the day", day.number, f"a day after {self.last}")
        gains = self._log_gains(day.losses)
        capital = np.array(self.logs) / LOG_UNIT + gains
        level = mixture(capital)
        grown = np.floor(np.logaddexp(0.0, capital) * LOG_UNIT).astype(np.int64)
        reached = self.alarm is None and level >= math.log(self.plan.run_days)
        return msgspec.structs.replace(
            self,
            logs=tuple(grown.tolist()),
            days=self.days + 1,
            last=day.number,
            log_level=float(f"{level:.12g}"),
            alarm=day.number if reached else self.alarm,
        )

    def to_json(self) -> bytes:
        """Return the canonical JSON that a control event keeps."""
        return canonical_json({"format": FORMAT, **msgspec.to_builtins(self)})

    @classmethod
    def from_json(cls, data: bytes | str) -> "Detector":
        """Return the detector that `to_json` wrote.

        Raises:
            EvidenceMismatch: it was written in another format.
        """
        raw = msgspec.json.decode(data)
        found = raw.pop("format", None)
        if found != FORMAT:
            raise EvidenceMismatch("format", found, FORMAT)
        return msgspec.convert(raw, cls)

    def _log_gains(self, losses: Moments) -> Floats:
        """Return the day's log e-value of each bet against "the mean loss is at most the limit"."""
        plan, limit = self.plan, self.baseline.limit
        bets = grid(plan.bets, plan.least_bet, plan.largest_bet)
        _check(losses, plan)
        count, total = losses.count, losses.total / plan.scale
        if not count:
            return np.zeros(bets.size)
        if plan.unit == "day":
            day: Floats = np.log1p(bets * (total / count / limit - 1.0))
            return day
        if plan.losses == "binary":
            won: Floats = total * np.log1p(bets * (1.0 / limit - 1.0)) + (count - total) * np.log1p(-bets)
            return won
        squares = losses.squares / plan.scale**2
        above = squares / limit**2 - 2.0 * total / limit + count
        return fan(count, total / limit - count, above, 0.0, bets)


def detect(days: Sequence[LossDay], plan: DetectorPlan, baseline: Baseline) -> Detector:
    """Return the detector after these days, in the order of their numbers."""
    found = Detector.start(plan, baseline)
    for day in sorted(days, key=lambda each: each.number):
        found = found.step(day)
    return found


def _check(losses: Moments, plan: DetectorPlan) -> None:
    """Refuse sums that no losses of the declared kind can have."""
    within = 0 <= losses.total <= losses.count * plan.bound * plan.scale
    # x(scale - x) is 0 for each loss 0 or 1, and more than 0 for each one between.
    if not within or (plan.losses == "binary" and losses.squares != losses.total * plan.scale):
        raise EvidenceMismatch(
            f"{losses.count} losses with the sum", losses.total / plan.scale, f"{plan.losses} losses"
        )


def _student(days: Sequence[LossDay], losses: Moments, plan: DetectorPlan) -> tuple[float, float]:
    """Return the mean over the units and Student's upper limit."""
    if plan.unit == "day":
        means = np.array([day.losses.total / day.losses.count for day in days]) / plan.scale
        mean, spread, units = float(means.mean()), float(means.std(ddof=1)), means.size
    else:
        units = losses.count
        mean = losses.total / units / plan.scale
        rest = units * losses.squares - losses.total**2  # exact: integers
        spread = math.sqrt(rest / (units * (units - 1))) / plan.scale
    return mean, mean + float(t.ppf(plan.confidence, units - 1)) * spread / math.sqrt(units)
