"""What each plot and table below the verdict shows, frozen. Shares are of 1; times of serving are in ms."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Absent:
    """A part of the page without data: `sentence` says what is missing and when it comes."""

    sentence: str


@dataclass(frozen=True, slots=True)
class Scores:
    """Density of both models' scores on one shared square domain; below 500 decisions `points`, not `cells`.

    A cell is (champion score, challenger score, decisions) at the centre of a hexagon. `bands` is the 5 x 5
    table of counts over equal parts of the domain, champion in rows. `constant` names the models whose score
    never varies.
    """

    total: int
    low: float
    high: float
    outside: float
    cells: tuple[tuple[float, float, int], ...]
    points: tuple[tuple[float, float], ...]
    bands: tuple[tuple[int, ...], ...]
    champion_threshold: float | None
    challenger_threshold: float | None
    constant: str | None = None


@dataclass(frozen=True, slots=True)
class FlipCell:
    """Decisions of one cell of the flip matrix: scored by both, with an outcome, and positive in fact."""

    scored: int
    used: int
    positive: int

    @property
    def share_positive(self) -> float | None:
        """The positive share of the decisions whose outcome is known; None when none is."""
        return self.positive / self.used if self.used else None


@dataclass(frozen=True, slots=True)
class Flips:
    """Champion's decisions in rows, challenger's in columns. `positive` names the outcome: "late"."""

    decisions: tuple[str, ...]
    cells: tuple[tuple[FlipCell, ...], ...]
    positive: str
    positive_decision: str | None
    threshold: float | None

    @property
    def scored(self) -> int:
        """All decisions in the matrix."""
        return sum(cell.scored for row in self.cells for cell in row)

    @property
    def flipped(self) -> int:
        """Decisions off the diagonal."""
        return sum(cell.scored for i, row in enumerate(self.cells) for j, cell in enumerate(row) if i != j)


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """One bin of equal count: mean predicted, observed share with its interval, and how many decisions."""

    predicted: float
    observed: float
    low: float
    high: float
    count: int


@dataclass(frozen=True, slots=True)
class Calibration:
    """Reliability of both models over the decisions used; gaps are mean observed minus mean predicted."""

    champion: tuple[CalibrationBin, ...]
    challenger: tuple[CalibrationBin, ...]
    champion_gap: float
    challenger_gap: float
    positive: str


@dataclass(frozen=True, slots=True)
class NoiseFloor:
    """The champion re-scored on its own snapshots. `counts` has the bins of the score difference."""

    rows: int
    differing: int
    differing_decisions: int
    largest: float
    counts: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ScoreDifference:
    """Histogram of challenger minus champion in bins of equal width from `start`, with the share inside."""

    start: float
    width: float
    counts: tuple[int, ...]
    inside: float
    median: float
    q05: float
    q95: float
    noise: NoiseFloor | Absent


@dataclass(frozen=True, slots=True)
class Slice:
    """The primary difference in one registered slice, after correction for the number of slices."""

    group: str
    name: str
    used: int
    difference: float
    low: float
    high: float
    state: Literal["better", "worse", "not separated"]


@dataclass(frozen=True, slots=True)
class Slices:
    """The registered slices, in the order of drawing, and how their flags are corrected."""

    rows: tuple[Slice, ...]
    correction: str


@dataclass(frozen=True, slots=True)
class LatencyRow:
    """One quantile of the recorded times, in ms; None where a model has no times."""

    name: str
    champion: float | None
    challenger: float | None


@dataclass(frozen=True, slots=True)
class Serving:
    """Times and failures: `failures` are (reason, decisions, note) of the challenger.

    `timed`: how many of the champion's times were recorded. `alone`: how many rows the challenger was asked
    alone, which its times are from; None where nobody counted them.
    """

    latency: tuple[LatencyRow, ...] | Absent
    timed: int
    slo_ms: float | None
    failures: tuple[tuple[str, int, str], ...]
    scorings: int
    alone: int | None = None


@dataclass(frozen=True, slots=True)
class Stage:
    """Decisions that reached a stage of counting, and why others left just before it."""

    name: str
    kept: int
    left: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Maturity:
    """Share of mature decisions whose outcome was known by age: (hours, share) steps, up to the window.

    `never` is the share without an outcome in time; `late` of those decisions have one that came too late.
    """

    label: str
    curve: tuple[tuple[float, float], ...]
    window_hours: float
    half_hours: float | None
    most_hours: float | None
    never: float
    mature: int
    late: int = 0


@dataclass(frozen=True, slots=True)
class Missing:
    """The difference if every missing outcome had gone against the challenger, or for it."""

    outcomes: int
    against: float
    favourable: float


@dataclass(frozen=True, slots=True)
class Bounds:
    """Every difference that agrees with a log that blocks outcomes; `planned` ends are with exploration."""

    low: float
    high: float
    planned: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class InputRow:
    """One watched column on a day: "broken", "drift", "ok" or "not enough data", and why."""

    name: str
    answer: str
    reason: str


@dataclass(frozen=True, slots=True)
class WatchedInputs:
    """The newest answer of one monitor of the decision point, what matters most to the model first.

    `left`: columns beyond those of `rows`. `encrypted`: features that it leaves closed.
    """

    monitor: str
    day: str
    answer: str
    decisions: int
    rows: tuple[InputRow, ...]
    left: int
    encrypted: tuple[str, ...]
