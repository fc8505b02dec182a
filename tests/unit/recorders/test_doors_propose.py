"""A proposed mapping is a mapping, and takes the sample that it was made of."""

import gzip
import json
from pathlib import Path

import pytest

from recorders.doors.errors import SampleUnusable
from recorders.doors.mapping import Mapping
from recorders.doors.propose import fits, propose
from recorders.doors.samples import guess
from tests.support.doors import GOLDEN, requests_of

FILES = [
    next((GOLDEN / case).glob("capture.*"))
    for case in (
        "sagemaker",
        "inference-table-legacy",
        "inference-table-gateway",
        "bentoml-files",
        "table-csv",
        "table-parquet",
    )
]


def structured(case: str, folder: Path) -> Path:
    """Return a capture over HTTP as structured events, one a line."""
    lines = []
    for _, headers, body in requests_of(GOLDEN / case):
        attributes = {name[3:].decode(): value.decode() for name, value in headers if name[:3] == b"ce-"}
        lines.append(json.dumps(attributes | {"data": json.loads(body)}) if attributes else body.decode())
    path = folder / "sample.jsonl"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.parent.name)
def test_a_file_is_told_by_what_it_holds(file: Path) -> None:
    assert guess(file) == Mapping.from_toml(file.parent / "mapping.toml").source
    Mapping.from_toml(propose(file, "some.point"))


@pytest.mark.parametrize(
    ("case", "taken"), [("kserve-v1", 4), ("kserve-v2", 2), ("seldon-1", 3), ("otlp-json", 2)]
)
def test_what_a_service_sends_is_mapped_whole(case: str, taken: int, tmp_path: Path) -> None:
    path = structured(case, tmp_path)
    text = propose(path, "some.point")
    assert Mapping.from_toml(text).source == Mapping.from_toml(GOLDEN / case / "mapping.toml").source
    assert fits(text, path) == (taken, 0, [])


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"instances": [{"age": 3, "city": "Oslo"}]}, 'age = "input.age"'),
        ({"inputs": [{"name": "a b", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}]}, 'input.a b"'),
        ({"features": {"amount": 1.5}, "decision_id": "a"}, 'name = "amount", type = "float64"'),
        ({"user_id": "u", "amount": 1.5, "ts": "x"}, 'unit = "user_id"'),
    ],
)
def test_a_request_as_it_was_sent_is_a_sample_too(body: object, told: str, tmp_path: Path) -> None:
    (tmp_path / "request.json").write_text(json.dumps(body, indent=2))
    text = propose(tmp_path / "request.json", "some.point")
    assert told in text
    Mapping.from_toml(text)


def test_a_code_with_a_leading_zero_stays_text(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("zip,n\n01067,1\n12345,2\n")
    assert 'name = "zip", type = "category"' in propose(tmp_path / "a.csv", "p")


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        ("a.json", b"", "is empty"),
        ("a.json", b"\x00\x01", "not JSON"),
        ("a.json", b"[1, 2]", "neither a table nor JSON objects"),
        ("a.json", b'"text"', "neither a table nor JSON objects"),
        ("a.json", b'{"a":' * 3_000 + b"1" + b"}" * 3_000, "not JSON"),
        ("a.json", b'{"a": "' + b"x" * 2**24 + b'"}', "longer than"),
        ("a.jsonl", b"\n\n\n", "is empty"),
        ("a.csv", b"", "holds no row"),
        ("a.csv", b"a,b,c\n", "holds no row"),
        ("a.csv.gz", gzip.compress(b"a,b,c\n"), "holds no row"),
        ("a.csv", b"a,b\n1,2,3\n4\n", "line 2: it has 3 cells, its header has 2"),
        ("a.csv", b"\xff\xfe\x00a", "cannot be read"),
        ("a.parquet", bytes(range(256)) * 40, "no Parquet"),
        ("a.json.gz", b"no gzip", "cannot be read"),
        ("a.json.gz", gzip.compress(b"{\n" + b" " * 2**25), "longer than"),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{len(value)}",
)
def test_a_sample_of_nothing_is_refused_with_its_reason(
    name: str, data: bytes, told: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(SampleUnusable, match=told):
        propose(tmp_path / name, "p")


def test_one_object_over_many_lines_may_be_packed(tmp_path: Path) -> None:
    path = tmp_path / "request.json.gz"
    path.write_bytes(gzip.compress(json.dumps({"instances": [{"age": 3}]}, indent=2).encode()))
    assert 'age = "input.age"' in propose(path, "p")
