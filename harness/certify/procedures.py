"""Procedures beside the verdict, certified one by one: how often each is wrong, and a naive one beside it.

A certificate counts verdicts. What a verdict and its report are made of is counted here: the search in
slices, the sequences, the tests of counts, and the planned tests, which hold at their planned looks alone.
"""

import math
from typing import Literal, NamedTuple

import msgspec

_SIGMAS = 3.0


class Measured(NamedTuple):
    """What runs gave: how often the procedure was wrong, and how often the naive one beside it."""

    wrong: float
    naive: float | None


class Procedure(msgspec.Struct, frozen=True, kw_only=True):
    """One procedure under one truth.

    `wrong` is the share of `runs` in which it was wrong at some look, to hold `limit` within three standard
    errors; `naive` that of what is named in `naive_is`, over the same runs. `planned`: it holds at the
    planned looks alone.
    """

    name: str
    wrong_is: str
    runs: int
    looks: int
    wrong: float
    limit: float
    tolerance: float
    holds: bool
    naive_is: str
    naive: float | None
    validity: Literal["exact", "asymptotic"]
    planned: bool = False


class Asked(NamedTuple):
    """What is asked of a procedure: what would be wrong, how often it may be, and what stands beside it."""

    name: str
    wrong_is: str
    limit: float
    naive_is: str
    validity: Literal["exact", "asymptotic"] = "exact"
    planned: bool = False


def judged(asked: Asked, found: Measured, *, runs: int, looks: int) -> Procedure:
    """Return what was found with whether it holds its limit."""
    spread = _SIGMAS * math.sqrt(asked.limit * (1.0 - asked.limit) / runs)
    return Procedure(
        **asked._asdict(),
        runs=runs,
        looks=looks,
        wrong=found.wrong,
        tolerance=round(spread, 6),
        holds=found.wrong <= asked.limit + spread,
        naive=found.naive,
    )


def procedures_text(found: tuple[Procedure, ...]) -> str:
    """Return the table of procedures for a terminal."""
    lines = [
        "procedures: what a verdict and its report are made of, each at the truth where it is easiest wrong",
        "",
        f"  {'procedure':<44}{'wrong is':<46}{'runs':>6}{'looks':>7}{'wrong':>8}{'limit':>7}{'naive':>8}",
    ]
    for each in found:
        naive = "" if each.naive is None else f"{each.naive:.3f}"
        planned = ", planned" if each.planned else ""
        lines.append(
            f"  {each.name + planned:<44}{each.wrong_is:<46}{each.runs:>6,}{each.looks:>7}{each.wrong:>8.3f}"
            f"{each.limit:>7.3g}{naive:>8} {'✓' if each.holds else '✗'}  {each.naive_is}"
        )
    most = max(each.tolerance for each in found)
    good = all(each.holds for each in found)
    said = f"Every procedure holds its limit, within three standard errors (up to {most:.3f})."
    return "\n".join([*lines, "", f"  {said if good else 'A procedure exceeds its limit.'}"])
