"""The same service by ASGI and by WSGI, once for each way in which its recorder may be broken.

`/FAULT/decide` answers JSON, `/FAULT/stream` answers chunk by chunk, `/FAULT/counters` what the recorder
counted; the fault "none" has no middleware.
"""

import threading
from collections.abc import Iterator
from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from flask import Flask, Response, request
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from recorders import Limits, Recorder
from recorders.integrations.asgi import AsgiMiddleware
from recorders.integrations.exchange import Exchange, Extract
from recorders.integrations.wsgi import WsgiMiddleware
from tests.support.recording import TWO, MemoryLink, down

FAULTS = ("none", "nothing", "link", "hang", "full", "extractor", "answer", "values")


class Hostile:
    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)

    __repr__ = __len__ = __iter__ = __float__ = __eq__ = __hash__ = __getattr__  # type: ignore[assignment]


def extractor(fault: str) -> Extract:
    def extract(exchange: Exchange) -> Any:
        if fault == "extractor":
            raise SystemError("extractor")
        if fault == "answer":
            return Hostile()
        if fault == "values":
            return {"features": {"age": Hostile(), "amount": "x" * 50_000_000}, "score": Hostile()}
        asked = exchange.request_json()
        features = {"age": asked["age"], "amount": asked["amount"]}
        return {"features": features, "score": exchange.response_json()["score"]}

    return extract


def hang(frame: Any) -> None:
    """Never return: who waited for this would not be answered, however slow the machine is."""
    threading.Event().wait()


def recorder(fault: str) -> Recorder:
    link = MemoryLink({"link": down, "hang": hang}.get(fault))
    limits = Limits(exit_s=0.2)
    if fault == "full":
        limits = Limits(queue_slots=1, linger_s=60.0, exit_s=0.2)
    return Recorder("fraud.checkout", TWO, link, model="m", model_version="1", limits=limits)


def rules(fault: str, used: Recorder) -> Any:
    paths = ("*/decide", "*/stream")
    return {"recorder": used, "extract": extractor(fault), "paths": paths, "body_bytes_max": 1_000}


def score(asked: dict[str, Any]) -> dict[str, Any]:
    return {"score": asked["amount"] / 10, "echo": asked}


def numbers() -> Iterator[str]:
    for number in range(5):
        yield f"{number}\n"


def by_asgi(fault: str) -> FastAPI:
    app, used = FastAPI(), recorder(fault)
    app.post("/decide")(score)
    app.get("/stream")(lambda: StreamingResponse(numbers(), media_type="text/plain"))
    app.get("/counters")(lambda: msgspec.to_builtins(used.counters))
    if fault != "none":
        app.add_middleware(AsgiMiddleware, **rules(fault, used))
    return app


def by_wsgi(fault: str) -> Any:
    app, used = Flask(__name__), recorder(fault)
    app.post("/decide")(lambda: score(request.get_json()))
    app.get("/stream", endpoint="stream")(lambda: Response(numbers(), mimetype="text/plain"))
    app.get("/counters", endpoint="counters")(lambda: msgspec.to_builtins(used.counters))
    return app if fault == "none" else WsgiMiddleware(app, **rules(fault, used))


asgi = FastAPI()
for name in FAULTS:
    asgi.mount(f"/{name}", by_asgi(name))
wsgi = DispatcherMiddleware(Flask(__name__), {f"/{name}": by_wsgi(name) for name in FAULTS})
