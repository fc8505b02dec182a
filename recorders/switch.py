"""The kill switch: an operator turns recording off without a deployment, and on again."""

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from recorders.guard import Guard
from recorders.outbox import Outbox

OFF_VARIABLE: Final = "HARNESS_RECORDER_OFF"
OFF_FILE_VARIABLE: Final = "HARNESS_RECORDER_OFF_FILE"
_NO: Final = ("", "0", "false", "no")
_logger = logging.getLogger("recorders")


def never() -> bool:
    """Return False: the switch that a service has when it gives none."""
    return False


def is_off(asked: Callable[[], bool]) -> bool:
    """Return whether recording is switched off: by the environment, by a file, or by the service itself.

    HARNESS_RECORDER_OFF holds anything but "", 0, false or no; HARNESS_RECORDER_OFF_FILE names a file
    that exists; `asked` says True. Read about once a second by a background thread, never by `record`.
    """
    if os.environ.get(OFF_VARIABLE, "").lower() not in _NO:
        return True
    path = os.environ.get(OFF_FILE_VARIABLE, "")
    return bool(path and Path(path).exists()) or bool(asked())


class KillSwitch:
    """A service's switch: asked when a process begins, then by a thread of the recorder for this alone."""

    def __init__(self, asked: Callable[[], bool]) -> None:
        self._asked = asked

    def watch(self, outbox: Outbox) -> None:
        """Close the door of `outbox`, or open it again. Where the switch raises, it stays as it is."""
        with Guard(_warn):
            outbox.switch(off=is_off(self._asked))


def _warn(error: Exception) -> None:
    _logger.warning("The recorder's switch raised %s; its last answer stands.", type(error).__name__)
