"""Intake: what stands behind the doors. Its word is that frames are on disk."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from recorders.errors import AppendError, LinkUnavailable
from recorders.fields import FeatureSet
from recorders.frame import Frame
from recorders.sidecar.hub import Hub
from recorders.sidecar.marks import Answer
from recorders.sidecar.wire import KINDS, NO_SCHEMA, Arrived


class Intake(Protocol):
    """Takes frames for good, as the sidecar's spool does."""

    async def submit(self, frames: Sequence[Frame]) -> None:
        """Return once all frames survive the death of the process. They are in order of their sequence.

        Raises:
            LinkUnavailable: nothing can be kept now; some of the frames may have been.
            AppendError: a frame cannot be used.
        """
        ...


class SpoolIntake:
    """Hands frames to the sidecar's hub: one spool, one quota for services and doors alike."""

    def __init__(self, hub: Hub, feature_sets: Sequence[FeatureSet]) -> None:
        self._hub = hub
        for declared in feature_sets:
            hub.announce(bytes.fromhex(declared.digest), declared.canonical())

    async def submit(self, frames: Sequence[Frame]) -> None:
        """Return once the spool has all frames."""
        if self._hub.draining:
            raise LinkUnavailable("the sidecar is being drained")
        sender = _Submission(len(frames))
        for frame in frames:
            self._hub.take(sender, _arrived(frame))
        await sender.answered


class _Submission:
    """The frames of one submission, as a connection of the hub; done when all are answered."""

    def __init__(self, frames: int) -> None:
        self.answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._missing = frames
        self._refusal: Answer | None = None

    def answer(self, answered: Sequence[tuple[Arrived, Answer]]) -> None:
        """Take the hub's word; the first frame that was not kept decides."""
        self._missing -= len(answered)
        refused = next((answer for _, answer in answered if not answer.kept), None)
        self._refusal = self._refusal or refused
        if self._missing or self.answered.done():
            return
        if self._refusal is None:
            self.answered.set_result(None)
        elif self._refusal.reason == "full":
            self.answered.set_exception(LinkUnavailable(self._refusal.text))
        else:
            self.answered.set_exception(_refused(self._refusal))

    def pause(self) -> None:
        """Go on: the desk hands over one commit at a time, and holds a bounded number of requests."""

    def resume(self) -> None:
        """Go on."""


def _refused(answer: Answer) -> AppendError:
    return AppendError(
        f"The spool refuses a frame of the doors: {answer.text} ({answer.reason}).",
        "Expected that it takes what a new writer sends.",
        "Look at `harness sidecar status` and its log; the sender may try again.",
    )


def _arrived(frame: Frame) -> Arrived:
    return Arrived(
        writer=frame.writer.bytes,
        sequence=frame.sequence,
        kind=KINDS.index(frame.kind),
        decision_point=frame.decision_point,
        schema=bytes.fromhex(frame.schema_digest) or NO_SCHEMA,
        events=frame.events,
        digest=bytes.fromhex(frame.digest),
        payload=frame.payload,
    )
