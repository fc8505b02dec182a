"""The state of watched features over any window: integers alone, that add up and can be taken away again.

Laws (tests/laws/test_drift_state.py): `empty` is the identity of `merge`; `merge` is commutative and
associative; one pass equals any split in any order, to the byte; `subtract` undoes `merge`; JSON round trips.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np

from policies.columns import Ints
from policies.drift.bits import BINS
from policies.drift.edges import Edges
from policies.drift.plan import CATEGORIES, NUMBERS, FeaturePlan, MonitorPlan
from policies.errors import EvidenceMismatch
from recorders.canonical import canonical_json

FORMAT = 1
STATUSES = ("missing", "default", "stale", "erased", "other")
COUNTERS = (
    *("rows", "null", "nan", "positive_infinity", "negative_infinity", "mistyped", "below", "above"),
    *(f"status_{status}" for status in STATUSES),
)
OTHERS = 64  # values that are no known level share this many bins, by a fixed function of their name
_ARRAYS = ("counters", "bits", "edges", "levels")
_GAP = 4  # a run of that many zeros is dearer than the start of a new run
_MOST = 2**53  # counts stay exact as doubles, which is what distances are computed in


class FeatureState:
    """What is known of one feature over a window, without a row.

    `counters` by COUNTERS. For numbers: `bits` per bin of the float-bit histogram, `edges` per frozen
    bin, and `total`, the exact sum of the finite values in units of 2**-1074. For categories: `levels`,
    per known level and then per bin of all other values. `shape` names the bins; two shapes never mix.
    """

    __slots__ = ("bits", "counters", "edges", "levels", "shape", "total")

    def __init__(self, shape: str, counters: Ints, arrays: tuple[Ints, Ints, Ints], total: int) -> None:
        assert counters.shape == (len(COUNTERS),)
        self.shape, self.counters, self.total = shape, counters, total
        self.bits, self.edges, self.levels = arrays

    @classmethod
    def empty(cls, plan: FeaturePlan) -> "FeatureState":
        """Return the state of no rows."""
        sizes = sizes_of(plan)
        none = (_zeros(sizes[0]), _zeros(sizes[1]), _zeros(sizes[2]))
        return cls(plan.shape, _zeros(len(COUNTERS)), none, 0)

    def count(self, name: str) -> int:
        """Return one counter by its name.

        >>> FeatureState.empty(FeaturePlan(name="age", type="int64")).count("null")
        0
        """
        return int(self.counters[COUNTERS.index(name)])

    @property
    def rows(self) -> int:
        """Return how many rows there were, with a value or without."""
        return self.count("rows")

    @property
    def present(self) -> int:
        """Return how many rows had a finite number or a level: those that the bins hold."""
        return self.rows - sum(self.absences().values())

    def absences(self) -> dict[str, int]:
        """Return how many rows had no usable value, by what they had instead."""
        names = ("null", "nan", "positive_infinity", "negative_infinity", "mistyped")
        return {name: self.count(name) for name in names}

    def merge(self, other: "FeatureState") -> "FeatureState":
        """Return the state of both windows together.

        Raises:
            EvidenceMismatch: the other state was counted in other bins.
        """
        return self._combined(other, 1)

    def subtract(self, other: "FeatureState") -> "FeatureState":
        """Return the state without the rows of `other`, which must be among them.

        Raises:
            EvidenceMismatch: the other state was counted in other bins, or holds rows that this does not.
        """
        found = self._combined(other, -1)
        for name in _ARRAYS:
            least = int(getattr(found, name).min(initial=0))
            if least < 0:
                raise EvidenceMismatch(
                    f"counts ({name}) to take away", -least, "counts that were added before"
                )
        return found

    def _combined(self, other: "FeatureState", sign: int) -> "FeatureState":
        if self.shape != other.shape:
            raise EvidenceMismatch("the bins", other.shape, self.shape)
        counters, *arrays = (getattr(self, name) + sign * getattr(other, name) for name in _ARRAYS)
        assert int(counters[0]) < _MOST, "more rows than doubles can count"
        return FeatureState(
            self.shape, counters, (arrays[0], arrays[1], arrays[2]), self.total + sign * other.total
        )

    def to_builtins(self) -> dict[str, Any]:
        """Return plain values for JSON.

        Counts are runs [first bin, count, count, ...]; the total is [odd integer, power of two].
        """
        counters = {name: int(n) for name, n in zip(COUNTERS, self.counters.tolist(), strict=True) if n}
        twos = (self.total & -self.total).bit_length() - 1 if self.total else 0
        runs = {name: _runs(getattr(self, name)) for name in _ARRAYS[1:]}
        return {"shape": self.shape, "counters": counters, "total": [self.total >> twos, twos], **runs}

    @classmethod
    def from_builtins(cls, data: Mapping[str, Any], plan: FeaturePlan) -> "FeatureState":
        """Return the state that `to_builtins` wrote, for the bins of `plan`.

        Raises:
            EvidenceMismatch: it was counted in other bins.
        """
        if data["shape"] != plan.shape:
            raise EvidenceMismatch(f'the bins of feature "{plan.name}"', data["shape"], plan.shape)
        counters = np.array([data["counters"].get(name, 0) for name in COUNTERS], dtype=np.int64)
        bits, edges, levels = (
            _from_runs(data[name], size) for name, size in zip(_ARRAYS[1:], sizes_of(plan), strict=True)
        )
        odd, twos = data["total"]
        return cls(plan.shape, counters, (bits, edges, levels), odd << twos)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FeatureState) and self.to_builtins() == other.to_builtins()

    def __hash__(self) -> int:
        return hash((self.shape, self.counters.tobytes(), self.total))


class WindowState(msgspec.Struct, frozen=True):
    """The states of a monitor's features over one window, such as an hour or a day."""

    plan: str
    features: dict[str, FeatureState]

    @classmethod
    def empty(cls, plan: MonitorPlan) -> "WindowState":
        """Return the window of no rows, the identity of `merge`."""
        return cls(plan.digest, {feature.name: FeatureState.empty(feature) for feature in plan.features})

    def merge(self, *others: "WindowState") -> "WindowState":
        """Return all windows together.

        Raises:
            EvidenceMismatch: one of them was counted under another plan.
        """
        found = dict(self.features)
        for other in others:
            self._same_plan(other)
            found = {name: state.merge(other.features[name]) for name, state in found.items()}
        return WindowState(self.plan, found)

    def subtract(self, other: "WindowState") -> "WindowState":
        """Return the window without the rows of `other`, which must be among them.

        Raises:
            EvidenceMismatch: counted under another plan, or it holds rows that this window does not.
        """
        self._same_plan(other)
        parts = {name: state.subtract(other.features[name]) for name, state in self.features.items()}
        return WindowState(self.plan, parts)

    def to_json(self) -> bytes:
        """Return the canonical JSON that is kept, some kilobytes a feature."""
        features = {name: state.to_builtins() for name, state in self.features.items()}
        return canonical_json({"format": FORMAT, "plan": self.plan, "features": features})

    @classmethod
    def from_json(cls, data: bytes | str, plan: MonitorPlan) -> "WindowState":
        """Return the window that `to_json` wrote.

        Raises:
            EvidenceMismatch: it was written in another format, or under another plan.
        """
        raw = msgspec.json.decode(data)
        for key, wanted in (("format", FORMAT), ("plan", plan.digest)):
            if raw.get(key) != wanted:
                raise EvidenceMismatch(f"the {key}", raw.get(key), wanted)
        states = {
            each.name: FeatureState.from_builtins(raw["features"][each.name], each) for each in plan.features
        }
        return cls(plan.digest, states)

    def _same_plan(self, other: "WindowState") -> None:
        if self.plan != other.plan:
            raise EvidenceMismatch("the plan", other.plan, self.plan)


def sizes_of(plan: FeaturePlan) -> tuple[int, int, int]:
    """Return the lengths of `bits`, `edges` and `levels` for this feature."""
    number, edges = plan.type in NUMBERS, plan.edges
    return (
        BINS if number else 0,
        edges.bins if isinstance(edges, Edges) else 0,
        len(plan.levels) + OTHERS if plan.type in CATEGORIES else 0,
    )


def _zeros(size: int) -> Ints:
    return np.zeros(size, dtype=np.int64)


def _runs(counts: Ints) -> list[list[int]]:
    """Return the counts without their long stretches of zeros."""
    held = np.flatnonzero(counts)
    if not held.size:
        return []
    breaks = np.flatnonzero(np.diff(held) > _GAP) + 1
    firsts, lasts = held[np.r_[0, breaks]], held[np.r_[breaks - 1, held.size - 1]]
    return [
        [first, *counts[first : last + 1].tolist()]
        for first, last in zip(firsts.tolist(), lasts.tolist(), strict=True)
    ]


def _from_runs(runs: list[list[int]], size: int) -> Ints:
    counts = _zeros(size)
    for first, *run in runs:
        counts[first : first + len(run)] = run
    return counts
