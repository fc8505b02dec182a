"""Captured payloads of every kind keep their meaning: what they were translated to once, they always are."""

import base64
import json
import random
from pathlib import Path

import pytest

from recorders.doors import otlp
from recorders.doors.mapping import Mapping
from recorders.doors.router import Router
from recorders.doors.sources import SOURCES
from tests.support.doors import CASES, GOLDEN, over_http, requests_of, structured, translated


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.name)
def test_a_capture_is_translated_as_ever(case: Path) -> None:
    expected = json.loads((case / "expected.json").read_text())
    assert json.dumps(translated(case), indent=1) == json.dumps(expected, indent=1)  # as text: NaN equals NaN


@pytest.mark.parametrize("name", ["kserve-v1", "kserve-v2", "seldon-1"])
def test_structured_and_batched_events_are_what_binary_ones_are(name: str) -> None:
    case = GOLDEN / name
    router = Router([Mapping.from_toml(case / "mapping.toml")])
    events = [structured(sent) for sent in requests_of(case)]
    binary = json.dumps(over_http(requests_of(case), router))
    one = [(b"content-type", b"application/cloudevents+json; charset=utf-8")]
    many = [(b"content-type", b"application/cloudevents-batch+json")]
    assert (
        json.dumps(over_http([("/", one, json.dumps(event).encode()) for event in events], router)) == binary
    )
    assert json.dumps(over_http([("/", many, json.dumps(events).encode())], router)) == binary


def test_every_kind_of_source_has_a_capture() -> None:
    assert {Mapping.from_toml(case / "mapping.toml").source for case in CASES} == set(SOURCES)


def test_our_protobuf_reader_agrees_with_the_official_one() -> None:
    service = pytest.importorskip("opentelemetry.proto.collector.logs.v1.logs_service_pb2")
    to_json = pytest.importorskip("google.protobuf.json_format").MessageToDict
    (case,) = [case for case in CASES if case.name == "otlp-protobuf-bentoml"]
    ((_, _, body),) = requests_of(case)
    message = service.ExportLogsServiceRequest.FromString(body)
    document = to_json(message)
    for record in document["resourceLogs"][0]["scopeLogs"][0]["logRecords"]:
        # Protobuf's own JSON has ids in base64; OTLP's has them in hexadecimal.
        for key in ("traceId", "spanId"):
            if key in record:
                record[key] = base64.b64decode(record[key]).hex()
    assert otlp.read(otlp.PROTOBUF, body) == otlp.read(otlp.JSON, json.dumps(document).encode())


def test_our_answer_is_a_partial_success() -> None:
    service = pytest.importorskip("opentelemetry.proto.collector.logs.v1.logs_service_pb2")
    message = "é" * random.Random(1).randrange(100, 200)
    answer = service.ExportLogsServiceResponse.FromString(otlp.answer(otlp.PROTOBUF, 300, message))
    assert answer.partial_success.rejected_log_records == 300
    assert answer.partial_success.error_message == message
