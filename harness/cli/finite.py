"""A number of an option that is one: `nan` passes every comparison with a bound, and then bounds nothing."""

import math
from typing import Any

import click


class Finite(click.FloatRange):
    """`click.FloatRange` without nan and infinities; all bounds are optional."""

    def _describe_range(self) -> str:
        """Return the bounds for --help, nothing where there is none: click writes `x<=None`."""
        return "" if self.min is None and self.max is None else super()._describe_range()

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number, or end the command as a wrong option does (exit code 2)."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{number} is no finite number.", param, ctx)
        return number
