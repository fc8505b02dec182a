"""A round: take a checkpoint, have it cosigned by every witness, put it at every anchor."""

from collections.abc import Callable
from pathlib import Path

from harness.config import Config
from harness.errors import ConfigError
from harness.integrity.anchors import anchor, placed
from harness.integrity.checkpoints import Taken, take
from harness.integrity.settings import read_integrity
from harness.log.events import ControlEvent
from harness.log.log import Log
from recorders.errors import HarnessError


def round_of(
    log: Log, folder: Path | None, home: Path, progress: Callable[[int], None] | None = None
) -> tuple[Taken, list[ControlEvent]]:
    """Return the checkpoint and the events of its anchors, as the harness.toml in `folder` asks for them.

    Done again it goes on where it failed: what is cosigned and anchored already stays as it is. The names of
    files are relative to that harness.toml, wherever the scheduler was started. One anchor that fails keeps
    the checkpoint from no other.

    Raises:
        HistoryForked, WitnessRefused, OutsideUnavailable: see harness/integrity/errors.py; of several anchors
            that fail the first one.
    """
    config = Config.load(folder)
    settings = read_integrity(config)
    named = settings.timestamp_roots
    try:
        roots = (config.folder / named).read_bytes() if named else None
    except OSError as error:
        raise ConfigError(
            f"The file integrity.timestamp_roots cannot be read: {error}.",
            "Expected PEM.",
            "Correct its name.",
        ) from error
    taken = take(log, home, settings.witnesses(), progress)
    events, failed = list[ControlEvent](), list[HarnessError]()
    for target in settings.anchors:
        try:
            events.append(anchor(log, taken.note, placed(target, config.folder), roots))
        except HarnessError as error:
            failed.append(error)
    if failed:
        raise failed[0]
    return taken, events
