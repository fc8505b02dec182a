"""What programs read of `harness sidecar`: JSON alone on the standard output, JSON lines beside it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.houses import kept, opened
from tests.support.sidecars import decisions, new_writer

NOWHERE = "postgresql://nobody@127.0.0.1:1/none"
HARNESS = Path(sys.executable).with_name("harness")


def harness(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    variables = {"HARNESS_DATABASE_URL": NOWHERE, "HARNESS_SIDECAR_FOLDER": str(folder)}
    command = [str(HARNESS), "sidecar", *arguments]
    return subprocess.run(
        command, env=os.environ | variables, capture_output=True, text=True, check=False, timeout=60
    )


def test_what_ship_logs_is_json_too(tmp_path: Path) -> None:
    """Between the lines of JSON stood one of plain text."""
    with opened(tmp_path / "s", NOWHERE) as house:
        kept(house, [decisions(new_writer(), 1)])
    done = harness(tmp_path / "s", "ship", "--json", "--timeout", "1")
    assert (done.returncode, done.stdout) == (1, "")
    *log, error = [json.loads(line) for line in done.stderr.splitlines()]
    assert "1 batches are not shipped" in error["error"]["message"]
    assert any(line["message"].startswith("Shipping waits") for line in log)


@pytest.mark.parametrize("verb", ["receipts", "inspect", "ship", "status", "drain"])
def test_an_error_of_each_command_is_json(verb: str, tmp_path: Path) -> None:
    done = harness(tmp_path / "none", verb, "--json")
    assert done.stdout == ""
    error = json.loads(done.stderr)["error"]
    assert error["exit_code"] == done.returncode
    assert error["type"] in ("SettingsError", "SidecarUnreachable")


@pytest.mark.parametrize("seconds", ["nan", "inf", "-1"])
def test_seconds_that_never_end_are_refused(seconds: str, tmp_path: Path) -> None:
    done = harness(tmp_path / "none", "drain", "--timeout", seconds)
    assert done.returncode == 2
    assert "Invalid value for '--timeout'" in done.stderr
