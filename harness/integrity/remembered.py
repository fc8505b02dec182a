"""What this host remembers of references: verdicts, sets and checkpoints that the log held.

After a loss the log cannot say what it said. A line is the event as JSON, with its position.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import msgspec

from harness.written import unusable

# Each names events by their position, or is cited by its own.
REFERENCES: Final = (
    "feature_set.registered",
    "model.registered",
    "experiment.registered",
    "look.taken",
    "verdict.reached",
    "verdict.approved",
    "model.promoted",
    "training_set.created",
    "replay.started",
    "replay.completed",
    "log.checkpointed",
)


class Remembered(msgspec.Struct, frozen=True):
    """A control event that others refer to, as the log held it at `position`."""

    position: int
    type: str
    subject: str
    body: dict[str, Any]


def worth(position: int, payload: bytes) -> Remembered | None:
    """Return what is remembered of a control event, None if nothing refers to its like."""
    event = msgspec.json.decode(payload)
    if event["type"] not in REFERENCES:
        return None
    body = event.get("body")
    return Remembered(position, event["type"], event["subject"], body if isinstance(body, dict) else {})


def remember(folder: Path, events: Iterable[Remembered]) -> None:
    """Add events to what this host remembers. One that is added again counts once.

    Raises:
        FolderUnusable, NoRoom: the folder cannot be written.
    """
    lines = b"".join(msgspec.json.encode(event) + b"\n" for event in events)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "references").open("ab") as file:
            file.write(lines)
    except OSError as error:
        raise unusable(folder / "references", error) from error


def remembered(folder: Path) -> list[Remembered]:
    """Return what this host remembers, in order of position. A line that was cut by a crash is left out."""
    path, found = folder / "references", dict[int, Remembered]()
    for line in path.read_bytes().splitlines() if path.exists() else []:
        try:
            event = msgspec.json.decode(line, type=Remembered)
        except msgspec.DecodeError:
            continue
        found[event.position] = event
    return [found[position] for position in sorted(found)]
