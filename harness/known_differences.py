"""Known differences: what two models are allowed to differ in, said in the log beforehand, with an end."""

import datetime as dt
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
from replay.columns import FEATURE

KNOWN = "difference.known"
# The side of a comparison that is no model: what was decided live.
RECORDED = "recorded"


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
        UsageError: no feature, no reason or one that is no sentence, an end that is no time or has passed,
            one model twice.
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
    features = sorted({field.name for one in log.feature_sets().values() for field in one.fields})
    if unknown := sorted(set(where) - set(features)):
        raise FeatureUnknown(unknown, features)
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


def known_differences(log: Log, decision_point: str, models: tuple[str, str]) -> list[KnownDifference]:
    """Return what is known of two models, either way round, at the end of the log; what ended is left out."""
    now = log.head().recorded_at
    found = [_of(event) for event in log.controls(KNOWN, decision_point)]
    return [each for each in found if {each.a, each.b} == set(models) and each.until > now]


def covered(rows: pa.Table, known: Sequence[KnownDifference]) -> npt.NDArray[np.bool_]:
    """Return which rows some known difference is about; `rows` has the features that they name.

    Values are compared as text, as they are written in the log's own output.
    """
    about = np.zeros(rows.num_rows, dtype=np.bool_)
    for each in known:
        own = np.ones(rows.num_rows, dtype=np.bool_)
        for name, value in each.where.items():
            if FEATURE + name not in rows.schema.names:
                own[:] = False
                break
            same = pc.equal(rows.column(FEATURE + name).cast(pa.string()), value)
            own &= np.asarray(pc.fill_null(same, False).to_numpy(), dtype=np.bool_)  # noqa: FBT003
        about |= own
    return about


def _of(event: ControlEvent) -> KnownDifference:
    body: dict[str, Any] = {"decision_point": event.subject, "position": event.position, **event.body}
    return msgspec.convert(body, KnownDifference)
