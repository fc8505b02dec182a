"""The log as the rest of the harness sees it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

import msgspec
import pyarrow as pa

from harness.config import StorePlace
from harness.embedded import Embedded
from harness.log import reader, verify
from harness.log.connection import Connection
from harness.log.controls import Controls, control_batch
from harness.log.events import ControlEvent, Head, Verification
from harness.log.history import Ledgers, history
from harness.log.places import Since, When, check_range, resolve, resolve_since, utc
from harness.log.predicate import Wanted, Where, terms
from harness.log.queries import query
from harness.log.registered import REGISTERED, Registered, registering
from harness.log.sealed import Sealed
from harness.log.stored import StoredBatch
from harness.log.unsealing import Unsealer
from recorders.append import Appender, Batch
from recorders.fields import FeatureSet
from recorders.frame import Receipt
from recorders.sidecar.sealed_frames import open_keys
from replay.ranges import AsOf

if TYPE_CHECKING:
    from harness.sql.query import Answer


class Address(msgspec.Struct, frozen=True):
    """What another process needs to open the same log. It may hold a password: it is never shown."""

    url: str
    role: str | None
    store: StorePlace | None

    def open(self) -> "Log":
        """Return the log, with connections of its own."""
        return Log(self.url, role=self.role, store=self.store)

    def __repr__(self) -> str:
        return "Address(...)"


class Log:
    """One log: append, read a range, resolve a place, speak and hear control events. A context manager.

    Made by `harness.database.open_log`. It holds one connection for reading and one for appending, opened
    when first needed, and the embedded server when that is what it runs on. For one thread; open one log for
    each.
    """

    def __init__(
        self,
        url: str,
        *,
        role: str | None = None,
        server: Embedded | None = None,
        store: StorePlace | None = None,
    ) -> None:
        self.url = url
        self.address = Address(url, role, store)
        self._server = server
        self._connection = Connection(url, role)
        self._appender = Appender(url)
        self._controls = Controls(self._connection)
        self._registered = Registered()
        self.sealed = Sealed(self._connection, store)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back and leave the embedded server. Safe to call twice."""
        self._connection.close()
        self._appender.close()
        if self._server is not None:
            self._server.close()

    def head(self) -> Head:
        """Return the end of the log."""
        epoch, position, chain, recorded_at, log_id = self._connection.row(query("head"))
        return Head(epoch, position, chain.hex(), utc(recorded_at), log_id)

    def now(self) -> datetime:
        """Return what time it is by the log's clock; of the event clock, the time of the newest event."""
        return utc(self._connection.row(query("now"))[0])

    def as_of(self, when: When = None) -> AsOf:
        """Return the place that `when` means: a position, an instant with offset, or None for the end.

        Resolve once and keep the answer: the end moves.

        Raises:
            NaiveTime, UnknownPosition, UsageError: see harness.errors.
        """
        place, log_id = resolve(self._connection, when)
        self.sealed.belongs_to(log_id)
        return place

    def since(self, position: int, when: When = None) -> Since:
        """Return the place `position`, which was resolved before, and the later one that `when` means.

        Raises what `as_of` does, of `when`.
        """
        places, log_id = resolve_since(self._connection, position, when)
        self.sealed.belongs_to(log_id)
        return places

    def read(
        self,
        start: int,
        stop: int,
        *,
        kind: str,
        decision_point: str | None = None,
        columns: Sequence[str] | None = None,
        where: Where | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """Yield the decisions, outcomes or scores of [start, stop) in order, some at a time.

        `position` (int64) and `recorded_at` (UTC microseconds) come first, then the batch's own columns, or
        those of `columns` that it has. `where` keeps the rows that meet all of its conditions, such as
        `("f.amount", ">", 100)`; null and absent columns meet none. Sealed or not, the rows and columns are
        the same, and all bytes that they come from are checked against their digests.

        Fields that are kept encrypted are opened; where a key was destroyed they are null, with status
        `erased`.

        Raises:
            DigestMismatch, SegmentError: the stored bytes are not those that were appended.
            LinkUnavailable, FeatureSetError: encrypted fields are asked for, and their keys cannot be had.
        """
        wanted = Wanted(kind, decision_point, None if columns is None else tuple(columns), terms(where))
        return self.scan(start, stop, wanted)

    def scan(
        self, start: int, stop: int, wanted: Wanted, *, closed: bool = False
    ) -> Iterator[pa.RecordBatch]:
        """Yield what is wanted of [start, stop), as `read` does.

        With `closed` it is as it is kept: encrypted fields are not there, and no key is asked for.
        """
        unsealer = self._unsealer() if wanted.kind == "decision" and not closed else None
        if unsealer is None:
            return reader.read(self._connection, self.sealed, start, stop, wanted)
        unsealer.check_conditions([term.column for term in wanted.conditions])
        needed = unsealer.needed(wanted.columns)
        stored = msgspec.structs.replace(wanted, columns=None if needed is None else tuple(needed))
        return unsealer.opened(
            reader.read(self._connection, self.sealed, start, stop, stored), wanted.columns
        )

    def _unsealer(self) -> Unsealer | None:
        """Return what opens encrypted fields; None when no feature set of this log has any."""
        feature_sets = self.feature_sets()
        if not any(one.sealed for one in feature_sets.values()):
            return None
        return Unsealer(feature_sets, partial(open_keys, self.url))

    def sql(
        self,
        text: str,
        *,
        start: int = 1,
        stop: int | None = None,
        memory: str = "1GB",
        progress: Callable[[int], None] | None = None,
    ) -> "Answer":
        """Return the answer to one SELECT over decisions, outcomes, scores and control (harness.sql.query).

        It sees the positions [start, stop), by default all there are now, and none that come later.
        `progress` is called with how many rows were read.

        Raises:
            QueryRefused, QueryTooLarge: see harness.sql.errors. RangeUnusable, UnknownPosition: the range.
        """
        from harness.sql.query import query as ask

        end = self.head().position + 1
        stop = end if stop is None else stop
        check_range(start, stop, end - 1)
        return ask(self, self.address.open, text, span=(start, stop), memory=memory, progress=progress)

    def history(self, start: int, stop: int, ledgers: Ledgers | None = None) -> Iterator[list[StoredBatch]]:
        """Yield the batches that begin in [start, stop) as they were appended, some at a time.

        Payloads that the database released come from the registered segments, or from `ledgers`.

        Raises:
            SegmentError, StoreError: the files of what was sealed and released.
        """
        return history(self._connection, ledgers or self.sealed, start, stop)

    def append(self, batch: Batch) -> Receipt:
        """Return where the log holds `batch`; the same batch again answers the same.

        Raises:
            LinkUnavailable, AppendError: see recorders.errors.
        """
        return self._appender.append(batch)

    def control(
        self,
        type: str,  # noqa: A002 - the event's own word
        subject: str,
        body: Mapping[str, Any],
        *,
        key: str | None = None,
        actor: str | None = None,
    ) -> ControlEvent:
        """Append one control event and return it as stored. `key` makes it happen once.

        Raises:
            WriterForked: another event was stored under this `key`.
            ValueError: `body` has no canonical JSON.
        """
        batch = control_batch(type, subject, body, key, actor)
        receipt = self.append(batch)
        _first, recorded_at, _chain = self._connection.row(query("batch_at"), position=receipt.position)
        event = msgspec.json.decode(batch.payload)
        return ControlEvent(receipt.position, utc(recorded_at), type, subject, event["actor"], event["body"])

    def say(self, type: str, subject: str, body: Mapping[str, Any], *, key: str) -> Receipt:  # noqa: A002
        """Append one control event, once under its `key`, and return where it is; `control` reads it again.

        Raises:
            WriterForked: another event was stored under this `key`.
        """
        return self.append(control_batch(type, subject, body, key, None))

    def controls(
        self,
        type: str | None = None,  # noqa: A002 - the event's own word
        subject: str | None = None,
        *,
        up_to: int | None = None,
    ) -> list[ControlEvent]:
        """Return the control events in order of position; `look.*` asks for all types below `look.`.

        `up_to` is the last position that exists for the caller; None is the end of the log.
        """
        return self._controls.select(type, subject, up_to)

    def heard(
        self,
        type: str,  # noqa: A002 - the event's own word
        subject: str | None = None,
        *,
        at_least: int = 0,
    ) -> list[ControlEvent]:
        """Return those of the control events that were fetched already; the first time they are.

        Where they were not fetched up to the position `at_least`, they are now. Enough for who would say the
        same again under its key (what is said twice is stored once), and for who has just fetched them.
        """
        known = self._controls.up_to
        return self._controls.select(type, subject, known if known and known >= at_least else None)

    def feature_sets(self, *, at_least: int | None = None) -> dict[str, FeatureSet]:
        """Return the registered feature sets by digest; with `at_least` as `heard` has it."""
        events = self.controls(REGISTERED) if at_least is None else self.heard(REGISTERED, at_least=at_least)
        return self._registered.by_digest(events)

    def register_feature_set(self, feature_set: FeatureSet) -> ControlEvent:
        """Return the event that registers `feature_set`; registering it again answers the same event.

        Raises:
            FeatureSetError: another schema stands under this name and version.
        """
        subject = f"{feature_set.name}:{feature_set.version}"
        known = registering(self.controls(REGISTERED, subject), feature_set)
        if known is not None:
            return known
        body = msgspec.json.decode(feature_set.canonical())
        return self.control(REGISTERED, subject, body, key=f"feature_set:{subject}")

    def writer_high_water(self, writer: UUID) -> int:
        """Return the last stored sequence of `writer`, 0 when it never wrote."""
        found = self._connection.rows(query("high_water"), writer=writer)
        return int(found[0][0]) if found else 0

    def verify(
        self, start: int = 1, stop: int | None = None, progress: Callable[[int], None] | None = None
    ) -> Verification:
        """Return what recomputing every digest of [start, stop) found: the first altered position."""
        return verify.verify(self._connection, self.sealed, start, stop, progress)

    def latest(
        self, stop: int, *, kind: str | None = None, decision_point: str | None = None, rows: int = 1
    ) -> list[StoredBatch]:
        """Return the last batches that begin before `stop`, newest first, with their payloads.

        Raises:
            SegmentError, StoreError: the files of what was sealed and released.
        """
        found = self.rows("latest", stop=stop, kind=kind, decision_point=decision_point, rows=rows)
        batches = [StoredBatch.of(row) for row in found]
        return [batch if batch.payload else self._whole(batch) for batch in batches]

    def _whole(self, batch: StoredBatch) -> StoredBatch:
        for (found,) in self.history(batch.header.position, batch.header.position + 1):
            return found
        return batch

    def rows(self, name: str, **values: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a named statement of `queries.sql`."""
        return self._connection.rows(query(name), **values)
