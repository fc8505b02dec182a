"""Metrics of the user's own, `py:module:function`: pinned by the digest of their source, called on columns.

The function is given one model's answers as an Arrow table (`score`, `decision`, `label`, `unit`,
`occurred_at`, and the declared features as `f.<name>`) and returns one value a row. A model of rewards is
such a function too, and is not shown the label. It is called once for each model, so it cannot favour one,
and once more on the rows reversed: what depends on chance, on a counter or on other rows gives other bytes
and is refused.
"""

import ast
import hashlib
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from harness.experiment_errors import MetricAltered, MetricFailed
from policies.metric_plan import MetricPlan
from policies.options import declared
from policies.own import SIDES, own_columns
from replay.adapters.guard import guard
from replay.adapters.python import load_attribute, source_of
from replay.adapters.uri import ModelUri, parse_uri
from replay.columns import FEATURE
from replay.model_errors import ModelError

_IMPURE = frozenset(
    [
        "asyncio",
        "http",
        "httpx",
        "io",
        "os",
        "pathlib",
        "psycopg",
        "random",
        "requests",
        "secrets",
        "shutil",
        "socket",
        "sqlalchemy",
        "subprocess",
        "tempfile",
        "threading",
        "time",
        "urllib",
        "uuid",
    ]
)
_CALLS = frozenset({"eval", "exec", "input", "now", "open", "today", "utcnow"})
_SHARED = ("unit", "occurred_at")


def pinned(metrics: Sequence[MetricPlan]) -> tuple[MetricPlan, ...]:
    """Return the metrics, each of the user's own with the digest of its source as it is now.

    Raises:
        MetricAltered: the file names a source, and it is not this one.
        MetricFailed: there is no such function, or its module reaches for a clock, chance or the world.
    """
    return tuple(_pinned(metric) if metric.function else metric for metric in metrics)


def own_values(paired: pa.Table, metrics: Sequence[MetricPlan]) -> pa.Table:
    """Return the paired table with two columns more for each metric of the user's own.

    Raises:
        MetricAltered: the source is not the registered one.
        MetricFailed: it raises, gives something else than one number a row, or is not a function of a row.
    """
    for metric in metrics:
        if metric.function:
            for side, name in zip(SIDES, own_columns(metric.function), strict=True):
                paired = paired.append_column(name, _of_side(paired, side, metric))
    return paired


def _pinned(metric: MetricPlan) -> MetricPlan:
    uri, path, source = _read(metric.function)
    _check_pure(metric.function, path, source)
    found = hashlib.sha256(source).hexdigest()
    wanted = declared(metric.source)
    if wanted not in (None, found):
        raise MetricAltered(metric.function, path, str(wanted), found)
    _function(metric.function, uri, path, source)
    return msgspec.structs.replace(metric, source=found)


def _read(name: str) -> tuple[ModelUri, str, bytes]:
    uri = parse_uri(name)
    try:
        return uri, *source_of(uri, Path.cwd())
    except ModelError as error:
        raise MetricFailed(name, error.happened, "a module with Python source") from error


def _function(name: str, uri: ModelUri, path: str, source: bytes) -> object:
    try:
        return load_attribute(uri, path, source, hashlib.sha256(source).hexdigest())
    except ModelError as error:
        raise MetricFailed(name, error.happened, "a module that runs and has the function") from error


def _check_pure(name: str, path: str, source: bytes) -> None:
    """Refuse what reads a clock, chance or the world by name: a lint, no wall against an attacker."""
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        raise MetricFailed(name, f"{path} is no Python: {error}", "a module that can be read") from error
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [each.name for each in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        elif isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            names = [called] if called in _CALLS else []
        elif isinstance(node, ast.Attribute):
            names = [node.attr] if node.attr == "random" else []
        for each in names:
            if each in _CALLS | {"random"} or each.split(".")[0] in _IMPURE or each.endswith(".random"):
                raise MetricFailed(
                    name,
                    f"line {getattr(node, 'lineno', 0)} of {path} uses {each}",
                    "a function of its columns alone: no clock, no chance, no file",
                )


def _of_side(paired: pa.Table, side: str, metric: MetricPlan) -> pa.Array:
    """Return the function's values of one model; null where it was not asked: no label or no answer."""
    uri, path, source = _read(metric.function)
    found = hashlib.sha256(source).hexdigest()
    if found != metric.source:
        raise MetricAltered(metric.function, path, str(metric.source), found)
    function = _function(metric.function, uri, path, source)
    columns = {"score": paired.column(f"{side}_score"), "decision": paired.column(f"{side}_decision")}
    columns |= {name: paired.column(name) for name in _SHARED}
    columns |= {f"{FEATURE}{name}": paired.column(f"{FEATURE}{name}") for name in metric.wanted_features}
    asked = columns["score"].is_valid().to_numpy() | columns["decision"].is_valid().to_numpy()
    if not metric.predictor:  # who predicts an outcome does not see it
        columns["label"] = paired.column("label")
        asked &= np.isfinite(columns["label"].to_numpy())
    known = np.flatnonzero(asked)
    rows = pa.table(columns).take(pa.array(known))
    values = _called(metric.function, function, rows)
    again = _called(metric.function, function, rows.take(pa.array(np.arange(known.size)[::-1])))
    if values.tobytes() != again[::-1].tobytes():
        raise MetricFailed(
            metric.function, "its values change when the rows are reversed", "a function of each row alone"
        )
    full = np.full(paired.num_rows, np.nan)
    full[known] = values
    return pa.array(full, mask=~asked)


def _called(name: str, function: object, rows: pa.Table) -> npt.NDArray[np.float64]:
    result, failed = guard(_as_floats, function, rows)
    if failed is not None:
        raise MetricFailed(name, failed.reason, "one number a row")
    values: npt.NDArray[np.float64] = result
    if values.shape != (rows.num_rows,):
        raise MetricFailed(name, f"it gave {values.shape} for {rows.num_rows} rows", "one number a row")
    return values


def _as_floats(function: object, rows: pa.Table) -> npt.NDArray[np.float64]:
    assert callable(function), "it cannot be called"
    values: npt.NDArray[np.float64] = np.asarray(function(rows), dtype=np.float64)
    return values + 0.0  # -0.0 and 0.0 are one value
