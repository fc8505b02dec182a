"""The HTTP doors, from bytes to bytes: what is answered means what is kept."""

import asyncio
import gzip
import json
import sqlite3
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recorders.doors import captures
from recorders.doors.errors import Unreadable
from recorders.doors.journal import NAME, Journal
from recorders.doors.reception import Limits
from recorders.errors import InvalidEvent
from tests.support.doors import CASES, GOLDEN, requests_of
from tests.support.doors_house import House, kserve, run


@pytest.mark.parametrize("packed", [False, True], ids=["", "gzip"])
@pytest.mark.parametrize(
    "case", [case for case in CASES if (case / "capture.json").exists()], ids=lambda c: c.name
)
def test_a_capture_over_http_is_what_it_is_alone(case: Path, packed: bool, tmp_path: Path) -> None:
    async def story(house: House) -> None:
        for path, headers, body in requests_of(case):
            if packed:
                sent = ([*headers, (b"content-encoding", b"gzip")], gzip.compress(body))
            else:
                sent = (headers, body)
            status, _, answer = await house.send(path, *sent, pieces=3)
            assert status == 200, answer
        await house.pass_time(61.0)

    house = run(tmp_path, story)
    expected = [one for one in json.loads((case / "expected.json").read_text()) if "values" in one]
    for kind in ("decision", "outcome"):
        values = msgspec.to_builtins(house.kept.events(kind))
        assert values == [one["values"] for one in expected if one["kind"] == kind]


def test_an_answer_comes_after_the_commit_and_503_means_nothing_was_taken(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        house.kept.away = True
        path, headers, body = requests_of(GOLDEN / "otlp-json")[0]
        status, answered, _ = await house.send(path, headers, body)
        assert (status, answered[b"retry-after"]) == (503, b"5")
        assert house.kept.frames == []
        house.kept.away = False
        assert (await house.send(path, headers, body))[0] == 200

    house = run(tmp_path, story)
    assert len(house.kept.ids()) == 2
    assert [frame.sequence for frame in house.kept.frames] == [1, 2]


def test_a_pair_that_could_not_be_kept_is_paired_by_the_next_try(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        assert (await house.send(*kserve(1, "request")))[0] == 200
        house.kept.away = True
        assert (await house.send(*kserve(1, "response")))[0] == 503
        both = await asyncio.gather(house.send(*kserve(2, "request")), house.send(*kserve(2, "response")))
        assert [status for status, _, _ in both] == [503, 503]
        house.kept.away = False
        assert (await house.send(*kserve(1, "response")))[0] == 200
        assert (await house.send(*kserve(2, "response")))[0] == 200
        assert (await house.send(*kserve(2, "request")))[0] == 200

    house = run(tmp_path, story)
    assert house.kept.ids() == ["id-1", "id-2"]
    assert all(event[6] == "2" and event[-1] is None for event in house.kept.events())
    assert house.desk.table.counts["paired"] == 2


def test_halves_that_were_answered_survive_the_death_of_the_process(tmp_path: Path) -> None:
    async def first(house: House) -> None:
        for number in range(5):
            assert (await house.send(*kserve(number, "request")))[0] == 200
        assert (await house.send(*kserve(4, "response")))[0] == 200

    async def dies() -> House:
        house = House(tmp_path)
        commits = asyncio.create_task(house.desk.run())
        await first(house)
        commits.cancel()  # and nothing is closed
        return house

    dead = asyncio.run(dies())
    assert dead.kept.ids() == ["id-4"]

    async def second(house: House) -> None:
        assert len(house.desk.table) == 5  # id-4 is not forgotten yet; its decision's id is the same
        assert (await house.send(*kserve(0, "response")))[0] == 200
        await house.pass_time(61.0)

    house = run(tmp_path, second)
    assert sorted(house.kept.ids()) == ["id-0", "id-1", "id-2", "id-3", "id-4"]
    complete = {event[0]: event[6] for event in house.kept.events()}
    assert complete["id-0"] == "2"
    assert complete["id-1"] is None
    dead.journal.close()


def test_a_damaged_journal_is_kept_aside(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"no database" * 1000)
    journal = Journal(tmp_path)
    assert journal.take_over() == []
    assert (tmp_path / journal.damaged).read_bytes() == b"no database" * 1000
    journal.close()


def test_a_full_disk_is_a_503(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    async def story(house: House) -> None:
        monkeypatch.setattr(house.journal, "write", full)
        assert (await house.send(*kserve(1, "request")))[0] == 503
        monkeypatch.undo()
        assert (await house.send(*kserve(1, "request")))[0] == 200

    assert len(run(tmp_path, story).desk.table) == 1


def test_what_is_refused_is_counted_and_told_to_the_log(tmp_path: Path) -> None:
    path, headers, _ = requests_of(GOLDEN / "kserve-v1")[0]

    async def story(house: House) -> None:
        assert (await house.send(path, headers, b"no json"))[0] == 422
        unknown = [(n, b"other" if n == b"ce-inferenceservicename" else v) for n, v in headers]
        assert (await house.send(path, unknown, b"{}"))[0] == 422
        assert (await house.send("/", [(b"content-type", b"text/plain")], b"hello"))[0] == 400

    house = run(tmp_path, story)
    assert {k: v for k, v in house.desk.counts.items() if "rejected" in k} == {
        "rejected.unreadable": 2,
        "rejected.unmapped": 1,
    }
    told = {
        (frame.decision_point, loss[1]): loss[2]
        for frame in house.kept.frames
        for loss in msgspec.msgpack.decode(frame.payload)
    }
    assert told == {
        ("iris.kind", "rejected.unreadable"): 1,
        ("", "rejected.unreadable"): 1,
        ("", "rejected.unmapped"): 1,
    }
    assert house.desk.counts["losses"] == 3


def test_otlp_reports_partial_success(tmp_path: Path) -> None:
    record = {"timeUnixNano": "1", "attributes": [{"key": "amount", "value": {"stringValue": "no number"}}]}
    good = {"timeUnixNano": "1", "attributes": [{"key": "amount", "value": {"doubleValue": 1.0}}]}
    body = {"resourceLogs": [{"resource": {}, "scopeLogs": [{"logRecords": [record, good]}]}]}
    headers = [(b"content-type", b"application/json"), (b"content-encoding", b"gzip")]

    async def story(house: House) -> None:
        status, _, answer = await house.send("/v1/logs", headers, gzip.compress(json.dumps(body).encode()))
        told = json.loads(answer)["partialSuccess"]
        assert (status, told["rejectedLogRecords"]) == (200, "1")
        assert "no number" in told["errorMessage"]
        assert (await house.send("/v1/logs", [(b"content-type", b"text/plain")], b""))[0] == 415

    assert len(run(tmp_path, story).kept.ids()) == 1


def test_json_lines_name_the_lines_that_were_refused(tmp_path: Path) -> None:
    body = (GOLDEN / "lines" / "capture.jsonl").read_bytes()

    async def story(house: House) -> None:
        status, _, answer = await house.send("/v1/events", [], body)
        told = json.loads(answer)
        assert (status, told["events"], told["rejected"]) == (200, 4, 3)
        assert [sample["line"] for sample in told["samples"]] == [4, 5, 6]
        assert (await house.send("/v1/events", [], b"[1]\n"))[0] == 422

    assert run(tmp_path, story).kept.ids() == ["L1", "L2", "L5"]


def test_limits_hold(tmp_path: Path) -> None:
    bomb = gzip.compress(b"\0" * 2**22)
    packed = [(b"content-encoding", b"gzip")]

    async def story(house: House) -> None:
        assert (await house.send("/", [(b"content-length", b"5000")], b"x"))[0] == 413
        assert (await house.send("/", [], b"x" * 5_000, pieces=50))[0] == 413
        assert (await house.send("/v1/events", packed, bomb))[0] == 413
        assert (await house.send("/v1/events", packed, gzip.compress(b"{}")[:-3]))[0] == 400
        assert (await house.send("/v1/events", packed, gzip.compress(b"{}") * 2))[0] == 400
        assert (await house.send("/v1/events", packed, b"no gzip"))[0] == 400
        assert (await house.send("/v1/events", [(b"content-encoding", b"br")], b""))[0] == 415
        assert (await house.send("/elsewhere"))[0] == 404
        assert (await house.send("/", method="PUT"))[0] == 405

    run(tmp_path, story, limits=Limits(body_bytes=4_500), unpacked_bytes=10_000)


def test_an_address_that_is_none_is_told_those_that_are(tmp_path: Path) -> None:
    """As an exporter of traces has it, whose whole address names this door."""

    async def story(house: House) -> None:
        status, _, body = await house.send("/v1/traces")
        assert (status, body) == (404, b"POST /, /v1/logs or /v1/events, GET /healthz, /metrics or /status\n")
        for path in ("/", "/healthz", "/elsewhere"):
            status, _, body = await house.send(path, method="HEAD")
            assert (status, body) == (405, b""), "no body follows where none may"

    run(tmp_path, story)


def test_a_token_is_asked_for_everywhere_but_at_healthz(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        for path, method in [("/", "POST"), ("/v1/logs", "POST"), ("/metrics", "GET"), ("/status", "GET")]:
            for headers in ([], [(b"authorization", b"Bearer secreT")], [(b"authorization", b"secret")]):
                assert (await house.send(path, headers, b"", method))[0] == 401
            status, _, _ = await house.send(path, [(b"authorization", b"Bearer secret")], b"", method)
            assert status != 401
        assert (await house.send("/healthz", method="GET"))[0] == 200
        _, _, metrics = await house.send("/metrics", [(b"authorization", b"Bearer secret")], b"", "GET")
        assert b'harness_doors_total{what="answered.401"}' in metrics

    run(tmp_path, story, token="secret")


HEADERS = st.sampled_from(
    [
        header
        for case in CASES
        if (case / "capture.json").exists()
        for r in requests_of(case)
        for header in r[1]
    ]
)
BODIES = st.sampled_from(
    [r[2] for case in CASES if (case / "capture.json").exists() for r in requests_of(case)]
)
WORDS = [
    "instances",
    "inputs",
    "outputs",
    "shape",
    "data",
    "name",
    "captureData",
    "values",
    "endpointInput",
    "encoding",
    "eventMetadata",
    "resourceLogs",
    "scopeLogs",
    "logRecords",
    "attributes",
    "key",
    "value",
    "body",
    "kvlistValue",
    "ndarray",
    "tensor",
    "reward",
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from(WORDS),
        inner, max_size=4,
    ),
    max_leaves=20,
)  # fmt: skip


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Return bytes that were a payload once, or JSON of the right words in a wrong order, or anything."""
    form = draw(st.integers(0, 2))
    if form == 0:
        return draw(st.binary(max_size=200))
    if form == 1:
        return json.dumps(draw(JSON)).encode()
    body = bytearray(draw(BODIES))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(0, len(body) - 1)))
        body[place : place + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(body)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["/", "/v1/logs", "/v1/events"]),
            st.lists(HEADERS | st.tuples(st.binary(max_size=9), st.binary(max_size=9)), max_size=14),
            damaged(),
        ),
        max_size=5,
    )
)
def test_garbage_is_answered_and_counted_and_the_doors_go_on(
    tmp_path_factory: pytest.TempPathFactory, requests: list[tuple[str, list[tuple[bytes, bytes]], bytes]]
) -> None:
    async def story(house: House) -> None:
        for path, headers, body in requests:
            status, _, _ = await house.send(path, headers, body)
            assert status in (200, 400, 413, 415, 422, 431), status
        await house.pass_time(61.0)
        path, headers, body = requests_of(GOLDEN / "otlp-protobuf-bentoml")[0]
        assert (await house.send(path, headers, body))[0] == 200

    house = run(tmp_path_factory.mktemp("doors"), story)
    assert {"6413930528999883196", "6413930528999883197"} <= set(house.kept.ids())
    assert len(house.desk.table) == 0


@settings(max_examples=100, deadline=None)
@given(JSON)
def test_a_capture_line_of_anything_is_rows_or_refused(line: Any) -> None:
    document = line if isinstance(line, dict) else {"captureData": line, "eventMetadata": {}}
    for read in (captures.sagemaker, captures.inference_rows):
        try:
            assert isinstance(read(dict(document)), list)
        except (Unreadable, InvalidEvent):
            continue
