"""Scores and looks on an engine: the bytes of one process, with workers killed in mid-run."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from harness.database import create_log
from harness.engines.engine import Engine, InProcess
from harness.looks import take_look
from harness.replay_batches import GROUP_ROWS
from harness.replay_runner import run_replay
from tests.process.test_replay_engines import filled, stored
from tests.support import servers
from tests.support.history import POINT
from tests.support.parted_shop import DAY_UNIT, as_bytes, declared, measured, parted_shop
from tests.support.parts import once_killed

PARTS = 3
Kill = Callable[..., Any]


class Killing:
    """An engine whose workers are killed, in the way of `kill`, when they have done a part."""

    def __init__(self, engine: Engine, kill: Kill, marks: Path) -> None:
        self.engine, self.kill, self.marks = engine, kill, marks
        marks.mkdir()

    def map(self, fn: Callable[[Any], Any], parts: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        assert len(parts) == PARTS
        yield from self.engine.map(partial(self.kill, str(self.marks), fn), parts)
        assert any(self.marks.iterdir()), "somebody was killed"


def scored_alike(
    engine: Engine, database_url: str, migrated: str, folder: Path, kill: Kill = once_killed
) -> None:
    """Score the same decisions in two logs, in this process and on the engine, and compare all batches."""
    found = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("harness.scored_parts.PART_ROWS", GROUP_ROWS)
        for name, where in (("here", None), ("there", Killing(engine, kill, folder / "marks"))):
            (folder / name).mkdir()
            with (
                servers.fresh_database(database_url, migrated) as url,
                create_log(folder / name, url=url, clock="event") as log,
            ):
                start, stop = filled(log, folder / name, rows=(PARTS - 1) * GROUP_ROWS + 100)
                place: dict[str, Any] = {"decision_point": POINT, "start": start, "stop": stop}
                run = run_replay(log, "linear:1", **place, folder=folder / name, engine=where)
                found.append((run.id, run.digest, run.scored, run.failed, stored(log, run)))
    assert found[0] == found[1]
    assert [rows for rows, _digest in found[0][-1]] == [GROUP_ROWS, GROUP_ROWS, 100]


def looked_alike(
    engine: Engine, database_url: str, migrated: str, folder: Path, kill: Kill = once_killed
) -> None:
    """Take the same look in this process and on the engine, and compare all bytes."""
    with servers.fresh_database(database_url, migrated) as url, parted_shop(folder, url) as shop:
        declared(shop, folder, "day", unit=DAY_UNIT)
        take_look(shop.log, "day", folder=folder)
        whole = as_bytes(measured(shop.log, "day", InProcess(), 1))
        killing = Killing(engine, kill, folder / "marks")
        assert as_bytes(measured(shop.log, "day", killing, PARTS)) == whole
