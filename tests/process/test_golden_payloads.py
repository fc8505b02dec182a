"""Captured payloads of every kind, through a running sidecar or `harness log import`, as they leave the log.

tests/unit/recorders/test_doors_golden.py holds what they are translated to; here is what a user gets of it.
"""

import base64
import json
import shutil
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from harness.cli.output import to_json
from harness.log.log import Log
from recorders.doors.mapping import Mapping
from tests.support.doors import CASES, post, sent_of
from tests.support.sidecars import Running, free_port

Command = Callable[..., str]
DECISION = (
    "decision_id", "occurred_at", "unit", "model", "model_version", "score", "decision", "propensity",
    "inclusion", "latency_us", "trace_id",
)  # fmt: skip
OUTCOME = ("decision_id", "label", "value", "occurred_at")
LINES = "lines"
POSTED = [
    pytest.param(case, first, id=f"{case.name}-{'gzip' if first else 'plain'}")
    for case in CASES
    if (case / "capture.json").exists() or case.name == LINES
    for first in (False, True)
    if not first or case.name.startswith((LINES, "otlp"))
]
WRITTEN = [case for case in CASES if not (case / "capture.json").exists()]


def golden(case: Path, kind: str) -> list[dict[str, Any]]:
    """Return the golden events of a kind as the log shows them."""
    features = Mapping.from_toml(case / "mapping.toml").feature_set
    types = {f"f.{field.name}": field.type for field in features.fields}
    names = (*DECISION, *types, "statuses") if kind == "decision" else OUTCOME
    found = []
    for one in json.loads((case / "expected.json").read_text()):
        if one.get("kind") != kind:
            continue
        row = dict(zip(names, one["values"], strict=True))
        row["occurred_at"] = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=row["occurred_at"])
        for name in types.keys() & row.keys():
            if types[name] == "bytes" and row[name] is not None:
                row[name] = base64.b64decode(row[name])
        if row.get("statuses"):
            row["statuses"] = [{"field": field, "status": status} for field, status in row["statuses"]]
        if kind == "decision":
            row["feature_set"] = f"{features.name}:{features.version}"
        found.append(json.loads(to_json(row | {"decision_point": one["decision_point"]})))
    assert found or kind == "outcome"
    return found


def refused(case: Path) -> Counter[str]:
    """Return how many rows of a capture are refused, by reason."""
    expected = json.loads((case / "expected.json").read_text())
    return Counter(f"rejected.{one['refused']}" for one in expected if "refused" in one)


def check_log(case: Path, log: Log, command: Command, out: Path) -> None:
    """Fail unless an export and the tail of the log are what is golden, and `log gaps` names all the rest."""
    manifest = json.loads(command("log", "export", str(out), "--format", "jsonl", "--json"))
    found: dict[str, list[dict[str, Any]]] = {"decision": [], "outcome": []}
    for one in manifest["files"]:
        if one["kind"] in found:
            rows = [json.loads(line) for line in (out / one["file"]).read_text().splitlines()]
            found[one["kind"]] += rows
    tail = [json.loads(line) for line in command("log", "tail", "-n", "1000", "--json").splitlines()]
    for kind, exported in found.items():
        places = [(row.pop("position"), row.pop("recorded_at")) for row in exported]
        assert exported == golden(case, kind)
        of_tail = [event for event in tail if event["kind"] == kind]
        assert [(event.pop("position"), event.pop("recorded_at")) for event in of_tail] == places
        for row in exported:
            row.pop("feature_set", None)
        assert of_tail == [{"kind": kind, **row} for row in exported]
    gaps = json.loads(command("log", "gaps", "--json"))["gaps"]
    counted: Counter[str] = Counter()
    for gap in gaps:
        counted[gap["reason"]] += gap["count"]
    assert counted == refused(case)
    assert {gap["decision_point"] for gap in gaps} <= {golden(case, "decision")[0]["decision_point"]}


@pytest.mark.parametrize(("case", "first_packed"), POSTED)
def test_what_is_posted_to_a_sidecar_is_in_the_log(
    case: Path,
    first_packed: bool,  # a parameter of the test
    fresh_log: Log,
    tmp_path: Path,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HARNESS_DATABASE_URL", fresh_log.url)
    shutil.copy(case / "mapping.toml", tmp_path)
    port = free_port()
    doors = f'[doors]\nhttp = "127.0.0.1:{port}"\nmappings = ["mapping.toml"]\n'
    with Running(tmp_path / "spool", fresh_log.url, f"[ship]\nlinger_s = 0.05\n{doors}") as sidecar:
        for number, sent in enumerate(sent_of(case)):
            post(port, sent, packed=number % 2 != first_packed)  # every second one is gzip
        done = sidecar.run("drain")
        assert done.returncode == 0, done.stderr
    check_log(case, fresh_log, command, tmp_path / "out")


@pytest.mark.parametrize("case", WRITTEN, ids=lambda case: case.name)
def test_what_is_imported_is_in_the_log(
    case: Path, fresh_log: Log, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_DATABASE_URL", fresh_log.url)
    (file,) = case.glob("capture.*")
    words = ("log", "import", str(file), "--mapping", str(case / "mapping.toml"))
    before = fresh_log.head()
    if refused(case):
        assert "nothing was appended" in command(*words, code=2)
        assert fresh_log.head() == before
    command(*words, "--skip-rejected")
    check_log(case, fresh_log, command, tmp_path / "out")
    head = fresh_log.head()
    for again in (words, (*words, "--skip-rejected")):
        assert "holds it already" in command(*again)
    assert fresh_log.head() == head
