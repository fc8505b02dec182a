"""The network between recorders and log, and everything that can happen to a frame on it."""

import random

from recorders.errors import AppendError, LinkUnavailable
from recorders.frame import Frame, Receipt
from tests.simulation.model_log import ModelLog


class Network:
    """Takes frames to the log, or does not. One for all services."""

    def __init__(self, log: ModelLog, chance: random.Random, faults: frozenset[str]) -> None:
        self.log = log
        self.chance = chance
        self.faults = faults
        self.down = False
        self.late: list[tuple[Frame, int]] = []
        self.acked: dict[object, int] = {}

    def happens(self, fault: str, probability: float) -> bool:
        return fault in self.faults and self.chance.random() < probability

    def send(self, frame: Frame) -> Receipt:
        """Deliver a frame as the in-process link would, with what can happen on the way."""
        acked = self.acked.get(frame.writer, 0)
        if self.down or self.happens("lose request", 0.1):
            raise LinkUnavailable("no route")
        if self.happens("deliver late", 0.1):
            self.late.append((frame, acked))
            raise LinkUnavailable("no answer yet")
        if self.happens("commit late", 0.15) and self.log.begin(frame, acked):
            raise LinkUnavailable("no answer yet")
        receipt = self.log.append(frame, acked)
        if self.happens("deliver twice", 0.15):
            self.late.append((frame, acked))
        if self.happens("lose reply", 0.15):
            raise LinkUnavailable("the reply was lost")
        self.acked[frame.writer] = frame.sequence
        return receipt

    def close(self) -> None:
        pass

    def deliver_one_late(self) -> None:
        """Let a frame arrive that somebody gave up waiting for. Nobody hears the answer."""
        if self.late:
            frame, acked = self.late.pop(self.chance.randrange(len(self.late)))
            try:
                self.log.append(frame, acked)
            except (LinkUnavailable, AppendError):
                return
