"""The challenger's own process: enters the sandbox, loads one model, answers block by block.

It may be killed at any moment and owns nothing.
"""

import os
import sys
from typing import Any

from replay.isolation import sandbox, wire
from replay.isolation.limits import Limits, apply_limits
from replay.isolation.serving import Server


def main(order: dict[str, Any], read: int, write: int) -> None:
    """Serve until the pipe `read` closes; `order` is what `process` sent to the nursery."""
    limits, home = Limits(**order["limits"]), str(order["home"])
    os.environ.update(HOME=home, TMPDIR=home)
    os.chdir(home)
    report = sandbox.enter(home, order["readable"], network=limits.network, processes=limits.processes)
    apply_limits(limits)
    sys.path[:] = order["path"]
    server = Server(report, home, watched=not limits.network)
    while (frame := wire.read_all(read)) is not None:
        wire.write_all(write, *server.reply(*frame))
