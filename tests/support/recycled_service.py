"""A Flask service that records through a sidecar, whatever becomes of its worker."""

import os
from uuid import uuid4

from flask import Flask, request

from recorders import FeatureSet, Field, Recorder
from recorders.integrations.exchange import Decided, Exchange
from recorders.integrations.wsgi import WsgiMiddleware
from recorders.socket_link import SocketLink

FEATURES = FeatureSet("checkout", 1, (Field("amount", "float64"), Field("country", "category")))
recorder = Recorder(
    "fraud.checkout", FEATURES, SocketLink(os.environ["DOOR"], [FEATURES]), model="rules", model_version="7"
)
app = Flask(__name__)


@app.post("/decide")
def decide() -> dict[str, object]:
    """Return a decision, or fail where the order says so."""
    order = request.get_json()
    if order["country"] == "XX":
        raise ValueError
    return {"id": str(uuid4()), "risk": 0.5, "action": "allow"}


def extract(exchange: Exchange) -> Decided:
    """Return what was decided."""
    order, answer = exchange.request_json(), exchange.response_json()
    return {
        "features": {"amount": order["amount"], "country": order["country"]},
        "score": answer["risk"],
        "decision": answer["action"],
        "decision_id": answer["id"],
        "unit": order["customer"],
    }


app.wsgi_app = WsgiMiddleware(  # type: ignore[method-assign]  # Flask's own way to add a middleware
    app.wsgi_app, recorder=recorder, extract=extract, paths=("/decide",)
)
