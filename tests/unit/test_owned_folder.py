"""Temporary folders of owners that were killed go, those of the living and of others stay."""

import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from harness.owned_folder import OWNER, owned_folder

PREFIX = "harness-test-"
HOLDS = f"""
import sys
from harness.owned_folder import owned_folder
with owned_folder({PREFIX!r}) as folder:
    (folder / "columns").write_text("many")
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def test_a_killed_owners_folder_goes_with_the_next_and_a_living_ones_stays(place: Path) -> None:
    command = [sys.executable, "-c", HOLDS]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        left = Path(owner.stdout.readline().strip())
        with owned_folder(PREFIX) as mine:
            assert {left, mine} == set(place.iterdir())
        owner.send_signal(signal.SIGKILL)
    assert (left / "columns").exists()
    with owned_folder(PREFIX) as mine:
        assert set(place.iterdir()) == {mine}
    assert not list(place.iterdir())


def test_a_folder_of_another_machine_and_one_without_an_owner_stay(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with owned_folder(PREFIX) as mine:
        unowned = place / f"{mine.name}-too"
        unowned.mkdir()
        beside = place / f"{PREFIX}another-machine-1"
        beside.mkdir()
        (beside / OWNER).touch()
    with owned_folder(PREFIX):
        pass
    assert {each.name for each in place.iterdir()} == {unowned.name, beside.name}
    monkeypatch.setattr("socket.gethostname", lambda: "another-machine")
    with owned_folder(PREFIX):
        assert not beside.exists()


def test_where_names_are_short_of_room_for_bytes_there_is_a_folder(place: Path) -> None:
    with owned_folder(PREFIX) as mine:
        assert (mine / OWNER).stat().st_size == 0
