"""What a verdict found, one class per sentence of the page: the figures and names that its words need."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

State = Literal["PROMOTE", "HOLD", "REJECT", "RETRAIN", "INVALID", "NOT_IDENTIFIABLE", "NONE"]
Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Promote:
    """Superior, or only not inferior; `flipped` is the share of decisions whose answer differs."""

    superior: bool
    flipped: float | None
    finding: str | None = None


@dataclass(frozen=True, slots=True)
class TooFew:
    """The registered minimum is not reached: `matured` of `required`, counted in `noun`."""

    required: int
    matured: int
    noun: str
    per_day: float | None
    by: datetime | None


@dataclass(frozen=True, slots=True)
class Undecided:
    """Enough data, no answer. `more` is the projection at the present difference, None: it will not."""

    more: int | None
    noun: str
    by: datetime | None
    max_look: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """The primary metric is decided and another gate still waits or fails without rejecting."""

    gate: str


@dataclass(frozen=True, slots=True)
class Reject:
    """The gate that is beyond its limit, and what it measures: "the Brier difference"."""

    gate: str
    what: str


@dataclass(frozen=True, slots=True)
class Retrain:
    """The proof is complete: who wins, what changed, and by how much it is better, measured and for sure."""

    winner: str
    change: str
    gain: float
    sure: float


@dataclass(frozen=True, slots=True)
class Invalid:
    """The defect as a clause, two facts with positions, the law it breaks, and who does what next."""

    defect: str
    facts: str
    law: str
    next: tuple[str, ...]
    overlap: Range | None = None
    overlap_decisions: int | None = None


@dataclass(frozen=True, slots=True)
class NotIdentifiable:
    """What is never seen, in how many decisions, and the exploration that would show it."""

    never_seen: str
    unseen: int
    decisions: int
    reason: str
    explore: float | None
    where: str
    period: str


@dataclass(frozen=True, slots=True)
class NoLook:
    """The experiment waits for its first look, when about `expected` decisions will have matured."""

    first: datetime | None
    expected: int | None
    recorded: int
    scored: int
    matured: int


Finding = Promote | TooFew | Undecided | Waiting | Reject | Retrain | Invalid | NotIdentifiable | NoLook


@dataclass(frozen=True, slots=True)
class Verdict:
    """The state and what its sentences need; `promoted` is the position of the recorded promotion."""

    state: State
    finding: Finding
    approvals: tuple[int, int] | None = None
    promoted: int | None = None
