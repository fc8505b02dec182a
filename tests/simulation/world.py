"""A seeded world: services with the production recorder, a faulty network, a log, a reader, and an oracle.

Everything that decides is drawn from one seed, so a failing seed is a failing history. The recorder's
door, queue, framing, resends, backoff, losses and renewal are the code that production runs; only its
thread is replaced by the world's turns. The oracle knows what callers were told, nothing else.

Modelled faults: link down, request lost, reply lost, delivery twice, delivery late and out of order,
commit late, commit that fails, crash, exit with and without a working link, fork, cloned process,
restored backup, full queue, refused events. Not modelled: bytes that flip (unit tests), disks (none here).
"""

import copy
import random
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache

import msgspec

from recorders.frame import Frame
from recorders.limits import Limits
from recorders.losses import Loss
from recorders.outbox import Outbox
from recorders.refusals import Refusals
from tests.simulation.model_log import ModelLog, Reader
from tests.simulation.network import Network
from tests.support.recording import TWO, HeldClock, MemoryLink, StillRecorder

LIMITS = Limits(queue_slots=7, frame_events=3, linger_s=0.2, backoff_max_s=3.0, loss_every_s=1.0)
GOOD: dict[str, object] = {"age": 1, "amount": 1.0}


class Violation(AssertionError):  # noqa: N818  # the word of the field
    """A promise that did not hold."""


class Service:
    """One process with a recorder, and what its callers were told."""

    def __init__(self, recorder: StillRecorder) -> None:
        self.recorder = recorder
        self.accepted: list[str] = []
        self.outcomes: list[str] = []
        self.turned_away = 0
        self.ended = ""  # "crash", "exit"
        self.excused: set[str] = set()  # what a kill took from memory


@cache
def template() -> StillRecorder:
    """Return a recorder to copy: building the encoder costs more than a whole seed."""
    return StillRecorder("sim", TWO, MemoryLink(), model="m", model_version="1", limits=LIMITS)


class World:
    """The world of one seed. `log_type` and `outbox_type` are where mutants go in."""

    def __init__(
        self,
        seed: int,
        faults: frozenset[str],
        log_type: Callable[[], ModelLog] = ModelLog,
        outbox_type: type[Outbox] = Outbox,
    ) -> None:
        self.chance = random.Random(seed)
        self.clock = HeldClock()
        self.log = log_type()
        self.network = Network(self.log, self.chance, faults)
        self.reader = Reader(self.log)
        self.outbox_type = outbox_type
        self.cloned = self.restored = False
        self.lost_by_restore: set[str] = set()
        self.numbers = 0
        self.services: list[Service] = [self._service()]

    # What can happen. Each is one turn.

    def start(self) -> None:
        self.services.append(self._service())

    def record(self, place: int) -> None:
        service = self._alive(place)
        self.numbers += 1
        name = f"e{self.numbers}"
        at = datetime.fromtimestamp(self.clock.seconds, UTC)
        if self.chance.random() < 0.25:
            told = name if service.recorder.outcome(name, "late", 1, occurred_at=at) else None
        else:
            told = service.recorder.record(GOOD, decision_id=name, occurred_at=at)
        if told is None:
            service.turned_away += 1
        else:
            service.accepted.append(name)

    def record_wrongly(self, place: int) -> None:
        service = self._alive(place)
        assert service.recorder.record({"age": "x"}) is None
        service.turned_away += 1

    def carry(self, place: int) -> None:
        self._alive(place).recorder.carry()

    def tick(self) -> None:
        self.clock.seconds += self.chance.choice([0.01, 0.1, 0.5, 2.0])

    def flip_network(self) -> None:
        self.network.down = not self.network.down

    def end_transaction(self) -> None:
        if self.log.open:
            fails = self.network.happens("commit fails", 0.3)
            self.log.end(self.chance.randrange(len(self.log.open)), commit=not fails)

    def deliver_late(self) -> None:
        self.network.deliver_one_late()

    def poll(self) -> None:
        self.reader.poll()

    def crash(self, place: int) -> None:
        """Kill a process: what is in its memory is gone, uncounted, and nothing else."""
        service = self._alive(place)
        service.ended = "crash"
        service.excused |= self._in_memory(service)

    def exit(self, place: int) -> None:
        """End a process in order: what cannot leave in time is counted."""
        service = self._alive(place)
        recorder = service.recorder
        recorder.outbox.close()
        for _ in range(self.chance.randrange(6)):
            recorder.carry()
        recorder.outbox.abandon()
        service.ended = "exit"

    def fork(self, place: int) -> None:
        """Fork a process: the child has the parent's memory and another writer."""
        parent = self._alive(place)
        child = copy.copy(parent.recorder)
        child.renew()
        self._adopt(child)
        self.services.append(Service(child))

    def clone(self, place: int) -> None:
        """Resume a snapshot of a process beside the process: two with one writer, and no hook to tell."""
        self.cloned = True
        original = self._alive(place)
        twin = copy.copy(original.recorder)
        twin.renew()
        self._adopt(twin)
        mine, theirs = twin.outbox, original.recorder.outbox
        mine.writer, mine._sender = theirs.writer, theirs._sender
        mine._sequence, mine._held, mine._attempts = theirs._sequence, theirs._held, theirs._attempts
        mine._loss = theirs._loss
        mine.decisions.extend(theirs.decisions)
        mine.outcomes.extend(theirs.outcomes)
        mine.stopped, mine.slots = theirs.stopped, theirs.slots
        mine._losses._writer = theirs.writer
        self.services.append(Service(twin))

    def restore(self) -> None:
        """Restore a backup: the end of the log is gone."""
        self.restored = True
        gone = self.log.restore(self.chance.randrange(len(self.log.stored) + 1))
        self.lost_by_restore |= {name for batch in gone for name in names(batch.frame)}

    # The end: everything heals, and the promises are checked.

    def heal(self) -> None:
        """Let everything arrive that still can."""
        self.network.faults = frozenset()
        self.network.down = False
        while self.log.open:
            self.log.end(0, commit=True)
        while self.network.late:
            self.network.deliver_one_late()
        for service in self.services:
            if not service.ended:
                service.recorder.carry_all()
                self.clock.seconds += 10
                service.recorder.carry_all()
        self.reader.poll()

    def check(self) -> None:
        """Raise Violation unless every promise held, by what callers were told and what the log holds."""
        self._check_log()
        logged = Counter(name for batch in self.log.stored for name in names(batch.frame))
        told = {name for service in self.services for name in service.accepted}
        _hold(max(logged.values(), default=1) == 1, "an event is in the log once", logged)
        _hold(set(logged) <= told, "only accepted events are in the log", set(logged) - told)
        _hold(self.reader.read == self.log.stored, "the reader saw the log", len(self.reader.read))
        reported = self._reported()
        for service in self.services:
            self._check_service(service, logged, reported)

    def _check_log(self) -> None:
        position = 1
        for batch in sorted(self.log.stored, key=lambda batch: batch.position):
            _hold(batch.position == position, "positions are contiguous from 1", batch.position)
            position = batch.stop
        for writer in {batch.frame.writer for batch in self.log.stored}:
            own = [batch.frame.sequence for batch in self.log.stored if batch.frame.writer == writer]
            _hold(own == list(range(1, len(own) + 1)), "a writer's sequence has no hole", own)

    def _check_service(
        self, service: Service, logged: Counter[str], reported: Counter[tuple[object, str]]
    ) -> None:
        counters = service.recorder.counters
        dropped, rejected = counters.dropped, counters.rejected
        _hold(counters.accepted == len(service.accepted), "accepted is what callers were told", counters)
        away = sum(rejected.values()) + dropped.get("full", 0) + dropped.get("stopped", 0)
        _hold(away == service.turned_away, "what was turned away is counted", counters)
        excused = service.excused | self.lost_by_restore
        missing = [name for name in service.accepted if name not in logged and name not in excused]
        given_up = dropped.get("refused", 0) + dropped.get("exit", 0)
        _hold(len(missing) <= given_up, "what was accepted is in the log or counted as lost", missing)
        honest = not (self.cloned or self.restored)
        _hold(not (honest and dropped.get("refused")), "an honest writer is not refused", counters)
        for kind in ("decision", "outcome"):
            stored = [
                name
                for batch in self.log.stored
                if batch.frame.kind == kind
                for name in names(batch.frame)
                if name in service.accepted
            ]
            _hold(stored == sorted(stored, key=lambda name: int(name[1:])), "order is kept", stored)
        if not service.ended and not service.recorder.outbox._mute and not self.restored:
            writer = service.recorder.outbox.writer
            for reason, count in [*dropped.items(), *((f"rejected.{r}", n) for r, n in rejected.items())]:
                found = reported[writer, reason]
                _hold(found >= count, "every loss is reported into the log", (reason, count, found))

    def _reported(self) -> Counter[tuple[object, str]]:
        counts: Counter[tuple[object, str]] = Counter()
        for batch in self.log.stored:
            if batch.frame.kind == "loss":
                (loss,) = msgspec.msgpack.decode(batch.frame.payload, type=list[Loss])
                counts[loss.writer, loss.reason] += loss.count
        return counts

    # Helpers.

    def _service(self) -> Service:
        recorder = copy.copy(template())
        self._adopt(recorder)
        return Service(recorder)

    def _adopt(self, recorder: StillRecorder) -> None:
        """Give a copied recorder this world's clock, chance, link and outbox, as a new process."""
        recorder.clock, recorder.chance = self.clock, self.chance
        recorder.outbox_type = self.outbox_type
        recorder._link = self.network
        recorder._refusals = Refusals()
        recorder.renew()

    def _alive(self, place: int) -> Service:
        alive = [service for service in self.services if not service.ended]
        if not alive:
            self.start()
            alive = self.services[-1:]
        return alive[place % len(alive)]

    def _in_memory(self, service: Service) -> set[str]:
        outbox = service.recorder.outbox
        queued = {
            msgspec.msgpack.decode(event)[0] for event in (*outbox.decisions, *outbox.outcomes) if event
        }
        held = outbox._held
        return queued | (set(names(held)) if held is not None else set())


def names(frame: Frame) -> list[str]:
    """Return the names of a frame's events; a loss frame has none."""
    if frame.kind == "loss":
        return []
    return [event[0] for event in msgspec.msgpack.decode(frame.payload)]


def _hold(promise: bool, says: str, found: object) -> None:
    if not promise:
        raise Violation(f"{says}: {found}")
