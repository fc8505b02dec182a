"""Training sets in words: the summary of one, with the funnel of what it left out."""

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import MsgspecError

from harness.cli.places import written
from harness.log.lines import escaped
from harness.replay_errors import ManifestUnreadable
from harness.training.files import MANIFEST
from harness.training.spec import spec_of
from recorders.errors import HarnessError

if TYPE_CHECKING:
    from harness.training.reuse import Reused

_BAR = 30
_WIDE = 22


def summary(body: dict[str, Any]) -> str:
    """Return what a set is, in lines: range, labels, features, splits, weights, funnel, digest."""
    spec, place, decisions = spec_of(body["cut"]), body["as_of"], body["counts"]["decisions"]
    lines = [
        f"{body['id']}: {body['rows']:,} rows of {decisions:,} decisions of {spec.decision_point}",
        f"range    [{spec.start}, {spec.stop}) as of {place['position']} ({place['time']})",
        *(f"label    {each.name}{_maturity(each.immature, each.window)}" for each in spec.labels),
        f"features {', '.join(spec.features or ())} ({body['feature_set']['label']})",
        f"splits   {', '.join(f'{rows:,} {name}' for name, rows in body['splits'].items())}",
    ]
    if spec.split is not None and spec.split.folds is not None:
        by = {"rolling": "one after the other in time", "unit_folds": "by unit"}[spec.split.by]
        lines.append(
            f'folds    {spec.split.folds} {by}: the column "fold" has the number of the one it tests'
        )
    origin = [f"{name} {source}" for name, source in body.get("provenance", {}).items() if source != "served"]
    if origin:
        lines.append(f"borrowed {', '.join(origin)}")
    if "weights" in body:
        found = body["weights"]
        lines.append(
            f"weights  worth {found['effective']:,.1f} rows of equal weight, "
            f"the largest holds {found['largest_share']:.2%}, {found['cut']:,.0f} cut"
        )
    if "gates" in body:
        lines.append(f"gates    {len(body['gates'])} hold")
    return "\n".join([*lines, *funnel(body["counts"], body["rows"]), f"digest   {body['digest']}"])


def told_by(folder: Path, manifest: dict[str, Any]) -> str:
    """Return the summary that a folder's manifest gives, which anybody may have written.

    Raises:
        ManifestUnreadable: it lacks what ours have.
    """
    try:
        parts = counted(manifest["parts"])
        lines = [escaped(line) for line in summary(manifest).splitlines()]
    except (
        KeyError,
        TypeError,
        ValueError,
        ArithmeticError,
        AttributeError,
        MsgspecError,
        HarnessError,
    ) as error:
        reason = f"what it says of its set is none of ours ({type(error).__name__}: {error})"
        raise ManifestUnreadable(folder / MANIFEST, reason) from error
    lines.append(f"folder   {folder}, {parts}")
    return "\n".join([*lines, f'Only "harness training-set verify {folder}" compares it with the log.'])


def counted(parts: list[Any]) -> str:
    """Return how many parts there are.

    >>> counted([{}]), counted([])
    ('1 part', '0 parts')
    """
    return "1 part" if len(parts) == 1 else f"{len(parts):,} parts"


def taken_over(reused: "Reused") -> str:
    """Return what a longer set took over, or why it was built anew, as a line."""
    if reused.why is not None:
        return f"reused   nothing: built anew because {reused.why}"
    return (
        f"reused   {reused.parts} of {reused.of_parts} parts, {reused.rows:,} rows were read from the log, "
        f"{reused.decisions:,} decisions were judged"
    )


def funnel(counts: dict[str, int], rows: int) -> list[str]:
    """Return one line a stage: what is left after each reason, with a bar.

    >>> print(chr(10).join(funnel({"decisions": 4, "duplicate": 0, "immature": 3}, 1)))
    funnel   decisions                           4 ██████████████████████████████
             - immature              3           1 ███████▌
             = rows                              1
    """
    left = whole = counts["decisions"]
    lines = [f"funnel   {'decisions':<{_WIDE}}{'':>3}{whole:>12,} {_bar(left, whole)}"]
    for reason, took in counts.items():
        if reason == "decisions" or not took:
            continue
        left -= took
        lines.append(f"         - {reason:<{_WIDE - 12}}{took:>13,}{left:>12,} {_bar(left, whole)}")
    lines.append(f"         {'= rows':<{_WIDE}}{'':>3}{rows:>12,}")
    return lines


def _bar(part: int, whole: int) -> str:
    halves = round(2 * _BAR * part / whole) if whole else 0
    return "█" * (halves // 2) + "▌" * (halves % 2)


def _maturity(immature: str, window: timedelta) -> str:
    treated = {"exclude": "", "censor": ", younger ones censored", "weight": ", younger ones weighted"}
    return f", counted when the decision is {written(window)} old{treated[immature]}"
