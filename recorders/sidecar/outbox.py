"""Outbox: batches with their bytes, persisted before they are sent, kept until the log covers them.

The encoded payload is kept, not only its composition: what is sent again is then the same bytes whatever
library was upgraded in between, and after a restored backup the log gets back exactly what it had
(docs/adr/0013).
"""

import contextlib
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import msgspec

from recorders.clock import Clock, LastingClock
from recorders.frame import Receipt
from recorders.sidecar import segment
from recorders.sidecar.damaged import put_aside
from recorders.sidecar.drafts import Draft, control
from recorders.sidecar.kept_batches import KeptBatches
from recorders.sidecar.outbox_file import SQL, Contents, OutboxFile
from recorders.sidecar.place import Place
from recorders.sidecar.records import File, Identity, Ready, State, Witness, ready_of, row_of
from recorders.sidecar.recovery import OUTBOX, recover
from recorders.sidecar.report import sidecar_loss

RECEIPTS: Final = 1_024


class Outbox:
    """The outbox of one folder, whose lock the caller holds. For one thread.

    `damaged` names the files that were put aside when it was opened, with how many of their batches are kept.
    """

    def __init__(self, folder: Path, *, segment_bytes: int, clock: Clock = LastingClock()) -> None:  # noqa: B008  # a constant
        self.folder = folder
        self.state = State()
        self.identities: list[Identity] = []
        self.receipts: deque[Witness] = deque(maxlen=RECEIPTS)
        self.damaged: list[tuple[str, int]] = []
        self.unlinked = self.unlinked_uncovered = 0
        self._clock = clock
        self._file = OutboxFile(folder, segment_bytes)
        self._kept = KeptBatches(folder, SQL)
        self._settled: set[str] = set()
        self._open()

    @property
    def composed(self) -> Place:
        """The place in the inbox up to which frames are in batches here."""
        return Place(self.state.composed_segment, self.state.composed_id)

    @property
    def identity(self) -> Identity:
        """The writer of new batches."""
        return self.identities[-1]

    @property
    def inherited(self) -> Identity:
        """The writer of what lies in the inbox from before the folder was copied."""
        number = self.state.inherited_number
        return next((one for one in self.identities if one.number == number), self.identity)

    @property
    def waiting(self) -> int:
        """How many batches the log does not have yet."""
        return self.state.last_ordinal - self.state.shipped_ordinal

    @property
    def first_kept(self) -> int:
        """The ordinal of the oldest batch that is still kept; the next one to come if there is none."""
        files = self._kept.files.values()
        return min((file.first_ordinal for file in files), default=self.state.last_ordinal + 1)

    def next_ready(self) -> Ready | None:
        """Return the next batch to ship, None when the log has all.

        Raises:
            sqlite3.Error, LookupError: as for `read`.
        """
        return self.read(self.state.shipped_ordinal + 1) if self.waiting else None

    def read(self, ordinal: int) -> Ready:
        """Return a batch whose payload is what its digest names.

        Raises:
            sqlite3.Error, LookupError: its row cannot be read, or was released.
            RowDamaged: a LookupError with what can be kept of it.
        """
        return ready_of(self._kept.row(ordinal))

    def ordinal_of(self, writer: bytes, sequence: int) -> int | None:
        """Return the ordinal of a writer's batch `sequence`, None when it is no longer kept."""
        return self._kept.ordinal_of(writer, sequence)

    # What changes it. Each is one transaction.

    def compose(self, drafts: Sequence[Draft], composed: Place, *, inherited: bool = False) -> None:
        """Persist batches, and that all frames up to `composed` are in them. Durable when it returns.

        Raises:
            sqlite3.Error: the disk refuses; nothing changed.
        """
        identity = self.inherited if inherited else self.identity
        first, now = self.state.last_ordinal + 1, self._now()
        rows = [
            row_of(first + place, identity.writer, identity.sequence + 1 + place, draft, now)
            for place, draft in enumerate(drafts)
        ]
        state = msgspec.structs.replace(
            self.state,
            composed_segment=composed.segment,
            composed_id=composed.id,
            last_ordinal=self.state.last_ordinal + len(rows),
        )
        grown = msgspec.structs.replace(identity, sequence=identity.sequence + len(rows))
        self._write(Contents(state, rows, [grown]), durable=True)
        identity.sequence = grown.sequence
        self._kept.files[self._file.number].last_ordinal = state.last_ordinal
        if self._file.large:
            self._rotate()

    def shipped(self, ready: Ready, receipt: Receipt) -> None:
        """Take the log's word for a batch.

        If a crash forgets it the batch is sent again, which changes nothing.
        """
        batch, now = ready.batch, self._now()
        word = Witness(
            ready.ordinal,
            batch.writer.bytes,
            batch.sequence,
            receipt.epoch,
            receipt.position,
            receipt.digest,
            receipt.covered,
            now,
        )
        end = receipt.position + batch.events - 1
        changed = [
            msgspec.structs.replace(file, end_position=end, shipped_at=now)
            for file in self._kept.files.values()
            if file.last_ordinal == ready.ordinal
        ]
        state = msgspec.structs.replace(self.state, shipped_ordinal=ready.ordinal)
        self._write(Contents(state, receipts=[word], files=changed), durable=False)
        self.receipts.append(word)
        self._kept.shipped({file.number: file for file in changed}, self._clock.monotonic())

    def bind(self, log_id: str) -> None:
        """Bind the spool to one log, for good."""
        self._write(Contents(msgspec.structs.replace(self.state, log_id=log_id)), durable=True)

    def settle_in(self, place: str, before: int) -> bool:
        """Take note of where the folder is. Return whether it was elsewhere: it is a copy then.

        A copy goes on under a writer of its own. What lies in inbox segments before `before` stays the old
        one's, because the original may ship the same frames.
        """
        copied = self.state.place not in ("", place)
        if not self.state.place:
            self._write(Contents(msgspec.structs.replace(self.state, place=place)), durable=True)
        elif copied:
            old = self.identity.number
            state = msgspec.structs.replace(
                self.state, inherited_before=before, inherited_number=old, place=place
            )
            identity = Identity(old + 1, uuid4().bytes, 0, "copied", self._now())
            self._write(Contents(state, identities=[identity]), durable=True)
            self.identities.append(identity)
        return copied

    def ship_again_after(self, ordinal: int) -> None:
        """Let shipping go on after `ordinal`: back, after a restore; on, past what the log will not take."""
        self._write(Contents(msgspec.structs.replace(self.state, shipped_ordinal=ordinal)), durable=True)

    def rewrite(self, first: int, reason: str, mend: Callable[[Ready], Sequence[Draft]] | None = None) -> int:
        """Write the batches from ordinal `first` on again, and return how many there are.

        Under a new writer: the log cannot take them under their own sequence, because one before is lost for
        good. With `mend`, whose drafts take the place of a batch that the log refuses, under the same one:
        a sequence that was refused is free. In the place of a damaged one the log is told of it.
        """
        last, now, begun = self.state.last_ordinal, self._now(), len(self.identities)
        identity = Identity(self.identity.number + 1, uuid4().bytes, 0, reason, now)
        head = self._kept.readable(first) if mend else None
        if head is not None and head[1] == self.identity.writer:
            identity, begun = msgspec.structs.replace(self.identity, sequence=head[2] - 1), begun - 1
        state, count = msgspec.structs.replace(self.state), 0

        def rows() -> Iterator[tuple[Any, ...]]:
            nonlocal count
            for ordinal in range(first, last + 1):
                for rest in self._again(ordinal, mend, now):
                    count += 1
                    identity.sequence += 1
                    yield (last + count, identity.writer, identity.sequence, *rest)
            state.last_ordinal, state.shipped_ordinal = last + count, last

        self._write(Contents(state, rows(), [identity]), durable=True)
        self.identities[begun:] = [identity]
        self._kept.files[self._file.number].last_ordinal = state.last_ordinal
        if self._file.large:
            self._rotate()
        return count

    def release(self, *, retain_s: float, pressed: bool) -> None:
        """Unlink closed files that are shipped and covered, shipped `retain_s` ago, or shipped when pressed.

        What an earlier process shipped is kept as if it were shipped when this one began (docs/adr/0090). The
        last two are counted: after a loss of the log their batches could not be given back. When pressed,
        the file that is written goes as well, if all of it is shipped.
        """
        current = self._kept.files[self._file.number]
        if pressed and self.waiting == 0 and current.first_ordinal <= current.last_ordinal:
            self._rotate()
        covered = self.receipts[-1].covered if self.receipts else 0
        let_go = self._kept.release(
            self.state.shipped_ordinal,
            covered,
            newest=self._file.number,
            retain_s=0.0 if pressed else retain_s,
            now=self._clock.monotonic(),
        )
        self.unlinked += len(let_go)
        self.unlinked_uncovered += let_go.count(False)

    def close(self) -> None:
        """Close the files. Safe to call twice."""
        self._kept.close()
        self._file.close()

    # Inside.

    def _again(
        self, ordinal: int, mend: Callable[[Ready], Sequence[Draft]] | None, now: float
    ) -> list[tuple[Any, ...]]:
        """Return what is written for a batch that is written again: its row from the kind on, or others."""
        try:
            row = self._kept.row(ordinal)
            ready = ready_of(row)
        except (sqlite3.Error, LookupError) as error:
            told = put_aside(self.folder, self.identities[0].uuid, ordinal, error)
            return [row_of(0, b"", 0, told, now)[3:]]
        drafts = mend(ready) if mend else ()
        return [row_of(0, b"", 0, draft, now, composed=row[11])[3:] for draft in drafts] or [row[3:]]

    def _now(self) -> float:
        """Return what is written down as the time: seconds since 1970, as the machine has them."""
        return self._clock.now_us() / 1e6

    def _write(self, contents: Contents, *, durable: bool) -> None:
        self._file.write(contents, durable=durable)
        self.state = contents.state

    def _rotate(self) -> None:
        # On a disk too full for a new file the old one goes on; the next batch tries again.
        with contextlib.suppress(OSError, sqlite3.Error):
            self._begin(self._file.number + 1, [])

    def _begin(self, number: int, rows: Sequence[tuple[Any, ...]]) -> None:
        """Begin a file that carries the state of the outbox.

        Raises:
            OSError, sqlite3.Error: the disk refuses.
        """
        kept = [file for n, file in self._kept.files.items() if self._kept.path(n).exists()]
        settled = sorted(self._settled)
        self._file.begin(number, Contents(self.state, rows, self.identities, self.receipts, kept, settled))
        first = self.state.last_ordinal + 1 - len(rows)
        self._kept.files[number] = File(number, first, self.state.last_ordinal)

    def _open(self) -> None:
        segment.sweep(self.folder, OUTBOX)
        segment.settle(self.folder, OUTBOX)
        found = recover(self.folder, SQL)
        self.state, self.identities, self.damaged = found.state, found.identities, found.damaged
        self._kept.shipped(found.files, self._clock.monotonic())
        self._settled = found.settled
        self.receipts.extend(found.receipts)
        rows = found.rows
        if not self.identities or self.damaged:
            reason = "a damaged file was put aside" if self.damaged else "new"
            number = self.identity.number + 1 if self.identities else 1
            self.identities.append(Identity(number, uuid4().bytes, 0, reason, self._now()))
        rows += [self._told(name, kept) for name, kept in self.damaged]
        self._begin(found.last_number + 1, rows)
        self.unlinked += self._kept.let_go_of_empty()

    def _told(self, name: str, kept: int) -> tuple[Any, ...]:
        """Return the report of a damaged file as a batch to ship.

        Frames whose batches could not be read are composed again if the inbox still has them: they may
        repeat.
        """
        owner, identity = self.identities[0].uuid, self.identity
        identity.sequence += 1
        self.state.last_ordinal += 1
        draft = control(sidecar_loss(owner, owner, "outbox_damaged", None, file=name, salvaged=kept))
        return row_of(self.state.last_ordinal, identity.writer, identity.sequence, draft, self._now())
