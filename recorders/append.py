"""The door of the log: one batch, one statement, one answer."""

from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import msgspec
import psycopg

from recorders.errors import (
    AppendError,
    CorruptBatch,
    EventAhead,
    LinkUnavailable,
    Rewound,
    SequenceGap,
    WriterForked,
    WrongLog,
)
from recorders.frame import Receipt

STATEMENT = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
# Text travels as UTF-8, whatever the database has: what that cannot hold is then refused there, as data is.
# A vanished server is noticed after 25 s; a statement that waits for the head row gives up after 30 s and is
# sent again.
SESSION: Final[dict[str, Any]] = {
    "client_encoding": "UTF8",
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}
STATEMENT_TIMEOUT_S = 30
# A hint for who follows the log, after the commit and never inside `append`. Who misses it polls.
CHANNEL = "harness_decision"
_HINT = f"notify {CHANNEL}"
# Classes and codes after which the same batch may be sent again: connection, resources, shutdown, read-only
# standby, serialization, deadlock, lock and statement timeouts. Any other unknown code stops the writer.
RETRY = ("08", "53", "57P", "25006", "40001", "40P01", "55P03", "57014", "58")


class Batch(msgspec.Struct, frozen=True):
    """Some events of one kind, decision point and schema, as they are stored.

    `schema_digest` and `digest` (SHA-256 of `payload`) are 64 hex digits. `occurred_min` and `occurred_max`
    are UTC, None for control events. `sequence` counts the writer's batches from 1; `acked` is the last one
    that the writer knows acknowledged, 0 when it does not know: it tells a gap from a log that was restored
    from a backup.
    """

    kind: str
    decision_point: str
    schema_digest: str
    writer: UUID
    sequence: int
    events: int
    occurred_min: datetime | None
    occurred_max: datetime | None
    payload: bytes
    digest: str
    acked: int = 0


class Appender:
    """Appends batches on a connection of its own, each in its own transaction. For one thread.

    `log_id` binds it to one log: another one answers WrongLog. A lost connection is opened again by the next
    `append`.
    """

    def __init__(self, url: str, *, log_id: UUID | None = None) -> None:
        self._url = url
        self._log_id = log_id
        self._connection: psycopg.Connection[Any] | None = None

    def append(self, batch: Batch) -> Receipt:
        """Return where the log holds `batch`. Sending the same batch again is safe and answers the same.

        Raises:
            LinkUnavailable: no answer. It may be stored: send the same again.
            AppendError: the log refuses it (see recorders.errors for the reasons).
        """
        values = msgspec.structs.asdict(batch)
        values["log_id"] = self._log_id
        try:
            values["schema_digest"] = bytes.fromhex(batch.schema_digest)
            values["digest"] = bytes.fromhex(batch.digest)
        except ValueError as error:
            raise CorruptBatch(f"a digest is not hexadecimal ({error})") from error
        try:
            connection = self._open()
            row = connection.execute(STATEMENT, values).fetchone()
        except psycopg.Error as error:
            raise self._translate(error) from error
        if batch.kind == "decision":
            with suppress(psycopg.Error):
                connection.execute(_HINT)
        assert row is not None, "harness.append answers with one row"
        epoch, position, chain, covered, duplicate = row
        return Receipt(epoch, position, bytes(chain).hex(), covered, duplicate)

    def close(self) -> None:
        """Give the connection back. Safe to call twice."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self) -> psycopg.Connection[Any]:
        if self._connection is None or self._connection.closed:
            try:
                opened = psycopg.connect(
                    self._url, autocommit=True, application_name="harness-append", **SESSION
                )
            except OSError as error:  # where no descriptor is left, the driver lets it through
                raise LinkUnavailable(str(error)) from error
            opened.execute(f"set statement_timeout = '{STATEMENT_TIMEOUT_S}s'")
            self._connection = opened
        return self._connection

    def _translate(self, error: psycopg.Error) -> LinkUnavailable | AppendError:
        """Return our error for the server's; the values are in its detail."""
        code = error.sqlstate or ""
        text = (error.diag.message_primary or str(error)).strip().rstrip(".")
        if code.startswith("HA"):
            return _refusal(code, msgspec.json.decode(error.diag.message_detail or "{}"), text)
        if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError) or code.startswith(RETRY):
            if self._connection is not None and self._connection.closed:
                self._connection = None
            return LinkUnavailable(text)
        if isinstance(error, psycopg.errors.InsufficientPrivilege):
            remedy = "Grant it harness_recorder (decisions, outcomes) or harness_operator (all else)."
            return AppendError(
                f"The login may not append this: {text}.", "Expected a login with the right.", remedy
            )
        if isinstance(error, psycopg.DataError):
            return CorruptBatch(text)
        remedy = 'Check the database URL and run "harness init" there if the log is still to be made.'
        return AppendError(
            f"The database refused a batch ({code}: {text}).", "Expected a log of ours.", remedy
        )


def _refusal(code: str, detail: dict[str, Any], text: str) -> AppendError:
    match code:
        case "HA001":
            stored, sent = detail.get("stored") or "", detail.get("sent") or ""
            return WriterForked(UUID(detail["writer"]), detail["sequence"], stored=stored, sent=sent)
        case "HA002":
            return SequenceGap(UUID(detail["writer"]), detail["have"], detail["got"])
        case "HA003":
            return Rewound(UUID(detail["writer"]), detail["have"], detail["acked"], detail.get("epoch"))
        case "HA004":
            return WrongLog(str(detail["expected"]), str(detail["found"]))
        case "HA006":
            return EventAhead(detail["occurred"], detail["clock"])
        case _:
            return CorruptBatch(detail.get("reason") or text)
