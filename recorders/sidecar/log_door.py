"""Log door: where a sidecar's batches go into the log, and whose log is behind it."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol
from uuid import UUID

from recorders.errors import WrongLog
from recorders.frame import CONTROL_SCHEMA_DIGEST, Receipt

if TYPE_CHECKING:
    from recorders.append import Batch

_NIL: Final = UUID(int=0)


class Door(Protocol):
    """The log's door as the shipper uses it."""

    def append(self, batch: "Batch") -> Receipt:
        """Return the receipt; raise LinkUnavailable or AppendError."""
        ...

    def close(self) -> None:
        """Give the connection back."""
        ...


def log_behind(open_door: Callable[[str | None], Door]) -> str:
    """Return the identity of the log behind a door."""
    door = open_door(str(_NIL))
    try:
        door.append(_question())
    except WrongLog as error:
        return error.found
    finally:
        door.close()
    raise AssertionError("a log took what is under no log's name")


def appender(url: str) -> Callable[[str | None], Door]:
    """Return what opens the log's door at `url`, for one log."""

    def opened(log_id: str | None) -> Door:
        from recorders.append import Appender

        return Appender(url, log_id=None if log_id is None else UUID(log_id))

    return opened


def _question() -> "Batch":
    """Return a batch that no log takes: asked under no log's name, every log answers with its own."""
    from recorders.append import Batch

    return Batch("control", "", CONTROL_SCHEMA_DIGEST, _NIL, 1, 1, None, None, b"{}", CONTROL_SCHEMA_DIGEST)
