"""The recorder's own wheel: `recorders` and nothing else, installed with msgspec and nothing else."""

import email
import json
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

from harness.log.log import Log
from recorders.version import VERSION
from tests.support.sidecars import Running
from tests.support.web import decisions

NOT_COMPILED = "pure Python: recorders/_hotpath.c was not compiled where this was built or installed"
ROOT = Path(__file__).parents[2]
UV = ROOT / ".tools" / "bin" / "uv"
PACKAGES = ("harness", "recorders", "replay", "policies")
pytestmark = pytest.mark.xdist_group("recorder-wheel")  # it is built once

RECORDS = """
import json, sys
from recorders import FeatureSet, Field, Limits, Recorder
from recorders.frame import Receipt
from recorders.integrations.predict import recorded
from recorders.integrations import asgi, mlflow, model, wsgi
from recorders import hotpath, socket_link

class Link:
    frames = []
    def send(self, frame):
        self.frames.append(frame)
        return Receipt(1, 1, "", 0, False)
    def close(self):
        pass

features = FeatureSet("checkout", 1, (Field("amount", "float64"),))
recorder = Recorder("fraud.checkout", features, Link(), model="rules", model_version="7")
told = recorder.record({"amount": 250.0}, score=0.5)
recorded(recorder)(lambda order: 0.5)({"amount": 1.0})
assert recorder.close() and told is not None
ours = sorted({name.split(".")[0] for name in sys.modules} - set(sys.stdlib_module_names) - {"__main__"})
events = sum(frame.events for frame in Link.frames)
print(json.dumps({"events": events, "modules": ours, "hot_path": hotpath.which()}))
"""


FIVE_LINES = """
import sys
from recorders import FeatureSet, Field, Recorder
from recorders.socket_link import SocketLink
features = FeatureSet("checkout", 1, (Field("amount", "float64"),))
link = SocketLink(sys.argv[1], [features])
with Recorder("fraud.checkout", features, link, model="rules", model_version="7") as recorder:
    print(recorder.record({"amount": 250.0}, score=0.5, decision="allow"))
    recorder.flush(30)  # on a busy machine the two seconds of an end are short
"""


def tracked(*places: str) -> list[str]:
    listing = subprocess.run(
        ["git", "ls-files", *places], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [name for name in listing.stdout.splitlines() if (ROOT / name).exists()]


def run(*command: str | Path, **variables: str) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | variables,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build(tree: Path, place: str, out: Path, **variables: str) -> Path:
    for left in ("build", "recorders"):  # of an earlier build
        shutil.rmtree(tree / "packaging" / "recorder" / left, ignore_errors=True)
    command = (UV, "build", "--quiet", "--wheel", "--python", sys.executable, "--out-dir", out, tree / place)
    run(*command, **variables)
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what git tracks: builds leave files behind, which the next build would take along."""
    if not UV.exists():
        pytest.skip("uv is not set up here; `make test` sets it up")
    tree = tmp_path_factory.mktemp("tree")
    for name in tracked(
        *PACKAGES, "packaging", "migrations", "README.md", "pyproject.toml", "setup.py", "LICENSE"
    ):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tree / name)
    return tree


@pytest.fixture(scope="module")
def wheel(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tree, "packaging/recorder", tmp_path_factory.mktemp("recorder"))


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Any:
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith("/METADATA"))
        return email.message_from_bytes(archive.read(name))


def new_environment(folder: Path) -> Path:
    run(UV, "venv", "--quiet", "--python", sys.executable, folder)
    return folder / "bin" / "python"


def install(python: Path, *what: str | Path) -> None:
    """Install from the cache where it has all, else from the index."""
    command = [
        str(UV),
        "pip",
        "install",
        "--quiet",
        "--python",
        str(python),
        "-c",
        str(ROOT / "requirements.lock"),
    ]
    offline = subprocess.run([*command, "--offline", *map(str, what)], capture_output=True, check=False)
    if offline.returncode:
        run(*command, *what)


def distributions(python: Path) -> dict[str, str]:
    listed = run(UV, "pip", "list", "--quiet", "--format", "json", "--python", python)
    return {entry["name"]: entry["version"] for entry in json.loads(listed)}


def test_it_holds_every_tracked_file_of_recorders_and_nothing_else(wheel: Path) -> None:
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    compiled = {
        name for name in held if name.startswith("recorders/_hotpath.") and name.endswith((".so", ".pyd"))
    }
    assert len(compiled) == bool(shutil.which("cc") or shutil.which("gcc"))
    assert wheel.name.endswith("-none-any.whl") == (not compiled)
    sources = {name for name in tracked("recorders") if name.endswith((".c", ".h"))}
    assert held - compiled == set(tracked("recorders")) - sources


def test_both_distributions_have_one_version_and_the_same_bounds(metadata: Any) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert metadata["Version"] == VERSION
    assert project["dynamic"] == ["version"]
    required = metadata.get_all("Requires-Dist")
    bare = [line for line in required if ";" not in line]
    extra = {line.split(";")[0].strip() for line in required if 'extra == "sidecar"' in line}
    assert [line.split(">")[0] for line in bare] == ["msgspec"]
    whole = set(project["dependencies"]) | set(project["optional-dependencies"]["sidecar"])
    assert {*bare, *extra} <= whole
    names = {line.split(">")[0] for line in extra}
    assert {"pyarrow", "psycopg[binary]", "numpy", "httptools"} <= names


def test_into_an_empty_environment_it_brings_msgspec_alone_and_records(wheel: Path, tmp_path: Path) -> None:
    python = new_environment(tmp_path / "empty")
    install(python, wheel)
    assert set(distributions(python)) == {"msgspec", "shadow-harness-recorder"}
    found = json.loads(run(python, "-I", "-c", RECORDS))
    assert found["events"] == 2
    assert found["hot_path"] == (
        "compiled" if ".so" in str(zipfile.ZipFile(wheel).namelist()) else NOT_COMPILED
    )
    assert [name for name in found["modules"] if not name.startswith("_")] == ["msgspec", "recorders"]


@pytest.mark.parametrize(
    "variables",
    [{"CC": "/bin/false"}, {"HARNESS_RECORDER_PURE": "1"}],
    ids=["no compiler", "on purpose"],
)
def test_without_the_compiled_hot_path_it_builds_for_every_platform_and_records_all_the_same(
    tree: Path, tmp_path: Path, variables: dict[str, str]
) -> None:
    pure = build(tree, "packaging/recorder", tmp_path / "out", **variables)
    assert pure.name.endswith("-py3-none-any.whl")
    assert ".so" not in str(zipfile.ZipFile(pure).namelist())
    python = new_environment(tmp_path / "pure")
    install(python, pure)
    found = json.loads(run(python, "-I", "-c", RECORDS))
    assert (found["events"], found["hot_path"]) == (2, NOT_COMPILED)


def test_what_the_container_file_copies_is_all_that_its_wheel_is_built_from(tmp_path: Path) -> None:
    """It copied `recorders` alone, so that its sidecar ran in pure Python."""
    if not UV.exists():
        pytest.skip("uv is not set up here; `make test` sets it up")
    lines = (ROOT / "examples" / "deploy" / "Containerfile").read_text().splitlines()
    copied = [line.split()[1:-1] for line in lines if line.startswith("COPY ") and "--from=" not in line]
    for name in tracked(*(name for names in copied for name in names)):
        (tmp_path / "src" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / "src" / name)
    assert any(line.startswith("RUN pip wheel ") and line.endswith(" ./packaging/recorder") for line in lines)
    built = build(tmp_path / "src", "packaging/recorder", tmp_path / "out")
    assert any(name.endswith(".so") for name in zipfile.ZipFile(built).namelist()) == bool(shutil.which("cc"))


def test_five_lines_in_it_end_as_a_decision_in_the_log_by_a_sidecar_of_it(
    wheel: Path, tmp_path: Path, fresh_log: Log
) -> None:
    service, beside = new_environment(tmp_path / "service"), new_environment(tmp_path / "sidecar")
    install(service, wheel)
    install(beside, f"{wheel}[sidecar]")
    assert {"pyarrow", "psycopg", "numpy", "shadow-harness-recorder"} <= set(distributions(beside))
    assert not {"sqlalchemy", "shadow-harness"} & set(distributions(beside))
    run(beside, "-I", "-c", "import recorders.inprocess, recorders.sidecar.service, recorders.doors.server")
    without = subprocess.run(
        [service, "-I", "-m", "recorders.sidecar", "run"],
        cwd=tmp_path,
        env={"HARNESS_DATABASE_URL": fresh_log.url},
        capture_output=True,
        text=True,
        check=False,
    )
    assert without.returncode == 1
    assert "Run: pip install 'shadow-harness-recorder[sidecar]'" in without.stderr
    assert not (tmp_path / "spool").exists()
    settings = "[ship]\nlinger_s = 0.05\n"
    with Running(tmp_path / "spool", fresh_log.url, settings, python=beside) as sidecar:
        told = run(service, "-I", "-c", FIVE_LINES, sidecar.address).strip()
        drained = sidecar.run("drain")
        assert drained.returncode == 0, drained.stderr
    assert decisions(fresh_log).select(["decision_id", "score", "f.amount"]).to_pylist() == [
        {"decision_id": told, "score": 0.5, "f.amount": 250.0}
    ]


def test_beside_the_whole_distribution_it_may_come_first_or_last(
    tree: Path, wheel: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    whole = build(tree, ".", tmp_path_factory.mktemp("whole"))
    for number, order in enumerate([(wheel, whole), (whole, wheel)]):
        python = new_environment(tmp_path / str(number))
        for one in order:
            install(python, "--no-deps", one)
        install(python, "msgspec")
        owners = "import importlib.metadata as m; print(sorted(set(m.packages_distributions()['recorders'])))"
        assert run(python, "-I", "-c", owners).strip() == "['shadow-harness', 'shadow-harness-recorder']"
        assert json.loads(run(python, "-I", "-c", RECORDS))["events"] == 2
