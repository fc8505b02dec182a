"""Paired tables and plans for tests of policies: small, explicit, seeded."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from policies import Integrity, Plan, plan_from

DAY_US = 86_400_000_000


def paired(
    champion: Sequence[float | None],
    challenger: Sequence[float | None],
    label: Sequence[float | None],
    **columns: Sequence[Any],
) -> pa.Table:
    """A paired table; units, times, decisions, latencies in us and errors may be given by their names."""
    n = len(label)
    nothing: list[Any] = [None] * n
    more = {
        name: pa.array(columns[name], kind)
        for name, kind in (
            ("champion_latency_us", pa.int64()),
            ("challenger_latency_us", pa.int64()),
            ("challenger_error", pa.string()),
        )
        if name in columns
    }
    return pa.table(
        more
        | {
            "position": pa.array(range(1, n + 1), pa.int64()),
            "decision_id": pa.array([f"d{i}" for i in range(n)], pa.string()),
            "occurred_at": pa.array(columns.get("occurred_us", range(n)), pa.timestamp("us", "UTC")),
            "unit": pa.array(columns.get("unit", nothing), pa.string()),
            "champion_score": pa.array(champion, pa.float64()),
            "challenger_score": pa.array(challenger, pa.float64()),
            "champion_decision": pa.array(columns.get("champion_decision", nothing), pa.string()),
            "challenger_decision": pa.array(columns.get("challenger_decision", nothing), pa.string()),
            "label": pa.array(label, pa.float64()),
        }
    )


def simulated(rows: int, *, gain: float = 0.0, days: int = 60, seed: int = 1, units: int = 0) -> pa.Table:
    """Calibrated risks; the champion is off by 0.1, the challenger by 0.1 - gain; `units` > 0 repeat."""
    rng = np.random.default_rng(seed)
    risk = rng.random(rows) * 0.5
    live, other = np.clip(risk + 0.1, 0, 1), np.clip(risk + 0.1 - gain, 0, 1)
    return paired(
        live.tolist(),
        other.tolist(),
        (rng.random(rows) < risk).astype(float).tolist(),
        occurred_us=np.sort(rng.integers(0, days * DAY_US, rows)).tolist(),
        unit=[f"u{k}" for k in rng.integers(0, units, rows)] if units else [None] * rows,
        champion_decision=np.where(live > 0.3, "late", "on_time").tolist(),
        challenger_decision=np.where(other > 0.3, "late", "on_time").tolist(),
    )


def plan(*metrics: Mapping[str, Any], unit: str = "request", **policy: Any) -> Plan:
    """A plan over these metrics, a Brier superiority if none is given."""
    where = {"kind": unit} | ({"timezone": "America/New_York"} if unit == "day" else {})
    more = {"retraining": {"margin": 0.002}} if policy.get("name") == "retraining" else {}
    return plan_from(
        {"metrics": list(metrics) or [{"name": "brier"}], "unit": where, "policy": policy} | more
    )


def integrity(rows: int, **changes: Any) -> Integrity:
    """A window in which every decision matured, was scored and used."""
    counted = {"decisions": rows, "matured": rows, "used": rows, "scored": rows, "failed": 0}
    window = {"trained_until": 0, "window_start": 1, "window_stop": rows + 1}
    return Integrity(**{**counted, **window, **changes})
