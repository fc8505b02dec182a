"""Metrics of serving: answers later than an objective, errors and timeouts, as 0 and 1 per decision."""

from collections.abc import Callable
from typing import Literal

import msgspec
import numpy as np
import pyarrow.compute as pc

from policies.checks import positive
from policies.columns import Columns, Mask, known_true, null_mask
from policies.errors import PlanError
from policies.options import Options, declared
from policies.usable import Reasons, Values

LATENCIES = ("champion_latency_us", "challenger_latency_us")
ERRORS = ("challenger_error",)
LATENCY = "latency_over"
TIMED_OUT = "time-?out|timed out"


class Happening(msgspec.Struct, frozen=True):
    """What happens to a decision while it is served: 1 where it does; needs no label and no score."""

    happens: Callable[[Columns, Options, Reasons], tuple[Mask, Mask]]
    reads: tuple[str, ...]
    needs: tuple[str, ...] = ()
    direction: Literal["lower", "higher"] = "lower"
    ternary: bool = True

    def check(self, options: Options) -> None:
        """Refuse a plan that leaves out what this metric needs.

        Raises:
            PlanError: the objective is missing or not above 0.
        """
        for key in self.needs:
            value = declared(getattr(options, key))
            if value is None:
                raise PlanError(
                    f"metrics.{key}", None, "a declared number: this metric needs one", "Declare it."
                )
            positive("metrics", **{key: value})

    def limit(self, options: Options) -> float:  # noqa: ARG002  # the protocol's signature
        """Return 1: it happens or it does not."""
        return 1.0

    def lowest(self, options: Options) -> float:  # noqa: ARG002  # the protocol's signature
        """Return 0."""
        return 0.0

    def columns(self, options: Options) -> tuple[str, ...]:  # noqa: ARG002  # the protocol's signature
        """Return the columns that this metric reads beside scores, decisions and label."""
        return self.reads

    def values(self, columns: Columns, options: Options) -> Values:
        """Return 0 and 1 per decision; decisions where it cannot be told are counted."""
        reasons = Reasons(columns.rows)
        live, other = self.happens(columns, options, reasons)
        return Values(live.astype(np.float64), other.astype(np.float64), reasons.usable, reasons.counts)


def _late(columns: Columns, options: Options, reasons: Reasons) -> tuple[Mask, Mask]:
    objective = declared(options.slo_us)
    assert objective is not None  # `needs` was checked when the plan was made
    late = []
    for name in LATENCIES:
        took = columns.numbers(name)
        reasons.leave(name.replace("_us", "_missing"), np.isnan(took))
        reasons.leave(name.replace("_us", "_outside"), took < 0.0)
        late.append(took > objective)
    return late[0], late[1]


def _failed(columns: Columns, options: Options, reasons: Reasons) -> tuple[Mask, Mask]:
    del options, reasons
    return np.zeros(columns.rows, dtype=np.bool_), ~null_mask(columns.text(ERRORS[0]))


def _timed_out(columns: Columns, options: Options, reasons: Reasons) -> tuple[Mask, Mask]:
    del options, reasons
    text = columns.text(ERRORS[0])
    late = ~null_mask(text)
    late[late] = known_true(pc.match_substring_regex(text.drop_null(), TIMED_OUT, ignore_case=True))
    return np.zeros(columns.rows, dtype=np.bool_), late


SERVING: dict[str, Happening] = {
    LATENCY: Happening(_late, LATENCIES, needs=("slo_us",)),
    "error_rate": Happening(_failed, ERRORS),
    "timeout_rate": Happening(_timed_out, ERRORS),
}
