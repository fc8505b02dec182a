"""A log that is restored from a backup, with all that a restore cannot take back."""

import uuid
from pathlib import Path
from typing import Any

from harness.config import StorePlace
from harness.integrity.checkpoints import take as checkpoint
from harness.integrity.log_keys import epoch_signer
from harness.integrity.receipts import Receipt
from harness.log.log import Log
from harness.log.seal import seal
from harness.recovery.evidence import gather
from harness.recovery.kept import KeptSegments
from harness.recovery.plan import Plan, make_plan
from harness.recovery.recover import Recovered, recover
from tests.support.backups import Step
from tests.support.batches import decisions, stored

WRITER = uuid.UUID(int=42)


class World:
    """A log with a store, this host's memory and the receipts of one writer, and its backup."""

    def __init__(self, log: Log, folder: Path, steps: tuple[Step, Step]) -> None:
        self.url = log.url
        self.folder = folder
        self.host = folder / "host"
        self.place = StorePlace(str(folder / "store"), {}, True)
        self.receipts: list[Receipt] = []
        self.told: list[Receipt] = []
        self._backed = 0
        self._take, self._restore = steps

    def open(self) -> Log:
        return Log(self.url, store=self.place)

    def take(self) -> None:
        self._take()
        self._backed = len(self.receipts)

    def restore(self) -> None:
        """Put the backup back; `told` is all that the writer was told before."""
        self._restore()
        self.told, self.receipts = self.receipts, self.receipts[: self._backed]

    def grow(self, log: Log, count: int = 3) -> None:
        for _ in range(count):
            sequence = len(self.receipts) + 1
            batch = stored(decisions(4, first=10 * sequence), WRITER, sequence, acked=sequence - 1)
            receipt = log.append(batch)
            told = Receipt(receipt.epoch, receipt.position, receipt.digest, str(WRITER), sequence, 4)
            self.receipts.append(told)

    def plan(self, log: Log, **known: Any) -> Plan:
        kept = KeptSegments(log.sealed.store, log.head().log_id)
        evidence = gather(log, self.host, known.get("receipts", []), known.get("notes", []), known.get("key"))
        return make_plan(log, evidence, kept)

    def recover(self, log: Log, plan: Plan) -> Recovered:
        kept = KeptSegments(log.sealed.store, plan.log_id)
        keys = gather(log, self.host, [], [], None).keys
        origin = f"harness.log/{plan.log_id}/e{plan.next_epoch}"
        return recover(log, plan, kept, epoch_signer(log, self.host, keys, origin))


def chain(log: Log, stop: int) -> list[tuple[int, bytes, bytes]]:
    rows = [row for rows in log.history(1, stop) for row in rows]
    return [(row.header.position, row.chain, row.payload) for row in rows]


def lose(world: World, *, sealed: bool = True) -> None:
    """Fill, back up, fill on and restore."""
    with world.open() as log:
        world.grow(log)
        world.take()
    with world.open() as log:
        world.grow(log)
        if sealed:
            seal(log)
        checkpoint(log, world.host)
    world.restore()
