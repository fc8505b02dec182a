"""The doors' HTTP connection, from bytes to bytes: order, bounds and waits."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recorders.doors.connection import PIPELINED
from recorders.doors.heads import HEAD_BYTES
from recorders.doors.reception import Limits
from tests.support.doors import GOLDEN, requests_of
from tests.support.doors_house import House, Wire, kserve, run


def test_pipelined_requests_are_answered_in_their_order(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        path, headers, body = requests_of(GOLDEN / "otlp-json")[0]
        lines = [b"POST " + path.encode() + b" HTTP/1.1", b"content-length: %d" % len(body)]
        whole = b"\r\n".join([*lines, *(b"%s: %s" % one for one in headers)]) + b"\r\n\r\n" + body
        wire = Wire(house.reception)
        wire.feed(whole + b"GET /healthz HTTP/1.1\r\n\r\n" + whole + b"GET /elsewhere HTTP/1.1\r\n\r\n")
        assert wire.sent == b""  # the second one is ready, and waits for the first
        found = [await wire.answer() for _ in range(4)]
        assert [status for status, _, _ in found] == [200, 200, 200, 404]
        assert found[1][2] == b"alive\n"
        assert wire.closed

    run(tmp_path, story)


def test_a_sender_that_pipelines_without_end_is_not_read_for_a_while(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        _, headers, body = kserve(1, "request")
        lines = [b"POST / HTTP/1.1", b"content-length: %d" % len(body), *(b"%s: %s" % one for one in headers)]
        wire = Wire(house.reception)
        wire.feed((b"\r\n".join(lines) + b"\r\n\r\n" + body) * PIPELINED)
        assert not wire.reading
        assert [(await wire.answer())[0] for _ in range(PIPELINED)] == [200] * PIPELINED
        assert wire.reading

    run(tmp_path, story)


@pytest.mark.parametrize("size", [HEAD_BYTES - 1, 2 * HEAD_BYTES + 7, 3 * HEAD_BYTES + 301])
def test_a_head_is_not_as_long_as_the_requests_before_it_in_the_same_bytes(tmp_path: Path, size: int) -> None:
    async def story(house: House) -> None:
        _, headers, body = kserve(1, "request")
        lines = [b"POST / HTTP/1.1", b"content-length: %d" % len(body), *(b"%s: %s" % one for one in headers)]
        whole = b"\r\n".join(lines) + b"\r\n\r\n" + body
        count = 4 * HEAD_BYTES // len(whole) + 1
        wire = Wire(house.reception)
        for start in range(0, count * len(whole), size):  # each piece ends in another place of a request
            wire.feed((whole * count)[start : start + size])
        assert [(await wire.answer())[0] for _ in range(count)] == [200] * count

    run(tmp_path, story)


@pytest.mark.parametrize("size", [1, 7, 4_096])
def test_a_head_without_end_is_refused_however_it_comes(tmp_path: Path, size: int) -> None:
    async def story(house: House) -> None:
        for endless in (b"POST /" + b"a" * 2**17, b"POST / HTTP/1.1\r\n" + b"x: y\r\n" * 2**14):
            wire = Wire(house.reception)
            for start in range(0, HEAD_BYTES + 4_096, size):
                wire.feed(endless[start : start + size])
            assert (await wire.answer())[0] == 431
            assert wire.closed

    run(tmp_path, story)


def test_who_is_late_is_cut_off(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        now = asyncio.get_running_loop().time()
        silent, slow, slow_body, idle = (Wire(house.reception) for _ in range(4))
        slow.feed(b"POST / HTTP/1.1\r\nx: ")
        slow_body.feed(b"POST / HTTP/1.1\r\ncontent-length: 9\r\n\r\n1")
        idle.feed(b"GET /healthz HTTP/1.1\r\n\r\n")
        assert (await idle.answer())[0] == 200
        house.reception.sweep(now + 9)
        assert not any(one.closed for one in (silent, slow, slow_body, idle))
        house.reception.sweep(now + 12)
        assert silent.closed
        assert slow.closed
        assert (await slow_body.answer())[0] == 408
        assert not idle.closed
        house.reception.sweep(now + 40)
        assert idle.closed
        assert house.desk.counts["timeouts"] == 4

    run(tmp_path, story)


def test_beyond_the_limit_connections_are_turned_away(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        assert [Wire(house.reception).closed for _ in range(3)] == [False, False, True]

    run(tmp_path, story, limits=Limits(connections=2))


def test_who_expects_it_is_told_to_go_on(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        wire = Wire(house.reception)
        wire.feed(b"POST / HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n")
        assert bytes(wire.sent) == b"HTTP/1.1 100 Continue\r\n\r\n"
        wire.sent.clear()
        wire.feed(b"{}")
        assert (await wire.answer())[0] == 400

    run(tmp_path, story)


def test_what_waits_goes_out_alone_when_the_doors_close_for_good(tmp_path: Path) -> None:
    async def story() -> list[str]:
        house = House(tmp_path)
        commits = asyncio.create_task(house.desk.run())
        assert (await house.send(*kserve(1, "request")))[0] == 200
        commits.cancel()
        await house.desk.close(alone=True)
        return house.kept.ids()

    assert asyncio.run(story()) == ["id-1"]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(max_size=60) | st.sampled_from([b"POST / HTTP/1.1\r\n", b"\r\n", b"\r\n\r\n"])))
def test_any_bytes_end_in_an_answer_or_are_waited_for(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes]
) -> None:
    async def story(house: House) -> None:
        wire = Wire(house.reception)
        for piece in pieces:
            wire.feed(piece)
        await asyncio.sleep(0)
        house.reception.sweep(asyncio.get_running_loop().time() + 3_600)
        await asyncio.wait_for(wire.ended.wait(), 20)
        assert (await house.send("/healthz", method="GET"))[0] == 200

    run(tmp_path_factory.mktemp("doors"), story)
