import subprocess
import sys

import pytest

from tests.support.training import handed_off


@pytest.fixture
def dvc(tmp_path):
    def call(*words):
        command = [sys.executable, "-m", "dvc", *words]
        done = subprocess.run(command, cwd=tmp_path / "set", capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return call


def test_dvc_takes_our_pointer_for_its_own(event_log, tmp_path, dvc):
    made = handed_off(event_log, tmp_path)
    pointer = made.folder / "data.dvc"
    ours = pointer.read_text()
    dvc("init", "--no-scm", "-q")
    dvc("commit", "-f", "-q", "data.dvc")
    assert pointer.read_text() == ours
    assert "up to date" in dvc("status")
    pointer.unlink()
    dvc("add", "-q", "data")
    assert pointer.read_text() == ours
    part = made.folder / made.manifest["parts"][0]["file"]
    part.chmod(0o644)
    part.write_bytes(part.read_bytes() + b"\0")
    assert "modified" in dvc("status")
