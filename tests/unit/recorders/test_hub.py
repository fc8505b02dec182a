"""The hub on a disk that refuses: what no service sends again waits for room, and is kept."""

import asyncio
import json
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from recorders.sidecar.hub import Hub
from recorders.sidecar.place import Place
from recorders.sidecar.sealed_frames import FrameSealer
from recorders.sidecar.spool import Spool
from recorders.sidecar.wire import Known
from tests.support.sidecars import FEATURES, arrived, decisions, new_writer, spool_in, until
from tests.support.subjects import HeldKeys


def told(spool: Spool) -> list[list[int]]:
    """Return the sequences of the reports that the spool holds."""
    stored = spool.read(Place(0, 0), events=10**6, payload_bytes=10**9)
    return [json.loads(one.frame.payload)["body"]["sequences"] for one in stored if one.frame.kind == 3]


def run(folder: Path, story: Callable[[Hub], Coroutine[Any, Any, None]]) -> None:
    async def tell() -> None:
        with ThreadPoolExecutor(1) as committer:
            hub = Hub(spool, committer, FrameSealer(HeldKeys), kept=lambda: None)
            commits = asyncio.create_task(hub.run())
            await asyncio.wait_for(story(hub), 60)
            commits.cancel()

    spool = spool_in(folder)
    try:
        asyncio.run(tell())
    finally:
        spool.close()


async def becomes(condition: Callable[[], bool]) -> None:
    await asyncio.to_thread(until, condition)


def test_a_report_that_a_full_disk_refused_is_kept_when_there_is_room(tmp_path: Path) -> None:
    async def story(hub: Hub) -> None:
        hub.spool._disk._quota = 0
        hub.compare([Known(new_writer().bytes, 5, b"")])
        await becomes(lambda: hub.spool.counts.full == 1)
        hub.compare([Known(new_writer().bytes, 6, b"")])
        await becomes(lambda: hub.spool.counts.full == 2)
        assert hub.busy, "a drain waits for them"
        hub.tick()
        assert told(hub.spool) == []
        hub.spool._disk._quota = 2**40
        hub.spool.tick()
        hub.tick()
        await hub.flush()
        assert told(hub.spool) == [[1, 5], [1, 6]]
        hub.compare([Known(new_writer().bytes, 7, b"")])
        await hub.flush()
        assert told(hub.spool) == [[1, 5], [1, 6], [1, 7]]

    run(tmp_path / "s", story)


def test_a_report_that_came_to_nothing_is_no_gap_before_the_next(tmp_path: Path) -> None:
    """As where a file in memory is reported again: the first report was refused, and dropped."""

    async def story(hub: Hub) -> None:
        writer = new_writer()
        hub.spool.report("memory_damaged", writer, None, sequences=[1, 1])
        hub.take(None, hub.spool.report("memory_damaged", writer, None, sequences=[2, 2]))
        await hub.flush()
        assert told(hub.spool) == [[2, 2]]

    run(tmp_path / "s", story)


def test_a_feature_set_that_is_announced_during_a_commit_is_kept_by_the_next(tmp_path: Path) -> None:
    """It was taken for one of those under way, and forgotten: its decisions came to nothing."""
    digest, under_way, go_on = bytes.fromhex(FEATURES.digest), threading.Event(), threading.Event()

    async def story(hub: Hub) -> None:
        write = hub.spool._write

        def slowly(*what: Any) -> str:
            under_way.set()
            assert go_on.wait(30)
            return write(*what)

        hub.spool._write = slowly  # type: ignore[method-assign]
        hub.announce(b"another".ljust(32), b"{}")
        assert await asyncio.to_thread(under_way.wait, 30)
        hub.announce(digest, FEATURES.canonical())
        go_on.set()
        hub.take(None, arrived(decisions(new_writer(), 1)))
        await hub.flush()
        assert hub.spool.feature_set(digest) == FEATURES.canonical()

    run(tmp_path / "s", story)


def test_a_feature_set_that_a_full_disk_refused_keeps_nobody_waiting(tmp_path: Path) -> None:
    digest = bytes.fromhex(FEATURES.digest)

    async def story(hub: Hub) -> None:
        hub.spool._disk._quota = 0
        hub.announce(digest, FEATURES.canonical())
        await becomes(lambda: bool(hub.spool.refusal))
        await hub.flush()
        hub.spool._disk._quota = 2**40
        hub.spool.tick()
        hub.tick()
        await becomes(lambda: hub.spool.feature_set(digest) is not None)
        hub.take(None, arrived(decisions(new_writer(), 1)))
        await hub.flush()

    run(tmp_path / "s", story)
