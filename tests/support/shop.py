"""A small shop whose log is written batch by batch: decisions, outcomes, and challengers of known worth.

Each day has DECISIONS decisions from 06:00 on; a return comes with probability x and is known six hours
after midnight. The champion says 0.25 + x / 2. `oracle` says x, `contrary` says 1 - x.
"""

import datetime as dt
import random
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa

from harness.log.log import Log
from harness.models import add_model
from recorders.append import Batch
from recorders.canonical import digest
from recorders.columns import OUTCOME_SCHEMA, decision_schema, encode_batch
from recorders.fields import FeatureSet, Field

POINT = "shop.returned"
FIRST = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
DECISIONS = 60
DAY = dt.timedelta(days=1)
FEATURES = FeatureSet("shop", 1, (Field("x", "float64"), Field("region", "category")))
OUTCOME_DIGEST = digest(b"outcome/1")


def oracle(frame: pd.DataFrame) -> pd.Series:
    return frame["x"]


def contrary(frame: pd.DataFrame) -> pd.Series:
    return 1.0 - frame["x"]


def plain(frame: pd.DataFrame) -> pd.Series:
    return 0.25 + frame["x"] / 2


def band(frame: pd.DataFrame) -> pd.Series:
    return frame["x"].between(0.35, 0.65) * 0.8 + 0.1


def blend(frame: pd.DataFrame) -> pd.Series:
    return (band(frame) + plain(frame)) / 2


def slow(frame: pd.DataFrame) -> pd.Series:
    time.sleep(2.0)
    return frame["x"]


def drifted(frame: pd.DataFrame) -> pd.Series:
    return (0.25 + frame["x"] / 2).where(frame["x"] < 0.9, 0.0)


def timid(frame: pd.DataFrame) -> pd.Series:
    if (frame["x"] > 0.2).any():
        raise TimeoutError("it took too long")
    return frame["x"]


def broken(frame: pd.DataFrame) -> pd.Series:
    raise ValueError("no such level")


class Shop:
    """Writes days of one decision point into a log; the same days are the same batches.

    With `explored` that share of decisions is an offer, by chance: six in ten of those return, else one. From
    the day `turned` on returns come with the probability that `band` says. `gone` days have no region.
    Each answer took `latency_us`.
    """

    def __init__(
        self,
        log: Log,
        seed: int = 7,
        explored: float = 0.0,
        *,
        turned: int | None = None,
        gone: tuple[int, ...] = (),
        latency_us: int | None = None,
    ) -> None:
        self.log = log
        self.seed = seed
        self.writer = uuid.uuid5(uuid.NAMESPACE_DNS, f"shop {seed}")
        self.sequence = 0
        self.explored = explored
        self.turned = turned
        self.gone = gone
        self.latency_us = latency_us
        log.register_feature_set(FEATURES)

    def days(self, first: int, stop: int) -> None:
        """Record the days [first, stop), each with the outcomes of the day before it."""
        for day in range(first, stop):
            self.decisions(day)
            self.outcomes(day)

    def decisions(self, day: int, *, ids: list[str] | None = None) -> None:
        rows = self._rows(day)
        names = ids or [row["decision_id"] for row in rows]
        plain = {
            "decision_id": names,
            "occurred_at": [row["occurred_at"] for row in rows],
            "unit": [f"customer-{index}" for index in range(len(rows))],
            "model": ["plain"] * len(rows),
            "model_version": ["1"] * len(rows),
            "score": [0.25 + row["x"] / 2 for row in rows],
            "decision": [row["decision"] for row in rows],
            "propensity": [row["propensity"] for row in rows],
            "inclusion": [1.0] * len(rows),
            "latency_us": [self.latency_us] * len(rows),
            "f.x": [row["x"] for row in rows],
            "f.region": [None if day in self.gone else str(row["region"]) for row in rows],
        }
        schema = decision_schema(FEATURES)
        arrays = [pa.array(plain.get(field.name, [None] * len(rows)), type=field.type) for field in schema]
        self._append("decision", pa.RecordBatch.from_arrays(arrays, schema=schema), FEATURES.digest)

    def outcomes(
        self,
        day: int,
        *,
        keep: int = DECISIONS,
        flip: bool = False,
        ids: list[str] | None = None,
        decision: str = "",
    ) -> None:
        """Record the outcomes of the first `keep` decisions of a day, or with `flip` their opposite.

        With `decision` only those of the decisions of that name.
        """
        rows = [row for row in self._rows(day)[:keep] if decision in ("", row["decision"])]
        known = FIRST + (day + 1) * DAY + dt.timedelta(hours=6)
        columns = [
            ids or [row["decision_id"] for row in rows],
            ["returned"] * len(rows),
            [1.0 - row["label"] if flip else row["label"] for row in rows],
            [known] * len(rows),
        ]
        arrays = [
            pa.array(values, type=field.type) for values, field in zip(columns, OUTCOME_SCHEMA, strict=True)
        ]
        self._append("outcome", pa.RecordBatch.from_arrays(arrays, schema=OUTCOME_SCHEMA), OUTCOME_DIGEST)

    def _rows(self, day: int) -> list[dict[str, object]]:
        chance = random.Random(f"{self.seed}:{day}")
        step = dt.timedelta(hours=16) / DECISIONS
        rows: list[dict[str, object]] = []
        for index in range(DECISIONS):
            x = chance.random()
            risk = x if self.turned is None or day < self.turned else 0.9 if 0.35 <= x <= 0.65 else 0.1
            label = float(chance.random() < risk)
            decision, propensity = "offer" if x < 0.5 else "none", None
            if self.explored:
                offer = chance.random() < self.explored
                decision = "offer" if offer else "none"
                propensity = self.explored if offer else 1.0 - self.explored
                label = float(chance.random() < (0.6 if offer else 0.1))
            rows.append(
                {
                    "decision_id": f"{day}-{index}",
                    "occurred_at": FIRST + day * DAY + dt.timedelta(hours=6) + index * step,
                    "x": x,
                    "region": "north" if x < 0.7 else "south",
                    "label": label,
                    "decision": decision,
                    "propensity": propensity,
                }
            )
        return rows

    def _append(self, kind: str, batch: pa.RecordBatch, schema_digest: str) -> None:
        self.sequence += 1
        payload = encode_batch(batch)
        times = batch.column("occurred_at").to_pylist()
        self.log.append(
            Batch(
                kind=kind,
                decision_point=POINT,
                schema_digest=schema_digest,
                writer=self.writer,
                sequence=self.sequence,
                events=batch.num_rows,
                occurred_min=min(times),
                occurred_max=max(times),
                payload=payload,
                digest=digest(payload),
            )
        )


def entered(log: Log, folder: Path, models: Sequence[str]) -> Shop:
    """Return a shop on `log`, these functions of this module registered as its models, each in version 1."""
    for name in models:
        uri = f"py:tests.support.shop:{name}"
        add_model(log, uri, name=name, version="1", trained_until=0, inputs=["x"], folder=folder)
    return Shop(log)


EXPERIMENT = """
schema = 1
[experiment]
id = "{id}"
decision_point = "shop.returned"
question = "Are returns predicted better?"
owner = "shop@example.com"
[window]
from = 2026-03-02T00:00:00Z
to = 2026-04-11T00:00:00Z
[champion]
{rescore}
[challenger]
model = "{model}"
[label]
name = "returned"
window = "24h"
[unit]
kind = "day"
timezone = "UTC"
[[metrics]]
name = "brier"
clip = 0.1
identification = "{identification}"
[policy]
alpha = 0.05
min_units = 5
min_decisions = 100
max_looks = {max_looks}
grid = [16, 0.01, 0.9]
"""


def experiment_text(
    name: str = "returned-1",
    model: str = "oracle:1",
    identification: str = "direct",
    max_looks: int = 9,
    rescore: str | None = None,
    more: str = "",
) -> str:
    champion = "" if rescore is None else f'rescore = "{rescore}"'
    text = EXPERIMENT.format(
        id=name, model=model, identification=identification, max_looks=max_looks, rescore=champion
    )
    return text + more
