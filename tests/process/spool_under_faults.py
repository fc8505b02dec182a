"""Keeps twelve frames in a folder's spool and prints each that was kept. Run under `disk_faults.c`."""

import hashlib
import sys
from pathlib import Path
from uuid import UUID

from recorders.sidecar.disk import Disk
from recorders.sidecar.spool import Place, Rules, Spool
from recorders.sidecar.wire import Arrived


def main(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    disk = Disk(folder, quota_bytes=2**40, free_bytes_min=0, ballast_bytes=0)
    spool = Spool(folder, disk, Rules(segment_bytes=65_536), owner=UUID(int=7), composed=Place(0, 0))
    for number in range(1, 13):
        payload = number.to_bytes(2, "big") * 4_000
        digest = hashlib.sha256(payload).digest()
        frame = Arrived(UUID(int=5).bytes, number, 0, "p", bytes(32), 10, digest, payload)
        for _ in range(3):
            (answer,) = spool.commit([frame])
            if answer.kept:
                print(number, flush=True)  # noqa: T201
                break


if __name__ == "__main__":
    main(Path(sys.argv[1]))
