"""Refusals of a plan, in one place, so that each names its key, its value and its remedy."""

from typing import NoReturn

from policies.errors import PlanError


def refuse(key: str, value: object, expected: str, remedy: str) -> NoReturn:
    """Raise `PlanError` for this key."""
    raise PlanError(key, value, expected, remedy)


def positive(path: str, **values: float | None) -> None:
    """Refuse declared values that are not finite and above 0; None is not declared."""
    for key, value in values.items():
        if value is not None and not (0.0 < value < float("inf")):
            refuse(f"{path}.{key}", value, "a finite number above 0", "Correct it.")


def between(key: str, value: float, low: float, high: float) -> None:
    """Refuse a value that is not strictly between `low` and `high`; NaN is refused too."""
    if not low < value < high:
        refuse(key, value, f"above {low!r} and below {high!r}", "Correct it.")
