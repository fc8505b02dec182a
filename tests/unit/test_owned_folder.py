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


@pytest.mark.parametrize("owner", [None, "", "another-machine"])
def test_what_has_no_owner_of_this_machine_stays(place: Path, owner: str | None) -> None:
    other = place / f"{PREFIX}other"
    other.mkdir()
    if owner is not None:
        (other / OWNER).write_text(owner)
    with owned_folder(PREFIX):
        pass
    assert list(place.iterdir()) == [other]
    assert [each.name for each in other.iterdir()] == ([] if owner is None else [OWNER])
