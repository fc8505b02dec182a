"""The inputs around a proof of retraining: how those held out stand against the reference."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Literal, NamedTuple

import msgspec

from harness.log.log import Log
from harness.measured_part import Question
from harness.surveyed import cut_plan, survey
from harness.watched import encrypted_in, feature_set_of, fold_batch, fold_days, watched_batches
from policies.drift import DriftRule, MonitorPlan, WindowState, check_quality, compare, reference_of
from policies.drift.quality import broken

_UNSEEN = 0.005  # the share of values of an unseen level that the data of a proof may have
Answer = Literal["ok", "drift", "not enough data"]


class Inputs(NamedTuple):
    """What quality rules and drift say of the inputs held out, by the reference.

    `encrypted`: how many of the decisions held out hold a feature encrypted; those are not looked at.
    """

    broken: tuple[str, ...]
    answer: Answer
    encrypted: dict[str, int]


def inputs_of(log: Log, question: Question, past: tuple[int, int]) -> Inputs:
    """Return how the inputs held out stand against the reference, [past): cut there, frozen, then compared.

    Rows are streamed, and fields of persons stay closed (docs/adr/0070). Proofs that were registered before
    that open them: they explain to the same bytes.
    """
    experiment = question.experiment
    point, closed = experiment.decision_point, experiment.closed
    ranges = past, (question.start, question.stop)
    before, now = (partial(watched_batches, log, *places, point, closed=closed) for places in ranges)
    hidden = _encrypted(log, point, ranges) if closed else []
    seen = survey(before(), past[1] - past[0], chosen=closed)
    plan = cut_plan(seen, before(), DriftRule(), without=hidden, score=False)
    plan = None if plan is None else _roomy(plan)
    state = None if plan is None else WindowState.empty(plan)
    served: Counter[str] = Counter()
    for batch in now():
        served[feature_set_of(batch)] += batch.num_rows
        state = None if plan is None or state is None else state.merge(fold_batch(batch, plan))
    counted = {name: sum(_holding(log, name, served)) for name in hidden}
    if plan is None or state is None:
        return Inputs((), "not enough data", counted)
    found = compare(state, reference_of(fold_days(before(), plan, "UTC"), plan), plan)
    reasons = tuple(finding.reason for finding in broken(check_quality(state, plan)))
    return Inputs(reasons, found.answers["feature"], counted)


def _encrypted(log: Log, point: str, ranges: Sequence[tuple[int, int]]) -> list[str]:
    """Return the features that decisions of some of the ranges hold encrypted."""
    return encrypted_in(
        log,
        {
            digest
            for start, stop in ranges
            for (digest,) in log.rows(
                "schemas", start=start, stop=stop, kind="decision", decision_point=point
            )
        },
    )


def _holding(log: Log, name: str, served: Mapping[str, int]) -> Iterator[int]:
    """Yield how many decisions hold a feature encrypted, by feature set."""
    yield from (rows for digest, rows in served.items() if name in encrypted_in(log, [digest]))


def _roomy(plan: MonitorPlan) -> MonitorPlan:
    """Return the plan with room for new levels: a country more is news, and no broken feature."""
    return msgspec.structs.replace(
        plan,
        features=tuple(
            msgspec.structs.replace(each, max_unseen=max(each.max_unseen, _UNSEEN)) for each in plan.features
        ),
    )
