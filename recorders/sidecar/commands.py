"""Commands: what an operator does with a sidecar. Each returns a document; both command lines show it."""

import contextlib
import json
import sqlite3
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from uuid import UUID

from recorders.errors import HarnessError
from recorders.sidecar import ops, rights, segment
from recorders.sidecar.disk import used_bytes
from recorders.sidecar.errors import ExtraMissing, NotDrained, SettingsError, SidecarUnreachable
from recorders.sidecar.house import House, check_formats, ship_all
from recorders.sidecar.outbox import Outbox
from recorders.sidecar.outbox_file import SQL as OUTBOX_SQL
from recorders.sidecar.place import INBOX, Place
from recorders.sidecar.recovery import OUTBOX
from recorders.sidecar.salvage import QUARANTINE
from recorders.sidecar.service import serve
from recorders.sidecar.settings import URL_VARIABLE, Settings
from recorders.sidecar.spool import SQL as INBOX_SQL
from recorders.sidecar.stamp import STAMP

POLL_S = 0.2
# What of the extra `sidecar` is imported late: a start would serve, and fail with the first batch.
SHIPPING = ("cryptography", "numpy", "psycopg", "pyarrow")
DOORS = ("httptools",)
_NAME_IT = "Name its settings with --config."


def run(settings: Settings) -> None:
    """Serve until told to stop.

    Raises:
        HarnessError: it cannot start, or not go on.
    """
    _need_extra(*SHIPPING, *(DOORS if settings.doors.http else ()))
    _need_url(settings)
    with rights.private():
        serve(settings, ready=lambda: _say(f"ready: {settings.door_socket}"))


def status(settings: Settings) -> dict[str, Any]:
    """Return what a running sidecar knows of itself."""
    return ops.ask(settings.ops_socket, "GET", "/status")


def drain(settings: Settings, *, timeout_s: float) -> dict[str, Any]:
    """Let a running sidecar take no more, ship all and end. Return its last status, and that nothing waits.

    Raises:
        NotDrained: it ended otherwise, killed perhaps.
        HarnessError: it does not answer, or is not drained in time; it goes on draining.
    """
    last = ops.ask(settings.ops_socket, "POST", "/drain")
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        try:
            last = ops.ask(settings.ops_socket, "GET", "/status")
        except SidecarUnreachable:
            batches, frames = _left(settings)
            if batches or frames:
                raise NotDrained(batches, frames) from None
            # It ended after its last answer: the folder, not that, says how far it came.
            return last | {"ship": last["ship"] | {"drained": True, "waiting": 0}, "ended": True}
        time.sleep(POLL_S)
    waiting, state = last["ship"]["waiting"], last["ship"]["state"]
    raise HarnessError(
        f"After {timeout_s:g} s {waiting} batches wait, shipping is {state} ({last['ship']['reason']}).",
        "Expected an empty spool.",
        "It goes on draining: see `harness sidecar status`.",
    )


def ship(
    settings: Settings, *, timeout_s: float, again_from: int | None = None, new_writer: bool = False
) -> dict[str, Any]:
    """Ship what a stopped sidecar left, and return how that went.

    `again_from` ships all kept batches from that number on again; what the log has is not stored twice.
    `new_writer` gives what is not shipped yet to a new writer: the way on after a fork, when the other holder
    of the writer is gone. What the log took from it under the old writer is repeated.

    Raises:
        HarnessError: there is no such spool, it is in use, or the log refuses.
    """
    _need_extra(*SHIPPING)
    _need_url(settings)
    _readable(settings)  # else one would be made, and all of it shipped
    with rights.private(), contextlib.closing(House(settings)) as house:
        if again_from is not None:
            _ship_again(house.outbox, again_from)
        if new_writer and house.outbox.waiting:
            house.outbox.rewrite(house.outbox.state.shipped_ordinal + 1, "an operator's decision")
        done = ship_all(house, timeout_s=timeout_s)
        found = house.status() | {"shipped_all": done}
    if not done:
        raise HarnessError(
            f"{found['ship']['waiting']} batches are not shipped: {found['ship']['reason'] or 'time is up'}.",
            "Expected a log that takes them.",
            "Nothing is lost: mend that and ship again.",
        )
    return found


def _ship_again(outbox: Outbox, first: int) -> None:
    if not outbox.first_kept <= first <= outbox.state.last_ordinal:
        raise SettingsError(
            f"Batch {first} is not kept.",
            f"Expected one from {outbox.first_kept} to {outbox.state.last_ordinal}.",
            "See `harness sidecar inspect`.",
        )
    outbox.ship_again_after(first - 1)


def inspect(settings: Settings) -> dict[str, Any]:
    """Return what a spool's files hold, running or not. Changes nothing.

    Raises:
        SettingsError: there is no such spool.
        SpoolForbidden: it is closed to this user. SpoolTooNew: a newer version wrote it.
    """
    folder = _readable(settings)
    files = [_inbox(path) for _, path in segment.numbered(folder, INBOX)]
    files += [_outbox(path) for _, path in segment.numbered(folder, OUTBOX)]
    aside = sorted(path.name for path in (folder / QUARANTINE).glob("*") if path.is_file())
    return {"folder": str(folder), "used_bytes": used_bytes(folder), "files": files, "quarantine": aside}


def receipts(settings: Settings) -> list[dict[str, Any]]:
    """Return what the log answered for the last batches that it took, oldest first. Changes nothing.

    Each is a witness of the log's history: `harness log check-receipts` compares them with it.

    Raises:
        SettingsError: there is no such spool.
        SpoolForbidden: it is closed to this user. SpoolTooNew: a newer version wrote it.
    """
    found: dict[int, dict[str, Any]] = {}
    for _, path in segment.numbered(_readable(settings), OUTBOX):
        with contextlib.suppress(sqlite3.Error), contextlib.closing(segment.open_reader(path)) as connection:
            for row in connection.execute(OUTBOX_SQL["receipts"]):
                ordinal, writer, sequence, epoch, position, chain, _covered, _at = row
                kept = connection.execute(OUTBOX_SQL["batch"], (ordinal,)).fetchone()
                events = kept[6] if kept else found.get(ordinal, {}).get("events")
                found[ordinal] = {
                    "epoch": epoch,
                    "position": position,
                    "chain": chain,
                    "writer": str(UUID(bytes=writer)),
                    "sequence": sequence,
                    "events": events,
                }
    return [found[ordinal] for ordinal in sorted(found)]


def propose(sample: Path, decision_point: str, source: str | None) -> dict[str, Any]:
    """Return a proposal of a mapping for what a service writes: see `recorders.doors.proposal`.

    Raises:
        ExtraMissing: what reads samples is not installed. MappingError: nothing can be proposed.
    """
    _need_extra(*SHIPPING, *DOORS)
    from recorders.doors.proposal import proposal

    return proposal(sample, decision_point, source)


def _left(settings: Settings) -> tuple[int, int]:
    """Return how many batches, and how many frames of none yet, a sidecar that ended left to ship.

    A file that cannot be read tells nothing here: the next start names it.
    """
    composed, batches, frames = Place(0, 0), 0, 0
    for _, path in segment.numbered(settings.path, OUTBOX):
        with contextlib.suppress(sqlite3.Error), contextlib.closing(segment.open_reader(path)) as connection:
            for row in connection.execute(OUTBOX_SQL["state"]):  # the newest file's is how it stands
                composed, batches = Place(row[0], row[1]), row[2] - row[3]
    for number, path in segment.numbered(settings.path, INBOX):
        after = composed.id if number == composed.segment else 0
        with contextlib.suppress(sqlite3.Error), contextlib.closing(segment.open_reader(path)) as connection:
            if number >= composed.segment:
                frames += connection.execute(INBOX_SQL["after"], (after,)).fetchone()[0]
    return batches, frames


def _readable(settings: Settings) -> Path:
    """Return the folder of a spool that this version can read.

    Of another folder it would be said that nothing is left to ship in it, which is true and of no use.
    """
    folder = settings.path
    rights.check(folder, write=False)
    if not folder.is_dir():
        raise SettingsError(f"{folder} is no folder.", "Expected a spool.", _NAME_IT)
    marked = (folder / STAMP).exists() or (folder / QUARANTINE).is_dir()
    if not (marked or segment.numbered(folder, INBOX) or segment.numbered(folder, OUTBOX)):
        raise SettingsError(
            f"{folder} holds no spool.", "Expected a folder that a sidecar has worked in.", _NAME_IT
        )
    check_formats(folder)
    return folder


def _inbox(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = {
        "file": path.name,
        "bytes": segment.bytes_of(path),
        "damage": segment.damage(path),
    }
    with contextlib.suppress(sqlite3.Error), contextlib.closing(segment.open_reader(path)) as connection:
        frames, events, _, first, last = connection.execute(INBOX_SQL["census"], (2**62,)).fetchone()
        (marks,) = connection.execute(INBOX_SQL["count_marks"]).fetchone()
        found |= {"frames": frames, "events": events, "first_at": first, "last_at": last, "writers": marks}
    return found


def _outbox(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = {
        "file": path.name,
        "bytes": segment.bytes_of(path),
        "damage": segment.damage(path),
    }
    with contextlib.suppress(sqlite3.Error), contextlib.closing(segment.open_reader(path)) as connection:
        first, last = connection.execute(OUTBOX_SQL["range"]).fetchone()
        _, _, _, shipped, *_ = connection.execute(OUTBOX_SQL["state"]).fetchone()
        batches, events, _, _ = connection.execute(OUTBOX_SQL["pending"], (0,)).fetchone()
        found |= {
            "batches": batches,
            "events": events,
            "first": first,
            "last": last,
            "shipped_up_to": shipped,
        }
    return found


def _need_extra(*modules: str) -> None:
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        raise ExtraMissing(missing)


def _need_url(settings: Settings) -> None:
    if not settings.url:
        raise SettingsError(
            "No database address is set.",
            f"Expected {URL_VARIABLE}.",
            "Set it to postgresql://user@host/database.",
        )


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def shown(document: dict[str, Any]) -> str:
    """Return a document for people: its own JSON, one line a leaf."""
    return json.dumps(document, indent=2, default=str)
