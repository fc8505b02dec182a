"""Everything the page shows, frozen: what `gather` counts from the log and `page` writes down.

Ranges are half-open log positions; times are aware and in UTC. A part that has no data is `Absent` with the
sentence that says what is missing and when it comes: its heading stays on the page.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from harness.beside import Aside
from harness.report.figures import (
    Absent,
    Bounds,
    Calibration,
    Flips,
    Maturity,
    Missing,
    ScoreDifference,
    Scores,
    Serving,
    Slices,
    Stage,
    WatchedInputs,
)
from harness.report.findings import Range, State, Verdict

GateState = Literal["passes", "fails", "waits"]
Claim = Literal["superiority", "non-inferiority", "equivalence", "harm"]


@dataclass(frozen=True, slots=True)
class Model:
    """One of the two models. `trained` is its declared training range, None when it was never declared."""

    name: str
    trained: Range | None


@dataclass(frozen=True, slots=True)
class Metric:
    """The primary metric. `decimals` holds for its values, differences and margins in the whole page."""

    name: str
    difference: str
    direction: Literal["lower", "higher"]
    decimals: int
    margin: float | None
    identification: Literal["direct", "logged_action", "blocked"] = "direct"

    @property
    def sign(self) -> int:
        """-1 where a lower value is better, +1 where a higher one is."""
        return -1 if self.direction == "lower" else 1

    @property
    def limit(self) -> float | None:
        """The margin as a difference: on the worse side of 0."""
        return None if self.margin is None else -self.sign * self.margin


@dataclass(frozen=True, slots=True)
class Plan:
    """What was registered before the data was looked at. `unit` is a plural noun: "days", "decisions"."""

    policy: str
    registered_at: int
    alpha: float
    unit: str
    unit_note: str
    min_units: int
    min_decisions: int
    max_looks: int
    every: str
    exact: bool
    window_hours: float
    expected: tuple["PlannedLook", ...] = ()

    @property
    def level(self) -> str:
        """The level of the intervals in words, as "95 % confidence sequence" needs it."""
        return f"{(1 - self.alpha) * 100:.1f}".removesuffix(".0") + "\u202f%"

    @property
    def needed_e(self) -> float:
        """The e-value that a hypothesis needs: 1 / alpha."""
        return 1 / self.alpha


@dataclass(frozen=True, slots=True)
class PlannedLook:
    """A look that is still to come: when, and how many decisions should have matured by then."""

    time: datetime
    used: int


@dataclass(frozen=True, slots=True)
class Look:
    """One look at the primary metric. `naive_z` is the paired z over single decisions, read naively."""

    number: int
    position: int
    time: datetime
    used: int
    units: int
    difference: float | None
    low: float | None
    high: float | None
    state: State
    log_e: float | None = None
    noninferior: bool = False
    superior: bool = False
    naive_z: float | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Levels:
    """The primary metric's value for each model over the decisions used."""

    champion: float
    challenger: float


@dataclass(frozen=True, slots=True)
class Gate:
    """One rule that the policy reads.

    `form` says how its figures are written: a difference of a metric, a share, a count, or `words` alone.
    `worse` is the side of the limit that fails. The strip is drawn from `value`, `low`, `high` and `limit`.
    """

    name: str
    group: Literal["primary", "guardrail", "data", "people"]
    rule: str
    state: GateState
    form: Literal["difference", "share", "count", "words"]
    worse: Literal["above", "below"] = "above"
    value: float | None = None
    low: float | None = None
    high: float | None = None
    limit: float | None = None
    decimals: int = 4
    words: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """One control event of the experiment; `position` None is what comes next."""

    position: int | None
    time: datetime | None
    text: str
    actor: str = ""


@dataclass(frozen=True, slots=True)
class Command:
    """A command that checks the report, with the comment above it."""

    why: str
    line: str


@dataclass(frozen=True, slots=True)
class Provenance:
    """What "Reproduce it" prints: commands and (name, text, full digest) rows."""

    commands: tuple[Command, ...]
    digests: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class ReportData:
    """One experiment at one position. `claim` is the hypothesis whose e-value the looks carry.

    `window_over`: the newest look saw all decisions of the window matured, so that no later one sees more.
    """

    decision_point: str
    question: str
    predicts: str
    experiment: str
    position: int
    time: datetime
    champion: Model
    challenger: Model
    metric: Metric
    plan: Plan
    verdict: Verdict
    looks: tuple[Look, ...]
    evaluated: Range
    window: tuple[datetime, datetime]
    gates: tuple[Gate, ...]
    levels: Levels | None
    coverage: tuple[Stage, ...] | Absent
    scores: Scores | Absent
    flips: Flips | Absent
    calibration: Calibration | Absent
    differences: ScoreDifference | Absent
    slices: Slices | Absent
    serving: Serving | Absent
    maturity: Maturity | Absent
    missing: Missing | Absent
    bounds: Bounds | None
    events: tuple[Event, ...]
    provenance: Provenance
    limits: tuple[str, ...]
    claim: Claim = "superiority"
    next_look: datetime | None = None
    window_over: bool = False
    asides: tuple[Aside, ...] = ()
    inputs: tuple[WatchedInputs, ...] = ()

    @property
    def last(self) -> Look | None:
        """The newest look, None before the first."""
        return self.looks[-1] if self.looks else None
