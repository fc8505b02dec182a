"""A metric of the user's own: `py:module:function`, its values computed before the fold.

`policies` runs nobody's code. Whoever hands over the columns has computed the function for both models
(harness/own_metrics.py), and the registered plan holds the digest of the function's source.
"""

import re
from typing import Literal, NamedTuple

import numpy as np

from policies.columns import Columns
from policies.errors import PlanError
from policies.options import Options, declared
from policies.usable import Reasons, Values

_NAME = re.compile(r"py:[A-Za-z_][\w.]*:[A-Za-z_]\w*")
SIDES = ("champion", "challenger")


class Own(NamedTuple):
    """The user's metric of that name and direction: values from 0 to the declared `bound`."""

    name: str
    direction: Literal["lower", "higher"]
    ternary: bool = False

    def check(self, options: Options) -> None:
        """Refuse a plan without what a stranger's metric must declare.

        Raises:
            PlanError: the name is no `py:module:function`, or the bound is missing.
        """
        if not _NAME.fullmatch(self.name):
            raise PlanError("metrics.name", self.name, "py:module:function", "Correct it.")
        if options.bound is None:
            raise PlanError(
                "metrics.bound", None, "the largest value that the function can give", "Declare it."
            )

    def limit(self, options: Options) -> float:
        """Return the declared bound."""
        assert options.bound is not None  # checked when the plan was made
        return options.bound

    def lowest(self, options: Options) -> float:  # noqa: ARG002  # the protocol's signature
        """Return 0."""
        return 0.0

    def columns(self, options: Options) -> tuple[str, ...]:
        """Return the columns that hold the function's values for both models.

        Raises:
            PlanError: the plan does not say which source the function has.
        """
        if declared(options.source) is None:
            raise PlanError(
                "metrics.source",
                None,
                "the digest of the function's source",
                'Read the file with "harness experiment lint" or register it: both pin the source.',
            )
        return own_columns(self.name)

    def values(self, columns: Columns, options: Options) -> Values:
        """Return the function's values; where it gave none the decision is counted."""
        reasons = Reasons(columns.rows)
        found = [columns.numbers(name) for name in self.columns(options)]
        for side, name, values in zip(SIDES, self.columns(options), found, strict=True):
            reasons.leave(f"{side}_missing", columns.missing(name))
            reasons.leave(f"{side}_not_a_number", ~np.isfinite(values))
        live, other = (np.where(reasons.usable, values, 0.0) for values in found)
        return Values(live, other, reasons.usable, reasons.counts, floor=0.0)


def own_columns(name: str) -> tuple[str, str]:
    """Return the names of the columns with the values of a user's metric.

    >>> own_columns("py:shop:margin")
    ('champion_py:shop:margin', 'challenger_py:shop:margin')
    """
    return f"{SIDES[0]}_{name}", f"{SIDES[1]}_{name}"
