"""A fraud check as a FastAPI service, whose every decision is recorded.

uvicorn --app-dir examples/fastapi app:app
"""

import math
import os
from uuid import uuid4

from fastapi import FastAPI
from pydantic import BaseModel

from recorders import FeatureSet, Field, Recorder
from recorders.inprocess import InProcessLink
from recorders.integrations.asgi import AsgiMiddleware
from recorders.integrations.exchange import Decided, Exchange

FEATURES = FeatureSet("checkout", 1, (Field("amount", "float64"), Field("country", "category")))

link = InProcessLink(os.environ["HARNESS_DATABASE_URL"], [FEATURES])
recorder = Recorder("fraud.checkout", FEATURES, link, model="rules", model_version="7")


class Order(BaseModel):
    """What the shop asks about."""

    customer: str
    amount: float
    country: str


app = FastAPI()


@app.post("/decide")
def decide(order: Order) -> dict[str, object]:
    """Return the risk of an order, and what is done about it."""
    risk = 1 / (1 + math.exp(3 - order.amount / 100 - (order.country != "NZ")))
    return {"id": str(uuid4()), "risk": risk, "action": "block" if risk > 0.5 else "allow"}  # noqa: PLR2004


def extract(exchange: Exchange) -> Decided:
    """Return what was decided: the extractor is the whole declaration of what leaves the service."""
    order, answer = exchange.request_json(), exchange.response_json()
    return {
        "features": {"amount": order["amount"], "country": order["country"]},
        "score": answer["risk"],
        "decision": answer["action"],
        "decision_id": answer["id"],
        "unit": order["customer"],
    }


app.add_middleware(AsgiMiddleware, recorder=recorder, extract=extract, paths=("/decide",))
