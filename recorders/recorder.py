"""The recorder: what a service calls with each decision. It never raises and never waits."""

import itertools
import os
import random
import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from time import time_ns
from typing import Any, Final, Self, Unpack

from recorders import exits, hotpath, leaving
from recorders.clock import SystemClock
from recorders.counters import Counters
from recorders.courier import Courier
from recorders.events import ENVELOPE, DecisionEncoder, checked_name, checked_point, encode_outcome
from recorders.fields import MUTABLE, FeatureSet
from recorders.frame import Kind
from recorders.guard import Guard
from recorders.limits import Limits
from recorders.link import Link
from recorders.outbox import Outbox
from recorders.pending import Known, PendingDecision
from recorders.queues import SLOT_BYTES
from recorders.refusals import Refusals
from recorders.sampling import Sampler, Sampling, kept_share
from recorders.segment_file import FOLDER, SegmentFile
from recorders.switch import KillSwitch, never
from recorders.values import instant_us

_PID_CHECK_EVERY: Final = 256  # records; a power of two


class Recorder:
    """Records the decisions of one decision point, and their outcomes.

    An event is checked and encoded on the caller's thread and its bytes are queued: no lock, no system
    call, nothing that the garbage collector walks. One background thread carries frames over `link`.
    Memory is bounded by `limits`; what does not fit is counted by reason, and reported into the log.
    `sampling` says which decisions are recorded; `switch` turns all of it off while it answers True, as
    do the variables of recorders/switch.py. `crash_proof` keeps events in shared memory too (or in files
    of the folder that it names), from which the sidecar has them after a SIGKILL.

    Raises:
        InvalidEvent: a decision point, model or version that is no name. (Only here and in `promote`.)
        FeatureSetError: the sampling does not fit the feature set, or pseudonyms have no key.
        OSError: the folder of `crash_proof` is not there, or has no room.
    """

    def __init__(  # noqa: PLR0913  # what a recorder is made of, each by name
        self,
        decision_point: str,
        feature_set: FeatureSet,
        link: Link,
        *,
        model: str,
        model_version: str,
        limits: Limits = Limits(),  # noqa: B008  # a constant
        sampling: Sampling | None = None,
        switch: Callable[[], bool] = never,
        crash_proof: bool | Path = False,
    ) -> None:
        self.decision_point = checked_point(decision_point)
        self.feature_set = feature_set
        self._link = link
        self._limits = limits
        encoder = DecisionEncoder(feature_set, limits)
        self._encode = encoder.encode
        self._schema_digest = feature_set.digest
        self._mutable = tuple(field.name for field in feature_set.fields if field.type in MUTABLE)
        self._refusals = Refusals()
        self._guard = Guard(self._refuse)
        self._sampler = None if sampling is None else Sampler(sampling, feature_set)
        self._switch = KillSwitch(switch)
        self._folder = FOLDER if crash_proof is True else crash_proof or None
        self._hot = encoder.hot if self._sampler is None and self._folder is None else None
        self._courier: Courier | None = None
        self._renewing = threading.RLock()
        self.promote(model, model_version)
        self.renew()
        exits.register(self, limits.exit_s)

    # The request path.

    @hotpath.fast(ENVELOPE)
    def record(  # noqa: C901, PLR0913  # calls cost more than branches; one keyword for each column of the envelope
        self,
        features: Mapping[str, object],
        *,
        score: float | None = None,
        decision: str | None = None,
        decision_id: str | None = None,
        occurred_at: datetime | None = None,
        unit: str | None = None,
        propensity: float | None = None,
        inclusion: float = 1.0,
        latency_us: int | None = None,
        trace_id: str | None = None,
        statuses: Mapping[str, str] | None = None,
        model: str | None = None,
        model_version: str | None = None,
    ) -> str | None:
        """Return the decision's id once the event is queued, None when it was not accepted.

        A declared field that is absent is recorded as None with status `missing`. An undeclared field,
        or a value of another type, refuses the event (`samples` says which). Never raises.
        """
        try:
            outbox = self._outbox
            if len(outbox.decisions) >= outbox.slots:
                self._turn_away(outbox)
                return None
            if self._courier is None:
                self._start()
                outbox = self._outbox  # this process's own, if it was forked without hooks
            if decision_id is None:
                decision_id = f"{self._prefix}{self._number()}"
            if self._sampler is not None:
                rate = self._sampler.chance(features, decision_id, unit, trace_id)
                if not rate:
                    outbox.sampled_out.add()
                    return None
                inclusion = kept_share(inclusion, rate)
            at_us = time_ns() // 1000 if occurred_at is None else instant_us("occurred_at", occurred_at)
            champion, version = self._champion
            envelope = (
                decision_id, at_us, unit, model or champion, model_version or version,
                score, decision, propensity, inclusion, latency_us, trace_id,
            )  # fmt: skip
            data = self._encode(features, envelope, statuses)
            if outbox.journal is None and len(data) <= SLOT_BYTES:
                outbox.decisions.append(data)
            else:
                kept = self._keep(outbox, "decision", data)
                if kept is None:
                    return None
                outbox = kept
            if not outbox.count_decision() % _PID_CHECK_EVERY:
                self._own_outbox()
            if not outbox.slots:
                outbox.sweep()
        except Exception as error:  # noqa: BLE001  # the guard, inline: a call of its own is a tenth of all
            self._refuse(error)
            return None
        return decision_id

    def outcome(
        self, decision_id: str, label: str, value: float | bool | None, *, occurred_at: datetime | None = None
    ) -> bool:
        """Return whether the outcome of a decision is queued. None withdraws an earlier one. Never raises."""
        with self._guard:
            outbox = self._own_outbox()
            if len(outbox.outcomes) >= outbox.slots:
                self._turn_away(outbox)
                return False
            at_us = time_ns() // 1000 if occurred_at is None else instant_us("occurred_at", occurred_at)
            if self._keep(outbox, "outcome", encode_outcome(decision_id, label, value, at_us)) is None:
                return False
            outbox.count_outcome()
            if self._courier is None:
                self._start()
            if not outbox.slots:
                outbox.sweep()
            return True
        return False

    def decision(self, features: Mapping[str, object], **known: Unpack[Known]) -> PendingDecision:
        """Return a context manager that records the decision taken within it, and how long that took.

        The snapshot is taken on entry. `known` are keywords of `record`; `.result(score=..., decision=...)`
        adds what became known inside. A block that raises is recorded too, with what it had.
        """
        return PendingDecision(self.record, features, known, self._mutable)

    def guarded(self, work: Callable[..., Any], *given: object) -> Any:
        """Return what `work(*given)` returns; None, and a refusal counted, when it raises.

        For code that a service runs for recording alone, such as the extractor of a middleware.
        """
        with self._guard:
            return work(*given)
        return None

    def _keep(self, outbox: Outbox, kind: Kind, data: bytes) -> Outbox | None:
        """Queue an event that is large, or is kept in shared memory too. Return the outbox that has it."""
        if outbox.journal is not None:
            outbox = self._own_outbox()  # a fork without hooks shares the parent's memory: never write there
        return outbox if outbox.keep(kind, data) else None

    def _turn_away(self, outbox: Outbox) -> None:
        outbox = outbox if self._courier is not None else self._own_outbox()
        outbox.turn_away()
        if outbox.stopped == "off" and self._courier is None:
            self._start()  # somebody has to see when recording is switched on again

    def _refuse(self, error: Exception) -> None:
        self._refusals.count(error, self._outbox.rejected)
        if self._courier is None:
            self._start()  # the log hears of refusals too

    # The operator's side.

    def promote(self, model: str, model_version: str) -> None:
        """Let later records name this model, unless they name one themselves.

        Raises:
            InvalidEvent: a model or version that is no name.
        """
        self._champion = (checked_name("model", model), checked_name("model_version", model_version))
        if self._courier is not None:
            self._open_hot_path()

    @property
    def counters(self) -> Counters:
        """What was accepted, sent, acknowledged, rejected and dropped so far in this process."""
        return self._own_outbox().counters()

    @property
    def samples(self) -> Mapping[str, str]:
        """The last refusal of each reason, in words."""
        return self._refusals.samples

    def flush(self, timeout_s: float = 5.0) -> bool:
        """Return whether the log holds all that was accepted before this call. Waits up to the timeout."""
        return leaving.flush(self._own_outbox(), timeout_s)

    def close(self, timeout_s: float = 2.0) -> bool:
        """Accept no more. Return whether the log holds everything and knows every loss, within the timeout.

        What could not leave is counted as dropped for the reason "exit". Safe to call twice. From a signal
        handler that interrupted `record` itself, with `crash_proof`, it is done right after; False then.
        """
        if self.postpone(partial(self.close, timeout_s)):
            return False
        complete, ended = leaving.close(self._own_outbox(), lambda: self._courier, timeout_s)
        if ended:
            self._link.close()
            exits.release(self)
        return complete

    def settle(self, timeout_s: float | None = None) -> bool:
        """Let all leave, losses too, and say goodbye: this process may end next. Recording goes on.

        Return whether the log holds everything and knows every loss, within the timeout (`Limits.exit_s`).
        """
        if self.postpone(partial(self.settle, timeout_s)):
            return False
        wait_s = self._limits.exit_s if timeout_s is None else timeout_s
        complete = leaving.settle(self._own_outbox(), lambda: self._courier, wait_s)
        self._link.close()
        return complete

    def postpone(self, work: Callable[[], object]) -> bool:
        """Have `work` done once the event is kept that the caller interrupted. Return False if it did not."""
        journal = self._own_outbox().journal
        return journal is not None and journal.postpone(work)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # One process, one writer.

    def renew(self) -> None:
        """Begin again as another writer with empty queues: what was queued is the parent's to send."""
        inherited: Outbox | None = self.__dict__.get("_outbox")
        if inherited is not None and inherited.journal is not None:
            inherited.journal.disown()
        outbox = self._new_outbox()
        if self._folder is not None:
            address = getattr(self._link, "address", "")  # of a sidecar, which drains what a SIGKILL leaves
            known = (self._folder, outbox.writer, self.decision_point, self.feature_set, address)
            outbox.journal = SegmentFile(*known, forked=inherited is not None)
            exits.hold(self)  # until it is closed its file is there, whether anything is recorded or not
        self._outbox = outbox
        self._prefix = f"{self._outbox.writer.hex[:20]}-"
        self._number = itertools.count(1).__next__ if self._hot is None else self._hot.number
        self._courier = None
        if self._hot is not None:
            self._hot.open(None)
        self._starting = threading.Lock()
        self._switch.watch(outbox)
        self._pid = os.getpid()  # last: who sees it may use the rest

    def _new_outbox(self) -> Outbox:
        return Outbox(
            self.decision_point, self._schema_digest, self._limits, SystemClock(), random.SystemRandom()
        )

    def _own_outbox(self) -> Outbox:
        """Return this process's outbox. Some servers fork without Python's fork hooks; the pid tells."""
        if self._pid != os.getpid():
            with self._renewing:  # of several threads one renews, the others wait for what it made
                if self._pid != os.getpid():
                    inherited = self._outbox
                    self.renew()
                    self._outbox.disown(inherited)
                    if self._outbox.gave_up:
                        self._start()  # the log hears of it, though this process may record no more
        return self._outbox

    def _start(self) -> None:
        """Start the background thread: with the first event, so that a server may fork before it."""
        self._own_outbox()
        # Without waiting: who interrupted the one that starts it, in a signal handler, would wait for ever.
        if not self._starting.acquire(blocking=False):
            return
        try:
            if self._courier is None:
                watch = partial(self._switch.watch, self._outbox)
                self._courier = Courier(self._outbox, self._link, watch, self._limits.switch_s)
                exits.hold(self)
                self._open_hot_path()
        except RuntimeError:
            return  # no thread can be had now; the next event tries again
        finally:
            self._starting.release()

    def _open_hot_path(self) -> None:
        """Let plain events be queued by the compiled path, from the first event's end on."""
        if self._hot is not None:
            outbox = self._outbox
            queue, counting = outbox.decisions, outbox.accepted["decision"].counting
            self._hot.open((outbox, queue, queue.append, counting, *self._champion, self._prefix))
