"""The journal of halves: what waits survives, what is forgotten stays away, the file does not grow."""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from recorders.doors import journal
from recorders.doors.desk import Kept, Work
from recorders.doors.journal import NAME, Journal
from recorders.doors.pairing import Half
from tests.support.doors_house import House, kserve, run


def half(key: str, data: bytes = b"{}") -> Half:
    return Half(key, "request", 1.0, "kserve", {"id": key}, data, len(data))


def keys(folder: Path) -> list[str]:
    opened = Journal(folder)
    assert not opened.damaged
    opened.close()
    return [one.key for one in opened.take_over()]


def test_a_key_that_is_forgotten_and_kept_in_one_write_is_kept(tmp_path: Path) -> None:
    first = Journal(tmp_path)
    first.write([half("a"), half("b")], [])
    first.write([half("b", b"again")], ["a", "b"])
    first.close()
    opened = Journal(tmp_path)
    assert [(one.key, one.data) for one in opened.take_over()] == [("b", b"again")]
    opened.close()


def test_the_file_does_not_grow_with_what_has_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "REWRITE_BYTES", 65_536)
    one = Journal(tmp_path)
    one.write([half("waits", b"x" * 1_000)], [])
    sizes = []
    for number in range(400):
        one.write([half(f"k{number}", b"x" * 4_000)], [f"k{number - 1}"])
        sizes.append((tmp_path / NAME).stat().st_size)
    one.close()
    assert max(sizes) < 4 * 65_536  # of 1,600,000 bytes that went through
    assert keys(tmp_path) == ["waits", "k399"]


def test_what_could_not_be_written_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(sqlite3.Connection):
        def execute(self, sql: str, *given: object) -> sqlite3.Cursor:
            if sql == "commit":
                raise sqlite3.OperationalError("database or disk is full")
            return super().execute(sql, *given)  # type: ignore[arg-type]  # whatever sqlite3 takes

    connect = sqlite3.connect
    for least in (2**20, 0):  # appended, and rewritten
        monkeypatch.setattr(journal, "REWRITE_BYTES", least)
        folder = tmp_path / str(least)
        one = Journal(folder)
        one.write([half("a")], [])
        one.close()
        with monkeypatch.context() as patched:
            patched.setattr(sqlite3, "connect", lambda path, **given: connect(path, factory=Full, **given))
            broken = Journal(folder)
            with pytest.raises(sqlite3.OperationalError):
                broken.write([half("b")], ["a"])
            assert [one.key for one in broken.take_over()] == ["a"]
            broken.close()
        assert keys(folder) == ["a"]


def test_an_answer_that_cannot_be_given_keeps_none_from_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: object) -> None:
        raise RuntimeError("planted")

    told: list[object] = []

    async def story(house: House) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["exception"]))
        submit = house.desk.submit

        def beside(work: Work, kept: Kept) -> None:
            submit(Work(), fails)
            submit(work, kept)

        monkeypatch.setattr(house.desk, "submit", beside)
        assert (await house.send(*kserve(1, "request")))[0] == 200
        assert (await house.send(*kserve(1, "response")))[0] == 200

    assert run(tmp_path, story).kept.ids() == ["id-1"]
    assert [str(error) for error in told] == ["planted", "planted"]
