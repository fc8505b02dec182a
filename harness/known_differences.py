"""Known differences: what two models are allowed to differ in, said in the log beforehand, with an end."""

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from harness.errors import UsageError
from harness.log.events import ControlEvent
from harness.log.log import Log
from harness.log.places import parse
from harness.log.points import check_point
from harness.models import get_model
from harness.replay_errors import FeatureUnknown
from harness.spoken import NAME_MAX, sentence
from replay.columns import FEATURE, INSTANT

KNOWN = "difference.known"
# The side of a comparison that is no model: what was decided live.
RECORDED = "recorded"
# What is declared as one of these is no text; of all else the text is compared.
_ARROW = {
    "float64": pa.float64(),
    "int64": pa.int64(),
    "bool": pa.bool_(),
    "timestamp": INSTANT,
    "bytes": pa.binary(),
    "list[float64]": pa.list_(pa.float64()),
}
_INT64 = range(-(2**63), 2**63)
Value = bool | int | float | str | bytes | dt.datetime


class KnownDifference(msgspec.Struct, frozen=True):
    """A difference that is expected of models `a` and `b` where all features of `where` have these values.

    `until`: the log's time from which on it is known no more; a known difference without an end would
    hide what comes later.
    """

    a: str
    b: str
    decision_point: str
    where: dict[str, str]
    reason: str
    until: dt.datetime
    position: int


def register_known(
    log: Log,
    *,
    decision_point: str,
    models: tuple[str, str],
    where: Mapping[str, str],
    reason: str,
    until: str,
    actor: str | None = None,
) -> ControlEvent:
    """Return the event that makes a difference known from here on, until a time.

    Raises:
        UsageError: no feature or a person's, no reason or one that is no sentence, an end that is no time
            or has passed, one model twice.
        FeatureUnknown: a feature of no feature set: the difference would never apply.
        NotFound: a model that is not registered, or a decision point that nothing was recorded at.
    """
    end = parse(until)
    now = log.head().recorded_at
    if reason.strip():
        reason = sentence(reason, "The reason")
    if not where or not reason.strip():
        raise UsageError(
            "A known difference needs features that say where, and a reason.",
            "Expected at least one FEATURE=VALUE and a sentence.",
            'Write --where country=DE --reason "prices in DE were rounded".',
        )
    if not isinstance(end, dt.datetime) or end <= now:
        raise UsageError(
            f"{until!r} is no end that lies ahead of the log, which is at {now.isoformat()}.",
            "Expected a time with offset, later than that.",
            "Write --until 2027-01-01T00:00:00Z.",
        )
    _check_where(log, where)
    for reference in models:
        if reference != RECORDED:
            get_model(log, reference)
    check_point(log, decision_point)
    a, b = models
    if a == b:
        raise UsageError(
            f"{a} does not differ from itself.",
            "Expected two models.",
            f'Name the other one, or "{RECORDED}".',
        )
    body = {"a": a, "b": b, "where": dict(where), "reason": reason, "until": end.isoformat()}
    by = None if actor is None else sentence(actor, "Who says so", NAME_MAX)
    return log.control(KNOWN, decision_point, body, actor=by)


def _check_where(log: Log, where: Mapping[str, str]) -> None:
    """Refuse a feature that nobody declared or that is a person's, and a value that it never has."""
    fields = [field for one in log.feature_sets().values() for field in one.fields]
    features = sorted({field.name for field in fields})
    if unknown := sorted(set(where) - set(features)):
        raise FeatureUnknown(unknown, features)
    if closed := sorted({field.name for field in fields if field.sealed and field.name in where}):
        raise UsageError(
            f"{', '.join(closed)} of --where is kept encrypted.",
            "Expected features that are neither subject nor sensitive: what is said here stays in the log "
            "when their person is erased.",
            "Name another feature by which these rows can be told.",
        )
    for name, value in where.items():
        types = sorted({field.type for field in fields if field.name == name})
        if all(_value(_ARROW.get(one, pa.string()), value) is None for one in types):
            raise UsageError(
                f"The feature {name!r} is of type {' or '.join(types)} and never {value!r}.",
                "Expected a value that it can have: a known difference that never applies hides nothing.",
                "Write a number as a number, a bool as true or false, a time as 2026-05-01T00:00:00Z. "
                "No list can be named.",
            )


def known_differences(
    log: Log, decision_point: str, models: tuple[str, str]
) -> tuple[list[KnownDifference], list[KnownDifference]]:
    """Return what is known of two models, either way round, at the end of the log, and what has ended."""
    now = log.head().recorded_at
    found = [_of(event) for event in log.controls(KNOWN, decision_point)]
    own = [each for each in found if {each.a, each.b} == set(models)]
    return [each for each in own if each.until > now], [each for each in own if each.until <= now]


def covered(rows: pa.RecordBatch, known: Sequence[KnownDifference]) -> npt.NDArray[np.bool_]:
    """Return which rows some known difference is about; `rows` has the features that they name.

    Numbers, bools and times are compared as what they are, however they are spelled; all else as text.
    """
    about = np.zeros(rows.num_rows, dtype=np.bool_)
    for each in known:
        own = np.ones(rows.num_rows, dtype=np.bool_)
        for name, value in each.where.items():
            own &= _is(rows, FEATURE + name, value)
        about |= own
    return about


def _is(rows: pa.RecordBatch, name: str, text: str) -> npt.NDArray[np.bool_]:
    """Return where a column has a value; nowhere if it is not there, or never of such a value."""
    column = rows.column(name) if name in rows.schema.names else None
    wanted = None if column is None else _value(column.type, text)
    if column is None or wanted is None:
        return np.zeros(rows.num_rows, dtype=np.bool_)
    if isinstance(wanted, float) and math.isnan(wanted):
        same = pc.is_nan(column)
    else:
        typed = column.cast(pa.string()) if isinstance(wanted, str) else column
        same = pc.equal(typed, pa.scalar(wanted, typed.type))
    return np.asarray(pc.fill_null(same, False).to_numpy(zero_copy_only=False), dtype=np.bool_)  # noqa: FBT003


def _value(kind: pa.DataType, text: str) -> Value | None:
    """Return a value as a column of this type has it, None where none there can be it.

    >>> _value(pa.bool_(), "True"), _value(pa.float64(), "1"), _value(pa.int64(), "many")
    (True, 1.0, None)
    """
    try:
        return _parsed(kind, text)
    except ValueError:
        return None


def _parsed(kind: pa.DataType, text: str) -> Value | None:
    if pa.types.is_boolean(kind):
        return {"true": True, "false": False}.get(text.lower())
    if pa.types.is_integer(kind):
        return number if (number := int(text)) in _INT64 else None
    if pa.types.is_floating(kind):
        return float(text)
    if pa.types.is_timestamp(kind):
        return at if (at := dt.datetime.fromisoformat(text)).tzinfo is not None else None
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return text.encode()
    return None if pa.types.is_list(kind) else text


def _of(event: ControlEvent) -> KnownDifference:
    body: dict[str, Any] = {"decision_point": event.subject, "position": event.position, **event.body}
    return msgspec.convert(body, KnownDifference)
