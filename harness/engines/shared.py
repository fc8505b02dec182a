"""What a worker must find where the one who asks has it."""

import socket
from pathlib import Path

from harness.engines.errors import NotShared


def check_shared(*folders: Path | str) -> None:
    """Return when all folders are here; raise NotShared for the first that is not."""
    for folder in folders:
        if not Path(folder).is_dir():
            raise NotShared(str(folder), socket.gethostname())
