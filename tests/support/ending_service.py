"""A service by WSGI and by ASGI whose workers end: events wait for half a minute, so the end must send them.

Made by factories: what it needs of the environment is asked for where a server serves it.
"""

import json
import os
from typing import Any
from uuid import uuid4

from recorders import FeatureSet, Field, Limits, Recorder
from recorders.integrations.asgi import AsgiMiddleware
from recorders.integrations.exchange import Decided, Exchange
from recorders.integrations.wsgi import WsgiMiddleware
from recorders.socket_link import SocketLink

FEATURES = FeatureSet("checkout", 1, (Field("amount", "float64"), Field("country", "category")))
WATCHED = ("/decide",)


def recorder() -> Recorder:
    """Return a recorder beside the sidecar that DOOR names."""
    link = SocketLink(os.environ["DOOR"], [FEATURES])
    limits = Limits(linger_s=30.0, exit_s=10.0)
    return Recorder("fraud.checkout", FEATURES, link, model="rules", model_version="7", limits=limits)


def extract(exchange: Exchange) -> Decided:
    """Return what was decided."""
    order, answer = exchange.request_json(), exchange.response_json()
    features = {"amount": order["amount"], "country": order["country"]}
    return {"features": features, "score": answer["risk"], "decision_id": answer["id"]}


def answered() -> bytes:
    """Return an answer that names its process."""
    return json.dumps({"id": str(uuid4()), "risk": 0.5, "worker": os.getpid()}).encode()


def by_wsgi(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Answer a request."""
    environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    answer = answered()
    start_response("200 OK", [("content-length", str(len(answer)))])
    return [answer]


async def by_asgi(scope: Any, receive: Any, send: Any) -> None:
    """Answer a request, or live."""
    while (message := await receive())["type"] != "http.request":
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": answered()})


def wsgi() -> WsgiMiddleware:
    """Return the WSGI service."""
    return WsgiMiddleware(by_wsgi, recorder=recorder(), extract=extract, paths=WATCHED)


def asgi() -> AsgiMiddleware:
    """Return the ASGI service."""
    return AsgiMiddleware(by_asgi, recorder=recorder(), extract=extract, paths=WATCHED)
