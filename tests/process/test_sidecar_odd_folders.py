"""What an operator is told of folders that hold no spool, or cannot be worked on; nothing is harmed."""

import contextlib
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.log.log import Log
from recorders.errors import HarnessError
from recorders.sidecar import commands, rights
from recorders.sidecar.errors import SettingsError, SpoolTooNew, SpoolUnusable
from recorders.sidecar.house import House
from recorders.sidecar.settings import Settings
from recorders.sidecar.stamp import Stamp
from tests.support.houses import kept, once, opened, shipped
from tests.support.sidecars import decisions, new_writer, settings_in
from tests.support.users import needs_root

NOWHERE = "postgresql://nobody@127.0.0.1:1/none"
READERS: dict[str, Callable[[Settings], Any]] = {
    "ship": lambda settings: commands.ship(settings, timeout_s=1.0),
    "inspect": commands.inspect,
    "receipts": commands.receipts,
}


def refused(verb: str, folder: Path) -> HarnessError:
    with pytest.raises(HarnessError) as error:
        READERS[verb](settings_in(folder, NOWHERE))
    return error.value


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    where = tmp_path / "disk"
    where.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(where)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("a small file system cannot be mounted here")
    try:
        yield where
    finally:
        subprocess.run(["umount", "-l", str(where)], check=True)


@pytest.mark.parametrize("verb", READERS)
def test_a_folder_that_no_sidecar_worked_in_is_not_called_shipped(verb: str, tmp_path: Path) -> None:
    """A spool was made in it, and of a name that was mistyped it was said that the log has all."""
    (tmp_path / "letter.txt").write_text("of somebody else")
    error = refused(verb, tmp_path)
    assert isinstance(error, SettingsError)
    assert "holds no spool" in str(error)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


@pytest.mark.parametrize("verb", READERS)
def test_a_file_or_a_dangling_link_in_a_folders_place_is_called_that(verb: str, tmp_path: Path) -> None:
    """Of a link to a volume that was not mounted, root was told that it belonged to root."""
    (tmp_path / "file").write_text("")
    assert "is no folder" in str(refused(verb, tmp_path / "file"))
    (tmp_path / "link").symlink_to(tmp_path / "unmounted")
    error = refused(verb, tmp_path / "link")
    assert error.exit_code == 2
    assert f"is a link to {tmp_path / 'unmounted'}, which is not there" in str(error)


@pytest.mark.parametrize("verb", READERS)
def test_a_spool_of_a_newer_version_is_not_read_as_if_it_were_known(verb: str, tmp_path: Path) -> None:
    """It was shown as whole, and had no receipts."""
    with opened(tmp_path / "s", NOWHERE) as house:
        kept(house, [decisions(new_writer(), 1)])
    (inbox,) = (tmp_path / "s").glob("inbox-*.db")
    with contextlib.closing(sqlite3.connect(inbox)) as file:
        file.execute("pragma user_version = 9")
    error = refused(verb, tmp_path / "s")
    assert isinstance(error, SpoolTooNew)
    assert "has format 9" in str(error)


@needs_root
def test_a_disk_that_is_mounted_read_only_is_no_matter_of_users(disk: Path) -> None:
    """Root was told that the spool is closed to root and belongs to root, and to chown it."""
    folder = disk / "s"
    with opened(folder, NOWHERE, segment_bytes=65_536) as house:
        kept(house, [decisions(new_writer(), 1)])
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    error = refused("ship", folder)
    assert isinstance(error, SpoolUnusable)
    assert "mounted read-only" in str(error)
    with pytest.raises(SpoolUnusable, match="mounted read-only"):
        rights.check(disk / "still" / "to" / "make")
    held = commands.inspect(settings_in(folder))["files"]
    assert sum(file["events"] for file in held) == 4
    assert all(file["damage"] is None for file in held)


@needs_root
def test_a_disk_without_a_single_byte_left_lets_a_sidecar_start_by_its_ballast(
    fresh_log: Log, disk: Path
) -> None:
    """It found its own folder in use: the first try had kept the lock."""
    limits = {"ballast_bytes": 1_048_576, "segment_bytes": 262_144}
    frames = [decisions(new_writer(), 1)]
    with opened(disk / "s", fresh_log.url, **limits) as house:
        kept(house, frames)
        house.spool.tick()
        assert house.disk.ballast.exists()
    with (disk / "filler").open("wb", buffering=0) as filler, contextlib.suppress(OSError):
        while True:
            filler.write(b"x" * 4096)
    assert os.statvfs(disk).f_bavail == 0
    with opened(disk / "s", fresh_log.url, **limits) as house:
        assert house.disk.ballast_dropped == 1
        shipped(house)
    once(fresh_log, frames)


def test_a_stamp_that_the_disk_does_not_take_gives_the_lock_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(Path, "write_text", full)
        with pytest.raises(OSError, match="No space left"):
            Stamp(tmp_path)
    Stamp(tmp_path).close()


def test_a_spool_without_its_stamp_is_one_all_the_same(fresh_log: Log, tmp_path: Path) -> None:
    frames = [decisions(new_writer(), 1)]
    with opened(tmp_path / "s", fresh_log.url) as house:
        kept(house, frames)
    shutil.copytree(tmp_path / "s", tmp_path / "c", ignore=shutil.ignore_patterns("stamp", "lock"))
    assert commands.ship(settings_in(tmp_path / "c", fresh_log.url), timeout_s=30)["shipped_all"]
    once(fresh_log, frames)


def test_what_a_running_sidecar_lets_go_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(tmp_path / "s", NOWHERE) as house:
        assert isinstance(house, House)
    gone = [(7, tmp_path / "s" / "inbox-00000007.db")]
    monkeypatch.setattr("recorders.sidecar.house.segment.numbered", lambda *_: gone)
    assert commands._readable(settings_in(tmp_path / "s")) == tmp_path / "s"
