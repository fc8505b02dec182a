"""What one stranger sends to the doors ends nothing for the others: depth, half surrogates, huge numbers."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from recorders.doors import otlp
from recorders.doors.bodies import DEPTH_MAX, opened_text, parse_json, rows_of
from recorders.doors.cloudevents import opened
from recorders.doors.errors import Unreadable
from tests.support.doors_house import House, kserve, run

STRUCTURED = [(b"content-type", b"application/cloudevents+json")]
JSON = [(b"content-type", b"application/json")]
EVENT = (
    '{"specversion": "1.0", "id": "a", "source": "/", "type": "org.kubeflow.serving.inference.request",'
    ' "time": "2026-05-04T09:15:27Z", "inferenceservicename": "iris", "namespace": "models",'
    ' "component": "predictor", "endpoint": "default", "own": %s, "data": %s}'
)
EXPORT = (
    '{"own": NaN, "resourceLogs": [{"scopeLogs": [{"logRecords": [{"timeUnixNano": "1777888800000000000",'
    ' "body": {"stringValue": "%s"}}]}]}]}'
)
HALF_A_PAIR = "\\ud800"


def nested(depth: int) -> str:
    return '{"a":' * depth + "1" + "}" * depth


def wrapped(depth: int) -> bytes:
    return b'{"jsonData":' * depth + b"[[6.8, 2.8, 4.8, 1.4]]" + b"}" * depth


@pytest.mark.parametrize(
    ("path", "headers", "body"),
    [
        ("/", STRUCTURED, EVENT % ("NaN", f'["{HALF_A_PAIR}"]')),
        ("/", STRUCTURED, EVENT % ("NaN", "[1]") + HALF_A_PAIR),
        ("/", STRUCTURED, EVENT % (2**63, "[1]")),
        ("/", STRUCTURED, EVENT % (-(2**63) - 1, "[1]")),
        ("/", STRUCTURED, EVENT % (f'"{HALF_A_PAIR}", "more": NaN', "[1]")),
        ("/", STRUCTURED, EVENT % ("1", nested(DEPTH_MAX))),
        ("/v1/logs", JSON, EXPORT % HALF_A_PAIR),
        ("/v1/logs", JSON, EXPORT % ("{" + HALF_A_PAIR)),
        ("/v1/logs", JSON, nested(DEPTH_MAX + 1)),
    ],
)
def test_what_no_journal_can_hold_is_refused_and_the_next_sender_is_answered(
    path: str, headers: list[tuple[bytes, bytes]], body: str, tmp_path: Path
) -> None:
    async def story(house: House) -> None:
        assert (await house.send(path, headers, body.encode()))[0] == 400
        assert (await house.send(*kserve(1, "request")))[0] == 200
        assert (await house.send(*kserve(1, "response")))[0] == 200

    assert run(tmp_path, story).kept.ids() == ["id-1"]


def test_numbers_of_64_bits_are_attributes(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        for number in (2**63 - 1, -(2**63)):
            body = EVENT % (number, "[[1]]")
            status, _, answer = await house.send("/", STRUCTURED, body.encode())
            assert b"64 bits" not in answer, (status, answer)

    run(tmp_path, story)


def test_a_body_wrapped_as_often_as_it_may_be_nested_is_paired(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        path, headers, _ = kserve(1, "request")
        assert (await house.send(path, headers, wrapped(DEPTH_MAX - 2)))[0] == 200
        assert (await house.send(*kserve(1, "response")))[0] == 200

    house = run(tmp_path, story)
    assert house.kept.ids() == ["id-1"]
    assert rows_of(parse_json(wrapped(3))) == [[6.8, 2.8, 4.8, 1.4]]
    with pytest.raises(Unreadable, match="500 deep"):
        parse_json(wrapped(DEPTH_MAX))


def test_text_that_holds_json_too_deep_stays_text_in_attributes_and_log_bodies() -> None:
    fits, deep = nested(DEPTH_MAX), nested(DEPTH_MAX + 1)
    assert opened_text(fits) == parse_json(fits.encode())
    assert opened({"metadata": deep, "annotations": '{"a": 1}'}) == {
        "metadata": deep,
        "annotations": {"a": 1},
    }
    text = deep.replace('"', '\\"')
    (document,) = otlp.read(b"application/json", (EXPORT % text).encode())
    assert document["body"] == deep


AWKWARD = (
    *(
        "1e400",
        "NaN",
        "-0",
        "1e-400",
        "1" + "0" * 70,
        "9" * 5_000,
        "9223372036854775808",
        "18446744073709551616",
    ),
    *(f'"{HALF_A_PAIR}"', '"\\u0000"', '""', "null", "true", "[]", "{}", "[[], 1]"),
    *("[" * 400 + "]" * 400, '{"a":' * 400 + "1" + "}" * 400, wrapped(400).decode()),
)
ATTRIBUTES = {
    "specversion": '"1.0"',
    "source": '"/"',
    "time": '"2026-05-04T09:15:27Z"',
    "inferenceservicename": '"iris"',
    "namespace": '"models"',
    "component": '"predictor"',
    "endpoint": '"default"',
    "metadata": "null",
    "own": "NaN",
    "data": "[[1]]",
}
TYPES = (
    "org.kubeflow.serving.inference.response",
    "io.seldon.serving.inference.request",
    "io.seldon.serving.feedback",
)


def awkward_requests(value: str) -> Iterator[tuple[str, list[tuple[bytes, bytes]], str]]:
    for kind in TYPES:
        for place in ("id", "requestid", *ATTRIBUTES):
            name = f'"{place}-{AWKWARD.index(value)}"'  # its own pair
            held = ATTRIBUTES | {"id": name, "requestid": name} | {place: value, "type": f'"{kind}"'}
            yield "/", STRUCTURED, "{" + ", ".join(f'"{key}": {given}' for key, given in held.items()) + "}"
    named = '"decision_id": %s, "occurred_at": %s, "amount": %s, "score": %s, "value": %s'
    yield "/v1/events", JSON, "{" + named.replace("%s", value) + "}"
    for kind in (
        "stringValue",
        "intValue",
        "doubleValue",
        "boolValue",
        "bytesValue",
        "arrayValue",
        "kvlistValue",
    ):
        record = f'"timeUnixNano": "1777888800000000000", "traceId": {value}, "body": {{"{kind}": {value}}}'
        yield "/v1/logs", JSON, f'{{"resourceLogs": [{{"scopeLogs": [{{"logRecords": [{{{record}}}]}}]}}]}}'


def test_no_awkward_value_in_any_place_ends_the_commits(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        for number, value in enumerate(AWKWARD):
            for request in awkward_requests(value):
                status, _, answer = await house.send(*request[:2], request[2].encode())
                assert status in (200, 400, 422), (status, answer, value[:20])
            await house.pass_time(61.0)  # what waits goes out alone
            assert (await house.send(*kserve(number, "request")))[0] == 200
            assert (await house.send(*kserve(number, "response")))[0] == 200

    kept = run(tmp_path, story).kept.ids()
    assert {f"id-{number}" for number in range(len(AWKWARD))} <= set(kept)
