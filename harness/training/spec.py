"""What a training set is cut by; with the log up to a place it decides every value (docs/adr/0025)."""

import math
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import msgspec

from harness.errors import RangeUnusable
from harness.training.errors import SpecUnusable
from replay.evolution import Change
from replay.labels import LabelRule
from replay.splits import Split
from replay.weights import Weights

FORMATS = ("training-set/1", "training-set/2")
FOLDS = 10_000  # each is an entry of the manifest, and a model to train

Where = dict[str, list[str | int | float | bool]]


class Born(msgspec.Struct, frozen=True, kw_only=True):
    """A feature born in shadow: the scores that a challenger gave the same decisions, under a name."""

    name: str
    model: str


class Backfill(msgspec.Struct, frozen=True, kw_only=True):
    """Features recomputed outside, by decision_id. `digest` is the canonical digest of their table."""

    features: tuple[str, ...]
    digest: str


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """What a feature may be like in the set: shares of nulls, of values outside the bounds, of new levels."""

    feature: str
    max_null: float = 1.0
    low: float | None = None
    high: float | None = None
    max_outside: float = 0.0
    levels: tuple[str, ...] = ()
    max_unseen: float = 0.0


class DriftGate(msgspec.Struct, frozen=True, kw_only=True):
    """No feature may have moved by more than `floor` from where it is in the set `against`."""

    against: str
    floor: float = 0.05


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """A range of decisions, what is learnt from which columns, and how the rows are told apart.

    `features` None means all of role feature. `where` keeps the rows with one of the values, per column.
    `changes` bring other feature sets into the columns of `feature_set`.
    """

    decision_point: str
    start: int
    stop: int
    labels: tuple[LabelRule, ...]
    features: tuple[str, ...] | None = None
    feature_set: str | None = None
    split: Split | None = None
    where: Where = {}
    changes: tuple[Change, ...] = ()
    weights: Weights | None = None
    born: tuple[Born, ...] = ()
    backfill: Backfill | None = None
    allow_backfill: bool = False
    gates: tuple[Gate, ...] = ()
    drift: DriftGate | None = None

    def __post_init__(self) -> None:
        """Refuse what no log can give."""
        if self.start < 1 or self.stop < self.start:
            raise RangeUnusable(self.start, self.stop)
        names = [rule.name for rule in self.labels]
        if not names or len(set(names)) < len(names):
            raise SpecUnusable(
                f"The labels are {', '.join(names) or 'none'}.", "Expected one or more, each once."
            )
        if len(names) > 1 and self.weights is not None and self.weights.policy == "dr":
            raise SpecUnusable(
                "dr weights with several labels.", "Expected one label: dr corrects one reward."
            )
        if self.backfill is not None and not self.allow_backfill:
            raise SpecUnusable(
                f"The features {', '.join(self.backfill.features)} were recomputed, not served.",
                "Expected served features, or allow_backfill = true, which the manifest records.",
            )


def check_declarable(spec: Spec) -> None:
    """Refuse what the log could give, and what would mean nothing: docs/adr/0105.

    Not when a specification is made: sets that were registered with it are still read.

    Raises:
        SpecUnusable: dr weights together with sampling weights, or with a label of immature decisions; a
            number that is not finite; more than FOLDS folds.
    """
    for place, number in _numbers("", msgspec.to_builtins(spec)):
        if not math.isfinite(number):
            raise SpecUnusable(
                f"The specification has {place} {number}.",
                'Expected a finite number, which the log can hold; a value of where as text, "nan" or "inf".',
            )
    if spec.split is not None and (spec.split.folds or 0) > FOLDS:
        raise SpecUnusable(f"The split has {spec.split.folds:,} folds.", f"Expected at most {FOLDS:,}.")
    if spec.weights is None or spec.weights.policy != "dr":
        return
    if spec.weights.inclusion:
        raise SpecUnusable(
            "dr weights with inclusion = true: sampling would enlarge the residual in label_dr, and not the "
            "reward model's part.",
            "Expected inclusion with ips or snips, or dr alone.",
        )
    rule = spec.labels[0]
    if rule.immature != "exclude":
        raise SpecUnusable(
            f"dr weights with immature = {rule.immature!r} of label {rule.name!r}: label_dr takes labels for "
            "known, and these are known only in part.",
            'Expected immature = "exclude" with dr, or ips or snips.',
        )


def _numbers(place: str, said: Any) -> Iterator[tuple[str, float]]:
    """Yield every float of a specification in plain form, with the keys that lead to it."""
    if isinstance(said, float):
        yield place, said
    elif isinstance(said, dict):
        for key, value in said.items():
            yield from _numbers(f"{place}.{key}" if place else key, value)
    elif isinstance(said, list | tuple):
        for value in said:
            yield from _numbers(place, value)


class Cut(msgspec.Struct, frozen=True, kw_only=True):
    """A specification of format 1, in the words in which such sets were registered."""

    decision_point: str
    start: int
    stop: int
    label: str
    window: timedelta
    features: tuple[str, ...] | None = None
    feature_set: str | None = None
    test_from: datetime | None = None
    gap: timedelta = timedelta(0)
    where: Where = {}


def document(spec: Spec) -> tuple[str, dict[str, Any]]:
    """Return the format and the plain form of a specification: format 1 wherever its words say it all."""
    cut = _as_cut(spec)
    if cut is not None:
        return FORMATS[0], msgspec.to_builtins(cut)
    return FORMATS[1], msgspec.to_builtins(spec)


def spec_of(cut: dict[str, Any]) -> Spec:
    """Return the specification of a registered `cut`, of either format."""
    if "labels" in cut:
        return msgspec.convert(cut, Spec)
    old = msgspec.convert(cut, Cut)
    split = None if old.test_from is None else Split(by="time", test_from=old.test_from, gap=old.gap)
    return Spec(
        decision_point=old.decision_point,
        start=old.start,
        stop=old.stop,
        labels=(LabelRule(name=old.label, window=old.window),),
        features=old.features,
        feature_set=old.feature_set,
        split=split,
        where=old.where,
    )


def _as_cut(spec: Spec) -> Cut | None:
    rule, split = spec.labels[0], spec.split
    plain = Spec(
        decision_point=spec.decision_point,
        start=spec.start,
        stop=spec.stop,
        labels=(LabelRule(name=rule.name, window=rule.window),),
        features=spec.features,
        feature_set=spec.feature_set,
        split=split if split is None or split.by == "time" else None,
        where=spec.where,
    )
    if plain != spec:
        return None
    return Cut(
        decision_point=spec.decision_point,
        start=spec.start,
        stop=spec.stop,
        label=rule.name,
        window=rule.window,
        features=spec.features,
        feature_set=spec.feature_set,
        test_from=None if split is None else split.test_from,
        gap=timedelta(0) if split is None else split.gap,
        where=spec.where,
    )
