"""What `harness sidecar map --sample` proposes works as it came out: at a door, or in an import."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.log.log import Log
from tests.support.doors import GOLDEN, post, requests_of, structured
from tests.support.sidecars import Running, free_port

Command = Callable[..., str]
TABLE = """id,timestamp,amount,country,p,prediction
7,2026-05-04T10:00:00Z,2.5,NZ,0.25,no
8,2026-05-04T10:00:01Z,1,FR,0.75,yes
"""


def proposed(command: Command, sample: Path, *more: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(command("sidecar", "map", "--sample", str(sample), "--json", *more))
    return found


def decisions(log: Log) -> int:
    return sum(batch.num_rows for batch in log.read(1, log.head().position + 1, kind="decision"))


@pytest.mark.parametrize(
    ("case", "made"),
    [("kserve-v1", 4), ("kserve-v2", 2), ("seldon-1", 3), ("cloudevents", 2), ("otlp-json", 2),
     ("otlp-protobuf-bentoml", 2)],
)  # fmt: skip
def test_a_proposal_for_what_is_sent_works_at_a_door(
    case: str, made: int, fresh_log: Log, tmp_path: Path, command: Command
) -> None:
    requests = requests_of(GOLDEN / case)
    sample, more = tmp_path / "sample", []
    if case.startswith("otlp"):
        sample.write_bytes(requests[0][2])
        more = ["--source", "otlp"]
    else:  # a CloudEvent a line; what is structured is that already
        requests = [sent for sent in requests if not sent[2].startswith(b"[")]
        events = [
            structured(sent) if b"specversion" not in sent[2] else json.loads(sent[2]) for sent in requests
        ]
        sample.write_text("".join(f"{json.dumps(event)}\n" for event in events))
    (tmp_path / "mapping.toml").write_text(str(proposed(command, sample, *more)["mapping"]))
    port = free_port()
    doors = f'[doors]\nhttp = "127.0.0.1:{port}"\nmappings = ["mapping.toml"]\n'
    with Running(tmp_path / "spool", fresh_log.url, doors) as sidecar:
        for sent in requests:
            if not sent[1] or dict(sent[1]).get(b"ce-type", b"").rpartition(b".")[2] != b"feedback":
                post(port, sent, packed=False)
        assert sidecar.run("drain").returncode == 0
    assert decisions(fresh_log) == made


@pytest.mark.parametrize(
    "case",
    ["sagemaker", "bentoml-files", "inference-table-legacy", "inference-table-gateway", "lines", "usual"],
)
def test_a_proposal_for_a_file_works_in_an_import(
    case: str, fresh_log: Log, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_DATABASE_URL", fresh_log.url)
    if case == "usual":
        sample = tmp_path / "orders.csv"
        sample.write_text(TABLE)
    else:
        (sample,) = (GOLDEN / case).glob("capture.*")
    found = proposed(command, sample)
    mapping = tmp_path / "mapping.toml"
    mapping.write_text(str(found["mapping"]))
    done = json.loads(command("log", "import", str(sample), "-m", str(mapping), "--skip-rejected", "--json"))
    assert decisions(fresh_log) == done[0]["decisions"] > 1
    assert done[0]["decisions"] + done[0]["outcomes"] == found["taken"]
