"""What ships: the four packages and their data, never tests, benchmarks or a stray top-level name."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOP = {"harness", "recorders", "replay", "policies"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    uv = ROOT / ".tools" / "bin" / "uv"
    if not uv.exists():
        pytest.skip("uv is not set up here; `make test` sets it up")
    out = tmp_path_factory.mktemp("wheel")
    # Through the source distribution: built in place, files that were deleted would come back from build/lib.
    command = [str(uv), "build", "--quiet", "--python", sys.executable, "--out-dir", str(out), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return zipfile.ZipFile(next(out.glob("*.whl")))


def test_the_wheel_holds_our_four_names_alone(wheel: zipfile.ZipFile) -> None:
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == TOP


def test_the_wheel_holds_every_tracked_source_and_its_data(wheel: zipfile.ZipFile) -> None:
    listing = subprocess.run(
        ["git", "ls-files", *sorted(TOP), "migrations"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    expected = {
        f"harness/{name}" if name.startswith("migrations/") else name
        for name in listing.stdout.splitlines()
        if (ROOT / name).exists() and not name.endswith((".c", ".h"))  # what is compiled ships so
    }
    assert expected - set(wheel.namelist()) == set()
