"""The operator's port and strangers: garbage is answered, who is slow or long-winded is cut off."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from recorders.sidecar import ops
from recorders.sidecar.ops import REQUEST_BYTES_MAX, Ops

HEALTH = b"GET /healthz HTTP/1.1\r\n\r\n"
Ask = Callable[[bytes], Coroutine[Any, Any, bytes]]


def told(story: Callable[[Ask], Coroutine[Any, Any, None]], *, operator: bool = False) -> list[str]:
    """Run a story on a port that listens, and return what it was asked to do."""
    drained: list[str] = []

    async def tell() -> None:
        state = {"disk": {"refusal": ""}, "ship": {"state": "shipping"}}
        served = Ops(lambda: state, lambda: drained.append("drain"), "secret")
        server = await asyncio.start_server(
            lambda reader, writer: served.serve(reader, writer, operator=operator),
            "127.0.0.1",
            0,
            limit=REQUEST_BYTES_MAX,
        )
        port = server.sockets[0].getsockname()[1]

        async def ask(data: bytes) -> bytes:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(data)
            try:
                return await reader.read()
            except ConnectionError:
                return b""
            finally:
                writer.close()

        async with asyncio.timeout(60):
            await story(ask)
        server.close()

    asyncio.run(tell())
    return drained


@pytest.mark.parametrize(
    ("data", "begins"),
    [
        (b"\xff\x00\xfe\r\n\r\n", b"HTTP/1.1 401"),
        (b"\r\n\r\n", b"HTTP/1.1 401"),
        (b"GET /metrics HTTP/1.1\r\nauthorization: Bearer \xff\r\n\r\n", b"HTTP/1.1 401"),
        (b"GET /nowhere HTTP/1.1\r\nauthorization: Bearer secret\r\n\r\n", b"HTTP/1.1 404"),
        (b"POST /drain HTTP/1.1\r\nauthorization: Bearer secret\r\n\r\n", b"HTTP/1.1 405"),
        (b"GET / HTTP/1.1\r\nx: " + b"a" * 2 * REQUEST_BYTES_MAX + b"\r\n\r\n", b""),
    ],
)
def test_garbage_is_answered_or_cut_off_and_the_port_goes_on(data: bytes, begins: bytes) -> None:
    async def story(ask: Ask) -> None:
        assert (await ask(data)).startswith(begins)
        assert (await ask(HEALTH)).endswith(b"alive\n")

    assert told(story) == []


def test_who_is_slow_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ops, "REQUEST_S", 0.1)

    async def story(ask: Ask) -> None:
        slow = await asyncio.gather(*(ask(b"GET /healthz HTTP/1.1\r\nx: ") for _ in range(4)))
        assert slow == [b""] * 4
        assert (await ask(HEALTH)).endswith(b"alive\n")

    told(story)


def test_beyond_the_limit_connections_are_turned_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ops, "CONNECTIONS_MAX", 0)

    async def story(ask: Ask) -> None:
        assert await ask(HEALTH) == b""

    told(story)


@pytest.mark.parametrize("resource", [b"/healthz", b"/readyz", b"/metrics", b"/status", b"/nowhere"])
def test_who_asks_for_the_head_gets_that_of_the_answer_alone(resource: bytes) -> None:
    """Some were refused, and one had a body that nobody expects after it."""

    async def story(ask: Ask) -> None:
        rest = resource + b" HTTP/1.1\r\nauthorization: Bearer secret\r\n\r\n"
        head, _, body = (await ask(b"GET " + rest)).partition(b"\r\n\r\n")
        assert body
        assert await ask(b"HEAD " + rest) == head + b"\r\n\r\n"

    told(story)


def test_only_the_operator_drains() -> None:
    async def story(ask: Ask) -> None:
        assert (await ask(b"POST /drain HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 200")

    assert told(story, operator=True) == ["drain"]
