"""Quality gates: what a set's features must be like, judged while its rows pass (policies.drift)."""

from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa

from harness.replay_errors import FeatureUnknown
from harness.training.errors import SpecUnusable
from harness.training.spec import DriftGate, Gate, Spec
from policies.drift import (
    DriftRule,
    FeaturePlan,
    MonitorPlan,
    check_quality,
    compare,
    cut_feature,
    fold_window,
)
from policies.drift.plan import CATEGORIES, NUMBERS
from policies.drift.reference import Day, Reference, reference_of
from policies.drift.state import WindowState
from recorders.columns import ARROW_TYPES


class Gates:
    """The gates of a specification, folded over the rows as they pass; `findings` tells what failed."""

    def __init__(self, spec: Spec, schema: pa.Schema, against: pa.Table | None) -> None:
        unknown = [gate.feature for gate in spec.gates if gate.feature not in schema.names]
        if unknown:
            raise FeatureUnknown(unknown, schema.names)
        self._limits = _limits(spec.gates, schema)
        self._drift, self._reference = _moved(spec.drift, schema, against)
        self._windows = {id(plan): WindowState.empty(plan) for plan in self._plans()}

    def through(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield the batches, each when it is counted."""
        for batch in batches:
            for plan in self._plans():
                self._windows[id(plan)] = self._windows[id(plan)].merge(fold_window(batch, plan))
            yield batch

    def findings(self) -> tuple[list[dict[str, Any]], list[str]]:
        """Return every gate with its figure for the manifest, and a sentence for each that failed.

        A limit is one of the set, which is all there is: it is passed by the first row too many, not only by
        what chance could not explain.
        """
        found: list[dict[str, Any]] = []
        if self._limits is not None:
            for each in check_quality(self._windows[id(self._limits)], self._limits):
                if each.rule == "stale" or each.value is None or each.limit is None:
                    continue
                holds = each.value <= each.limit
                found.append(
                    {
                        "gate": each.rule,
                        "feature": each.feature,
                        "value": each.value,
                        "limit": each.limit,
                        "holds": holds,
                    }
                )
        failed = [
            f"{each['feature']}: {each['gate']} is {each['value']:.3g}, allowed is {each['limit']:.3g}."
            for each in found
            if not each["holds"]
        ]
        if self._drift is not None and self._reference is not None:
            drift = compare(self._windows[id(self._drift)], self._reference, self._drift)
            for moved in drift.features:
                effect = max((each.effect for each in moved.moved), default=0.0)
                holds = moved.answer != "drift"
                found.append({"gate": "drift", "feature": moved.feature, "value": effect, "holds": holds})
                failed += [] if holds else [moved.reason]
        return found, failed

    def _plans(self) -> list[MonitorPlan]:
        return [plan for plan in (self._limits, self._drift) if plan is not None]


def _limits(gates: tuple[Gate, ...], schema: pa.Schema) -> MonitorPlan | None:
    """Return what is counted for the gates, None without any."""
    if not gates:
        return None
    for gate in gates:
        _check_type(gate, _type_of(schema, gate.feature))
    features = tuple(
        FeaturePlan(
            name=gate.feature,
            type=_type_of(schema, gate.feature),
            column=gate.feature,
            low=gate.low,
            high=gate.high,
            levels=tuple(sorted(gate.levels)),
            max_missing=gate.max_null,
            max_outside=gate.max_outside,
            max_unseen=gate.max_unseen,
        )
        for gate in gates
    )
    return MonitorPlan(features=features)


def _check_type(gate: Gate, kind: str) -> None:
    """Refuse a limit that a feature of this type can never pass: it would hold whatever came.

    Raises:
        SpecUnusable: bounds of a feature that is no number, or levels of one that has none.
    """
    bounds = {"low": gate.low, "high": gate.high, "max_outside": gate.max_outside or None}
    levels = {"levels": gate.levels or None, "max_unseen": gate.max_unseen or None}
    for limits, kinds in ((bounds, NUMBERS), (levels, CATEGORIES)):
        said = [name for name, limit in limits.items() if limit is not None]
        if said and kind not in kinds:
            raise SpecUnusable(
                f"The gate of {gate.feature!r} has {', '.join(said)}, and {gate.feature!r} is {kind}.",
                "Expected low, high and max_outside for numbers, levels and max_unseen for categories.",
            )
        if len(said) == 1 and said[0] in {"max_outside", "max_unseen"}:
            raise SpecUnusable(
                f"The gate of {gate.feature!r} has {said[0]} alone.",
                "Expected low or high with max_outside, and levels with max_unseen.",
            )


def _moved(
    gate: DriftGate | None, schema: pa.Schema, against: pa.Table | None
) -> tuple[MonitorPlan | None, Reference | None]:
    """Return the plan that is cut from the other set's rows, and those rows as its reference."""
    if gate is None or against is None:
        return None, None
    own = {"decision_id", "position", "occurred_at", "split"}
    names = [
        name
        for name in schema.names
        if name not in own
        and name in against.schema.names
        and _type_of(schema, name) in (*NUMBERS, *CATEGORIES)
    ]
    plan = MonitorPlan(
        features=tuple(cut_feature(n, _type_of(schema, n), against.column(n), column=n) for n in names),
        rule=DriftRule(floor=gate.floor, season="none"),
    )
    return plan, reference_of([Day(0, fold_window(against, plan))], plan)


def _type_of(schema: pa.Schema, name: str) -> str:
    kind = schema.field(name).type
    return next(word for word, arrow in ARROW_TYPES.items() if arrow == kind)
