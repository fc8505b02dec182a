"""A raw ASGI application under uvicorn, on httptools and uvloop: CloudEvents in, msgpack made, 200.

`python -m benchmarks.peers.asgi` is run by benchmarks/doors.py in the peers' environment. It listens on
loopback and prints its port; for each line that it is sent it prints the CPU seconds and the events of its
process so far, and ends with its input. What it makes it throws away: it checks and bounds nothing, pairs and
maps nothing, and has no disk.
"""

import asyncio
import resource
import socket
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec
import uvicorn

Message = MutableMapping[str, Any]
_decode = msgspec.json.Decoder().decode
_encode = msgspec.msgpack.Encoder().encode


class Application:
    """Reads one event of CloudEvents' binary mode a request."""

    def __init__(self) -> None:
        self.events = 0

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        """Read the attributes and the body, encode both, answer."""
        attributes = {
            name[3:].decode("latin-1"): value.decode("latin-1")
            for name, value in scope["headers"]
            if name.startswith(b"ce-")
        }
        message = await receive()
        body = message.get("body", b"")
        while message.get("more_body", False):
            message = await receive()
            body += message.get("body", b"")
        _encode((attributes, _decode(body)))
        self.events += 1
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})


def main() -> None:
    """Serve until the input ends."""
    application = Application()
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        application, http="httptools", loop="uvloop", lifespan="off", log_level="warning", access_log=False
    )
    server = uvicorn.Server(config)

    def asked() -> None:
        if not sys.stdin.buffer.readline():
            server.should_exit = True
            asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
            return
        used = resource.getrusage(resource.RUSAGE_SELF)
        print(used.ru_utime + used.ru_stime, application.events, flush=True)

    async def serve() -> None:
        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), asked)
        print(listening.getsockname()[1], flush=True)
        await server.serve(sockets=[listening])

    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(serve())


if __name__ == "__main__":
    main()
