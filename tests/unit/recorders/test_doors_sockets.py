"""The doors over real sockets: how they are read, answered and ended."""

import asyncio
import socket
import struct
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from recorders.doors import connection, desk
from recorders.doors import server as doors_server
from recorders.doors.connection import PIPELINED, Connection
from recorders.doors.mapping import Mapping
from recorders.doors.server import Server
from recorders.sidecar.settings import DoorsSettings
from tests.support.doors import GOLDEN
from tests.support.doors_house import Kept, kserve

WAIT_S = 60
ALIVE = b"GET /healthz HTTP/1.1\r\n\r\n"
Story = Callable[[Server, Kept], Coroutine[Any, Any, None]]


def serve(folder: Path, story: Story) -> Kept:
    """Tell a story of doors that listen."""

    async def tell() -> Kept:
        kept = Kept()
        mapping = Mapping.from_toml(GOLDEN / "kserve-v1" / "mapping.toml")
        server = Server(DoorsSettings(http="127.0.0.1:0"), [mapping], kept, folder)
        await server.start()
        await asyncio.wait_for(story(server, kept), WAIT_S)
        await server.stop()
        return kept

    return asyncio.run(tell())


@contextmanager
def caller(server: Server) -> Iterator[socket.socket]:
    """Call the doors."""
    with closing(socket.create_connection(("127.0.0.1", server.port))) as one:
        one.setblocking(False)
        yield one


async def answers(one: socket.socket, count: int) -> list[bytes]:
    """Return the first lines of so many answers."""
    came = b""
    while came.count(b"HTTP/1.1 ") < count:
        more = await asyncio.get_running_loop().sock_recv(one, 65_536)
        assert more, came
        came += more
    return [line for line in came.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]


async def ended(one: socket.socket) -> bool:
    """Return whether the doors closed, once they have."""
    try:
        while await asyncio.get_running_loop().sock_recv(one, 65_536):
            pass
    except ConnectionResetError:
        pass
    return True


async def until(holds: Callable[[], bool]) -> None:
    """Return once it holds."""
    while not holds():  # noqa: ASYNC110  # nothing tells of it
        await asyncio.sleep(0.001)


def half(number: int, side: str) -> bytes:
    """Return the bytes of one half."""
    _, headers, body = kserve(number, side)
    lines = [b"POST / HTTP/1.1", b"content-length: %d" % len(body), *(b"%s: %s" % one for one in headers)]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def test_pairs_of_many_senders_are_kept_however_they_are_cut(tmp_path: Path) -> None:
    async def story(server: Server, kept: Kept) -> None:
        loop = asyncio.get_running_loop()

        async def send(number: int) -> None:
            with caller(server) as one:
                for side in ("request", "response"):
                    data = half(number, side)
                    for piece in (data[: 7 * number], data[7 * number :]):
                        await loop.sock_sendall(one, piece)
                        await asyncio.sleep(0)
                    assert await answers(one, 1) == [b"HTTP/1.1 200 OK"]

        await asyncio.gather(*(send(number) for number in range(20)))

    assert sorted(serve(tmp_path, story).ids()) == sorted(f"id-{number}" for number in range(20))


def test_who_pipelines_without_end_is_read_as_it_is_answered(tmp_path: Path) -> None:
    count = 5 * PIPELINED

    async def story(server: Server, kept: Kept) -> None:
        with caller(server) as one:
            sent = b"".join(half(number, "request") for number in range(count))
            sending = asyncio.create_task(asyncio.get_running_loop().sock_sendall(one, sent))
            assert await answers(one, count) == [b"HTTP/1.1 200 OK"] * count
            await sending
        assert len(server.desk.table) == count

    serve(tmp_path, story)


def test_who_reads_no_answers_is_not_answered_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "UNREAD_BYTES", 2**18)

    async def story(server: Server, kept: Kept) -> None:
        with closing(socket.socket()) as one:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            one.connect(("127.0.0.1", server.port))
            one.setblocking(False)
            asked = asyncio.create_task(asyncio.get_running_loop().sock_sendall(one, ALIVE * 200_000))
            await until(lambda: server.desk.counts["deaf"] == 1)
            await until(lambda: not server.reception.open)
            with suppress(ConnectionError):
                await asked

    serve(tmp_path, story)


def test_who_goes_is_forgotten_and_its_number_may_be_anothers(tmp_path: Path) -> None:
    async def story(server: Server, kept: Kept) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(3):
            with caller(server) as leaves, caller(server) as resets, caller(server) as stays:
                for one in (leaves, resets, stays):
                    await loop.sock_sendall(one, ALIVE)
                    assert await answers(one, 1) == [b"HTTP/1.1 200 OK"]
                leaves.close()
                resets.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                resets.close()
                await until(lambda: len(server.reception.open) == 1)
                await loop.sock_sendall(stays, b"no HTTP\r\n\r\n" + ALIVE)
                assert (await answers(stays, 1))[0].startswith(b"HTTP/1.1 400")
                assert await ended(stays)
                await until(lambda: not server.reception.open)

    serve(tmp_path, story)


def test_one_that_is_taken_from_wrongly_is_cut_off_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = Connection.data_received
    told: list[object] = []

    def fails(one: Connection, data: bytes) -> None:
        if b"planted" in data:
            raise RuntimeError("planted")
        take(one, data)

    monkeypatch.setattr(Connection, "data_received", fails)

    async def story(server: Server, kept: Kept) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: told.append(context["exception"]))
        with caller(server) as bad, caller(server) as good:
            await until(lambda: len(server.reception.open) == 2)
            bad.sendall(b"planted")  # both are there in the next turn
            good.sendall(ALIVE)
            assert await answers(good, 1) == [b"HTTP/1.1 200 OK"]
            assert await ended(bad)
            await until(lambda: len(server.reception.open) == 1)

    serve(tmp_path, story)
    assert [str(error) for error in told] == ["planted"]


def test_one_that_another_one_ends_in_the_same_turn_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[bytes] = []

    async def story(server: Server, kept: Kept) -> None:
        def ends_all(one: Connection, data: bytes) -> None:
            taken.append(data)
            for other in list(server.reception.open):
                other.abort()

        monkeypatch.setattr(Connection, "data_received", ends_all)
        with caller(server) as first, caller(server) as second:
            await until(lambda: len(server.reception.open) == 2)
            first.sendall(ALIVE)
            second.sendall(ALIVE)
            assert await ended(first)
            assert await ended(second)
            await until(lambda: not server.reception.open)

    serve(tmp_path, story)
    assert taken == [ALIVE]


def test_doors_that_stop_leave_nothing_open(tmp_path: Path) -> None:
    async def story(server: Server, kept: Kept) -> None:
        with caller(server) as one:
            await asyncio.get_running_loop().sock_sendall(one, ALIVE)
            await answers(one, 1)
            await server.stop()
            assert await ended(one)
        await server.stop()

    serve(tmp_path, story)


def test_who_comes_while_others_are_waited_for_shares_their_commit(tmp_path: Path) -> None:
    senders = 8

    async def story(server: Server, kept: Kept) -> None:
        loop = asyncio.get_running_loop()
        with ExitStack() as calls:
            ones = [calls.enter_context(caller(server)) for _ in range(senders)]
            await until(lambda: len(server.reception.open) == senders)
            for number, one in enumerate(ones):
                one.sendall(half(number, "request"))
            assert [await answers(one, 1) for one in ones] == [[b"HTTP/1.1 200 OK"]] * senders
            commits = server.desk.counts["commits"]
            server.desk._commit_from = loop.time() + 2.0
            ones[0].sendall(half(0, "response"))
            await until(lambda: bool(server.desk._pending))
            for number, one in enumerate(ones[1:], start=1):
                one.sendall(half(number, "response") if number > 1 else ALIVE)
            assert [await answers(one, 1) for one in ones] == [[b"HTTP/1.1 200 OK"]] * senders
            assert server.desk.counts["commits"] == commits + 1
            await loop.sock_sendall(ones[0], ALIVE)
            assert await answers(ones[0], 1) == [b"HTTP/1.1 200 OK"]

    assert len(serve(tmp_path, story).ids()) == senders - 1


def test_doors_that_stop_while_others_are_waited_for_answer_what_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "GATHER_EACH_S", 3_600.0)
    monkeypatch.setattr(desk, "GATHER_MAX_S", 3_600.0)
    monkeypatch.setattr(doors_server, "STOP_S", 0.1)

    async def story(server: Server, kept: Kept) -> None:
        with caller(server) as one, caller(server) as other:
            await until(lambda: len(server.reception.open) == 2)
            one.sendall(half(1, "request"))
            other.sendall(half(2, "request"))
            assert await answers(one, 1) == await answers(other, 1) == [b"HTTP/1.1 200 OK"]
            server.desk._commit_from = asyncio.get_running_loop().time() + 3_600
            one.sendall(half(1, "response"))
            await until(lambda: bool(server.desk._pending))
            await server.stop()
            assert await answers(one, 1) == [b"HTTP/1.1 200 OK"]

    assert serve(tmp_path, story).ids() == ["id-1"]
