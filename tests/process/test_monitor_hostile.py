"""Hostile values through a whole monitor: registered, run and explained, each counted and none a NaN."""

import datetime as dt
import json
import math
import uuid
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from harness.log.log import Log
from harness.monitor.file import read_monitor
from harness.monitor.registered import Monitor, register
from harness.monitor.run import explain, history, run
from harness.monitor.text import monitor_text, ran_text
from recorders.append import Batch
from recorders.canonical import canonical_json, digest
from recorders.columns import OUTCOME_SCHEMA, decision_schema, encode_batch
from recorders.fields import FeatureSet, Field
from tests.process.test_monitors import LABEL, TEXT
from tests.support.shop import FIRST, OUTCOME_DIGEST, POINT

FEATURES = FeatureSet(
    "hostile",
    1,
    tuple(
        Field(name, kind)  # type: ignore[arg-type]  # the names of field types, as they are written
        for name, kind in {
            "constant": "float64",
            "huge": "float64",
            "levels": "category",
            "list": "list[float64]",
            "none": "float64",
            "odd": "float64",
            "started": "timestamp",
            "text": "string",
            "whole": "int64",
            "wide": "float64",
        }.items()
    ),
)
ROWS = 24
ODD = (math.nan, math.inf, -math.inf, 5e-324, -0.0)
WRITER = uuid.uuid5(uuid.NAMESPACE_DNS, "hostile")


def values(day: int, step: int) -> dict[str, Any]:
    return {
        "constant": 7.0,
        "huge": (1e300, -1e300, 1.7976931348623157e308)[step % 3],
        "levels": "ab"[step % 2],
        "list": [math.nan] * (step % 3),
        "none": None,
        "odd": ODD[step % len(ODD)],
        "started": (FIRST, dt.datetime(1, 1, 1, tzinfo=dt.UTC))[step % 2],
        "text": ("", "x" * 50_000, f"order {day} {step}")[step % 3],
        "whole": (2**63 - 1, -(2**63))[step % 2],
        "wide": 1e9 + step % 3 - 1,
    }


class Hostile:
    """Writes days of a decision point, each a batch of decisions and one of outcomes."""

    def __init__(self, log: Log) -> None:
        self.log, self.sequence = log, 0
        log.register_feature_set(FEATURES)

    def day(self, number: int, *, rows: int = ROWS, **changed: Any) -> None:
        at = [FIRST + dt.timedelta(days=number, hours=6, minutes=step) for step in range(rows)]
        names = [f"{number}-{step}" for step in range(rows)]
        served = [values(number, step) | changed for step in range(rows)]
        plain: dict[str, list[Any]] = {
            "decision_id": names,
            "occurred_at": at,
            "model": ["m"] * rows,
            "model_version": ["1"] * rows,
            "score": [(0.5, math.nan, None, 1e300)[step % 4] for step in range(rows)],
            "inclusion": [1.0] * rows,
        } | {f"f.{name}": [each[name] for each in served] for name in served[0]}
        self._append("decision", decision_schema(FEATURES), plain, FEATURES.digest)
        labels = [(0.0, 1.0, math.nan, 1e300)[step % 4] for step in range(rows)]
        known = [each + dt.timedelta(hours=1) for each in at]
        outcomes = {
            "decision_id": names,
            "label": ["returned"] * rows,
            "value": labels,
            "occurred_at": known,
        }
        self._append("outcome", OUTCOME_SCHEMA, outcomes, OUTCOME_DIGEST)

    def _append(self, kind: str, schema: pa.Schema, plain: dict[str, list[Any]], schema_digest: str) -> None:
        rows = len(plain["decision_id"])
        arrays = [pa.array(plain.get(field.name, [None] * rows), type=field.type) for field in schema]
        payload = encode_batch(pa.RecordBatch.from_arrays(arrays, schema=schema))
        self.sequence += 1
        self.log.append(
            Batch(
                kind=kind,
                decision_point=POINT,
                schema_digest=schema_digest,
                writer=WRITER,
                sequence=self.sequence,
                events=rows,
                occurred_min=min(plain["occurred_at"]),
                occurred_max=max(plain["occurred_at"]),
                payload=payload,
                digest=digest(payload),
            )
        )


def registered(log: Log, folder: Path) -> Monitor:
    path = folder / "monitor.toml"
    path.write_text(TEXT.format(id="inputs", more=LABEL))
    return register(log, read_monitor(path))


@pytest.fixture
def hostile(event_log: Log) -> Hostile:
    found = Hostile(event_log)
    for number in range(17):
        found.day(number)
    return found


def test_no_value_gives_a_number_that_is_none_and_each_is_counted(hostile: Hostile, tmp_path: Path) -> None:
    watch = registered(hostile.log, tmp_path)
    assert len(canonical_json(watch.event.body)) < 200_000, "no text of a person's novel is kept for ever"
    hostile.day(17, rows=1)
    hostile.day(18, **dict.fromkeys(values(0, 0)))
    hostile.day(19, levels="new", constant=8.0, wide=1e9 + 50)
    hostile.day(20, odd=1.0, none=1e300, huge=-0.0)
    for number in (22, 23):  # none on the 21st
        hostile.day(number)
    found = run(hostile.log, "inputs", folder=tmp_path)
    answers = [body["answer"] for body in found.inputs]
    assert answers[:2] == ["ok", "ok"], found.inputs[1]["reasons"]
    single = found.inputs[2]["drift"]["features"]
    assert {each["answer"] for each in single if each["feature"] != "list"} == {"not enough data"}
    assert answers[3:5] == ["broken", "broken"]
    assert answers[6] == "broken", "a day without decisions is stale"
    reasons = {body["day"]: " ".join(body["reasons"]) for body in found.inputs}
    assert f"constant: {ROWS} of {ROWS} rows have no finite value" in reasons["2026-03-19"]
    assert f"levels: {ROWS} of {ROWS} values are none of the 2 known levels" in reasons["2026-03-20"]
    assert "wide: its distribution moved" in reasons["2026-03-20"]
    assert "constant: its distribution moved" in reasons["2026-03-20"]
    assert "none: the share of rows without a value moved" in reasons["2026-03-21"]
    told = canonical_json([event.body for event in hostile.log.controls("monitor.*")]).decode()
    for number in json.loads(told, parse_constant=lambda text: pytest.fail(f"{text} was told")):
        assert number
    assert "x" * 300 not in told
    for body in (*found.inputs, *found.outcomes):
        said = explain(hostile.log, "inputs", dt.date.fromisoformat(body["day"]))
        assert body in said
    text = monitor_text(watch, *history(hostile.log, "inputs")) + ran_text(found)
    assert "nan" not in text.replace("fnan", "").lower().split()


def test_every_row_of_an_odd_column_is_counted_once(hostile: Hostile, tmp_path: Path) -> None:
    registered(hostile.log, tmp_path)
    hostile.day(17)
    run(hostile.log, "inputs", folder=tmp_path)
    path = next((tmp_path / ".harness").rglob("2026-03-17-*.json"))
    (_, hour), *others = json.loads(path.read_bytes().split(b"\n", 1)[1])["hours"]
    assert not others
    state = json.loads(json.loads(hour)["window"])
    counters = state["features"]["odd"]["counters"]
    expected = {name: sum(step % 5 == place for step in range(ROWS)) for place, name in enumerate(ODD[:3])}
    assert counters == {
        "rows": ROWS,
        "nan": expected[ODD[0]],
        "positive_infinity": expected[math.inf],
        "negative_infinity": expected[-math.inf],
    }
    assert state["features"]["none"]["counters"] == {"rows": ROWS, "null": ROWS}
