"""Commits that are shared: those who were answered together are waited for, who is alone is not."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from recorders.doors import desk
from tests.support.doors_house import House, kserve, run


async def burst(house: House, first: int, senders: int) -> None:
    """Have some senders send one half each, and wait for their answers."""
    answered = await asyncio.gather(*(house.send(*kserve(first + n, "request")) for n in range(senders)))
    assert [status for status, _, _ in answered] == [200] * senders


def test_those_who_shared_a_commit_share_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "GATHER_EACH_S", 1.0)
    monkeypatch.setattr(desk, "GATHER_MAX_S", 1.0)

    async def story(house: House) -> None:
        await burst(house, 0, 8)
        before = house.desk.counts["commits"]
        first = asyncio.create_task(burst(house, 8, 1))
        while not house.desk._pending:  # noqa: ASYNC110  # nothing tells of it
            await asyncio.sleep(0)
        for _ in range(20):  # the desk was woken for the first one long ago
            await asyncio.sleep(0)
        await asyncio.gather(first, burst(house, 9, 7))
        assert house.desk.counts["commits"] == before + 1

    run(tmp_path, story)


def test_a_sender_that_is_alone_is_not_kept_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk, "GATHER_EACH_S", 3_600.0)
    monkeypatch.setattr(desk, "GATHER_MAX_S", 3_600.0)

    async def story(house: House) -> None:
        for number in range(5):
            await burst(house, number, 1)

    run(tmp_path, story)


def test_nobody_is_waited_for_once_all_have_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk, "GATHER_EACH_S", 3_600.0)
    monkeypatch.setattr(desk, "GATHER_MAX_S", 3_600.0)

    async def story(house: House) -> None:
        for number in range(5):
            await burst(house, 8 * number, 8)
        assert house.desk.counts["commits"] == 5

    run(tmp_path, story)


def test_who_came_during_a_commit_is_waited_for_with_those_that_it_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "GATHER_EACH_S", 3_600.0)
    monkeypatch.setattr(desk, "GATHER_MAX_S", 3_600.0)

    async def story(house: House) -> None:
        keep = house.desk._keep
        late: list[asyncio.Task[None]] = []

        async def kept(made: Any) -> None:
            if not late:
                late.append(asyncio.create_task(burst(house, 8, 3)))
                while len(house.desk._pending) < 3:  # noqa: ASYNC110  # nothing tells of it
                    await asyncio.sleep(0)
            await keep(made)

        monkeypatch.setattr(house.desk, "_keep", kept)
        await burst(house, 0, 8)
        await burst(house, 16, 8)  # with the three that came late
        await late[0]
        assert house.desk.counts["commits"] == 2
        await burst(house, 24, 11)
        assert house.desk.counts["commits"] == 3

    run(tmp_path, story)
