"""Recorders that stand still, links that remember, and clocks that are told the time."""

import random
import threading
from collections.abc import Callable
from datetime import UTC, datetime

from recorders.clock import Clock
from recorders.courier import carry
from recorders.errors import LinkUnavailable
from recorders.fields import FIELD_TYPES, FeatureSet, Field
from recorders.frame import Frame, Receipt
from recorders.outbox import Outbox
from recorders.recorder import Recorder

TWO = FeatureSet("two", 1, (Field("age", "int64"), Field("amount", "float64")))
EVERY = FeatureSet("every", 1, tuple(Field(f"a_{i}", kind) for i, kind in enumerate(FIELD_TYPES)))
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
PLAIN: dict[str, object] = {"age": 41, "amount": 2.5}


class HeldClock:
    """A clock that moves when it is told to, and is set by so many seconds."""

    def __init__(self, set_by_s: float = 0.0) -> None:
        self.seconds = 1_000.0
        self.set_by_s = set_by_s

    def monotonic(self) -> float:
        return self.seconds

    def now_us(self) -> int:
        return int((self.seconds + self.set_by_s) * 1e6)


class MemoryLink:
    """A link that keeps frames in memory, or does what `answer` says first."""

    def __init__(self, answer: Callable[[Frame], None] | None = None) -> None:
        self.frames: list[Frame] = []
        self.answer = answer
        self.closed = False
        self._lock = threading.Lock()

    def send(self, frame: Frame) -> Receipt:
        if self.answer is not None:
            self.answer(frame)
        with self._lock:
            self.frames.append(frame)
            return Receipt(1, len(self.frames), "", 0, duplicate=False)

    def close(self) -> None:
        self.closed = True

    def events(self, kind: str = "decision") -> int:
        return sum(frame.events for frame in self.frames if frame.kind == kind)


def down(frame: Frame) -> None:
    raise LinkUnavailable("connection refused")


class StillRecorder(Recorder):
    """The production recorder without its thread: the test carries."""

    outbox_type = Outbox

    def __init__(self, *args: object, clock: Clock | None = None, seed: int = 0, **kwargs: object) -> None:
        self.clock = clock or HeldClock()
        self.chance = random.Random(seed)
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]

    def _new_outbox(self) -> Outbox:
        known = (self.decision_point, self._schema_digest, self._limits)
        return self.outbox_type(*known, self.clock, self.chance)

    def _start(self) -> None:
        self._open_hot_path()

    def promote(self, model: str, model_version: str) -> None:
        super().promote(model, model_version)
        if "_outbox" in self.__dict__:
            self._open_hot_path()

    @property
    def outbox(self) -> Outbox:
        return self._outbox

    def carry(self) -> bool:
        return carry(self._outbox, self._link)

    def carry_all(self) -> None:
        self._outbox.hurry()
        while self.carry():
            self._outbox.hurry()


def still(link: MemoryLink, **limits: object) -> StillRecorder:
    from recorders.limits import Limits

    return StillRecorder("fraud.checkout", TWO, link, model="m", model_version="1", limits=Limits(**limits))
