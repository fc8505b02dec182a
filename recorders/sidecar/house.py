"""House: an open spool folder with all that works on it, as a sidecar or a command opens it."""

import contextlib
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from recorders.clock import Clock, LastingClock
from recorders.sidecar import segment
from recorders.sidecar.disk import Disk
from recorders.sidecar.errors import SpoolTooNew, SpoolUnusable
from recorders.sidecar.log_door import Door, appender
from recorders.sidecar.outbox import Outbox
from recorders.sidecar.pace import Pace
from recorders.sidecar.place import INBOX
from recorders.sidecar.recovery import OUTBOX
from recorders.sidecar.rights import check
from recorders.sidecar.salvage import lying
from recorders.sidecar.settings import Settings
from recorders.sidecar.ship import Shipper
from recorders.sidecar.spool import Rules, Spool
from recorders.sidecar.stamp import Stamp


class House:
    """An open spool folder: what a sidecar works on. `copied` says that it is a copy of another.

    Raises:
        SpoolForbidden: something of it is closed to this user; nothing was touched.
        SpoolBusy, SpoolTooNew, SpoolUnusable: it cannot be opened now, or not by this.
    """

    def __init__(
        self,
        settings: Settings,
        open_door: Callable[[str | None], Door] | None = None,
        *,
        clock: Clock = LastingClock(),  # noqa: B008  # a constant
    ) -> None:
        check(settings.path)
        self.settings = settings
        self.clock = clock
        spool = settings.spool
        self.disk = Disk(
            settings.path,
            quota_bytes=spool.quota_bytes,
            free_bytes_min=spool.free_bytes_min,
            ballast_bytes=spool.ballast_bytes,
        )
        try:
            self._open(open_door)
        except (OSError, sqlite3.Error) as error:
            # A sidecar that cannot start on a full disk could not make room on it either.
            if not self.disk.drop_ballast():
                raise SpoolUnusable(settings.path, str(error)) from error
            self._open(open_door)

    def _open(self, open_door: Callable[[str | None], Door] | None) -> None:
        settings = self.settings
        with contextlib.ExitStack() as opened:
            self.stamp = Stamp(settings.path)
            opened.callback(self.stamp.close)
            check_formats(settings.path)
            spool, ship = settings.spool, settings.ship
            self.outbox = Outbox(settings.path, segment_bytes=spool.segment_bytes, clock=self.clock)
            opened.callback(self.outbox.close)
            rules = Rules(spool.durability, spool.segment_bytes, spool.segment_age_s)
            self.spool = Spool(
                settings.path,
                self.disk,
                rules,
                owner=self.outbox.identities[0].uuid,
                composed=self.outbox.composed,
                clock=self.clock,
            )
            opened.callback(self.spool.close)
            self.copied = self.outbox.settle_in(self.stamp.place, self.spool.current)
            pace = Pace(ship.target_events, ship.linger_s, ship.retain_s, ship.backoff_s, ship.backoff_max_s)
            self.shipper = Shipper(
                self.spool,
                self.outbox,
                self.stamp,
                open_door or appender(settings.url),
                pace,
                clock=self.clock,
            )
            self.spool.release(self.outbox.composed)
            self.spool.tick()
            opened.pop_all()

    def close(self) -> None:
        """Close the files and give the folder back."""
        self.shipper.close()
        self.spool.close()
        self.outbox.close()
        self.stamp.close()

    def status(self) -> dict[str, Any]:
        """Return what the house knows of itself."""
        shipper, outbox, space = self.shipper, self.outbox, self.disk.look()
        receipt = outbox.receipts[-1] if outbox.receipts else None
        return {
            "spool_id": str(shipper.spool_id),
            "folder": str(self.settings.path),
            "durability": self.settings.spool.durability,
            "spool": vars(self.spool.counts) | {"writers": self.spool.writers},
            "disk": {
                "used_bytes": space.used_bytes,
                "quota_bytes": self.settings.spool.quota_bytes,
                "free_bytes": space.free_bytes,
                "refusal": self.spool.refusal,
                "refusing": int(bool(self.spool.refusal)),
                "ballast_dropped": self.disk.ballast_dropped,
            },
            "quarantine": lying(self.settings.path),
            "ship": vars(shipper.counts)
            | {
                "unusable": shipper.unusable,
                "ahead": shipper.never_taken.horizon.left_out,
                "refused": shipper.never_taken.refused,
                "state": shipper.state,
                "reason": shipper.reason,
                "stopped": int(shipper.state == "stopped"),
                "waits": int(shipper.state == "waiting"),
                "drained": shipper.drained,
                "waiting": outbox.waiting,
                "writer": str(outbox.identity.uuid),
                "log_id": outbox.state.log_id,
                "unlinked_uncovered": outbox.unlinked_uncovered,
                "receipt": None
                if receipt is None
                else {"epoch": receipt.epoch, "position": receipt.position, "covered": receipt.covered},
            },
        }


def ship_all(house: House, *, timeout_s: float) -> bool:
    """Ship what a closed sidecar left, and return whether the log has all of it."""
    house.shipper.draining = True
    end = time.monotonic() + timeout_s
    while not house.shipper.drained and time.monotonic() < end:
        wait = house.shipper.step()
        if house.shipper.state == "stopped":
            break
        time.sleep(min(wait, max(0.0, end - time.monotonic())))
    return house.shipper.drained


def check_formats(folder: Path) -> None:
    """Look at what wrote each file of a spool. What a sidecar that runs lets go meanwhile needs no look.

    Raises:
        SpoolTooNew: a newer version did, whose tables may be others.
    """
    for prefix in (INBOX, OUTBOX):
        for _, path in segment.numbered(folder, prefix):
            with contextlib.suppress(FileNotFoundError):
                found = segment.format_of(path)
                if found > segment.FORMAT:
                    raise SpoolTooNew(path, found, segment.FORMAT)
