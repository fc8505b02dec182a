"""A proposed mapping is a mapping, and takes the sample that it was made of."""

import gzip
import json
import os
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


def broken_gzip() -> bytes:
    """Return gzip whose head is whole and whose data is not."""
    data = bytearray(gzip.compress(b"a,b\n" * 1_000))
    data[15] ^= 0xFF
    return bytes(data)


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


def test_a_sample_that_is_a_pipe_is_refused_as_one(tmp_path: Path) -> None:
    """It was read once, and then said to be empty; a named one waited for ever."""
    os.mkfifo(tmp_path / "a.csv")
    with pytest.raises(SampleUnusable, match="no regular file"):
        propose(tmp_path / "a.csv", "p")


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
        ("a.csv", b"", "header cannot be used: there is none"),
        ("a.csv", b"a,b,c\n", "holds no row"),
        ("a.csv.gz", gzip.compress(b"a,b,c\n"), "holds no row"),
        ("a.csv", b"a,b\n1,2,3\n4\n", "line 2: it has 3 cells, its header has 2"),
        ("a.csv", b"\xff\xfe\x00a", "not UTF-8"),
        ("a.csv", b"a;b\n1;2\n", "cells stand between commas"),
        ("a.csv", b"a,b,a\n1,2,3\n", "more than one column is named 'a'"),
        ("a.csv.gz", broken_gzip(), "decompressing"),
        ("answer.json", b'{"predictions": [1, 2]}', "answers alone have none"),
        ("a.parquet", bytes(range(256)) * 40, "no Parquet"),
        ("a.json.gz", b"no gzip", "Not a gzipped file"),
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


@pytest.mark.parametrize(
    ("case", "number", "source", "taken"),
    [
        ("kserve-v1", 0, None, 2),
        ("kserve-v2", 1, None, 2),
        ("seldon-1", 0, None, 1),
        ("cloudevents", 1, None, 2),  # a batch
        ("otlp-json", 0, None, 2),
        ("otlp-protobuf-bentoml", 0, "otlp", 2),
    ],
)
def test_what_is_proposed_for_a_body_takes_it(
    case: str, number: int, source: str | None, taken: int, tmp_path: Path
) -> None:
    """A body that was sent alone has no event around it, whose id and time its decisions will have."""
    path = tmp_path / "body"
    path.write_bytes(requests_of(GOLDEN / case)[number][2])
    assert fits(propose(path, "p", source), path) == (taken, 0, [])


def test_what_bentoml_sends_is_in_the_body_of_its_records(tmp_path: Path) -> None:
    path = tmp_path / "body"
    path.write_bytes(requests_of(GOLDEN / "otlp-protobuf-bentoml")[0][2])
    mapping = Mapping.from_toml(propose(path, "p", "otlp"))
    assert [field.type for field in mapping.feature_set.fields][:4] == ["float64"] * 4
    assert mapping.decision["decision"].paths == ("body.pred",)


def test_instants_without_a_zone_get_one_that_is_to_be_read(tmp_path: Path) -> None:
    file = next((GOLDEN / "bentoml-files").glob("capture.*"))
    text = propose(file, "p")
    assert 'zone = "UTC"  # guessed' in text
    assert fits(text, file) == (3, 0, [])
    zoned = tmp_path / "a.csv"
    zoned.write_text("id,time,score,a\n1,2026-05-04T10:00:00Z,0.5,1\n2,2026-05-04T10:00:00,0.5,1\n")
    assert "\nzone =" not in propose(zoned, "p")


def test_a_few_texts_among_numbers_make_no_text_of_them_all() -> None:
    file = GOLDEN / "lines" / "capture.jsonl"
    text = propose(file, "p")
    assert '{ name = "amount", type = "float64" }' in text
    assert "[outcome]" in text
    assert fits(text, file)[:2] == (4, 3)


def test_what_no_name_tells_is_left_to_be_filled_in(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("number,amount\n1,2.5\n")
    text = propose(tmp_path / "a.csv", "p")
    assert '# decision_id = "..."' in text
    assert '# occurred_at = "..."' in text
