"""`harness replay diff` and `known-difference`: where two models differ on the same decisions."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.experiment import opened
from harness.cli.finite import Finite
from harness.cli.output import emit, folder_option, json_option
from harness.cli.places import range_of, range_options

if TYPE_CHECKING:
    from harness.differences import Comparison

SHOWN = 10
DIFFERENT = 10
FORMS = (".parquet", ".csv")
_P_LEAST = 1e-300


@click.command()
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@range_options
@click.option(
    "--tolerance",
    default="exact",
    show_default=True,
    help="How far scores may be apart: exact (no bit), decision (only decisions count), absolute:X, "
    "relative:X (of the larger), ulp:N (doubles), rank:X (places in the order, as a share of the rows).",
)
@click.option("--threshold", type=Finite(), default=None, help="Decide by score: at least this, or less.")
@click.option("--cost", default=None, metavar="FEATURE", help="A numeric feature that weighs differences.")
@click.option("--keep", type=click.IntRange(1, 100_000), default=20, show_default=True, help="Rows to keep.")
@click.option(
    "--alpha",
    type=Finite(0, 1, min_open=True, max_open=True),
    default=0.05,
    show_default=True,
    help="Chance to name any slice wrongly, over all that are searched.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help="Write the kept rows there: .parquet or .csv.",
)
@folder_option
@json_option
def diff(
    *,
    a: str,
    b: str,
    decision_point: str,
    start: str,
    stop: str | None,
    output: Path | None,
    folder: Path | None,
    json: bool,
    **how: Any,
) -> int:
    """Compare the answers of models A and B (NAME:VERSION, or "recorded") to the same decisions.

    Shows how many differ beyond the tolerance, the flips of decisions, the slices that hold too many
    differences (Holm over all that were searched), the rows that weigh most, and what would flip them back.
    Exit code 0 when nothing differs, 10 when something does or no decision has an answer of both.
    """
    from harness.differences import Question, compare_models
    from replay.tolerance import Tolerance

    how["tolerance"] = Tolerance.parse(how["tolerance"])
    if output is not None:
        _check_form(output)
    with opened(folder) as log:
        first, after = range_of(log, decision_point, start, stop)
        found = compare_models(log, Question(a, b, decision_point, first, after, **how), folder=folder)
    if output is not None:
        _write(found, output)
    emit(found.as_dict(), json=json, text=_text(found, output))
    states = found.account.by_state
    return DIFFERENT if states["differs"] or states["lacking"] == found.account.rows else 0


@click.group("known-difference")
def known_difference() -> None:
    """Say beforehand what two models may differ in."""


@known_difference.command()
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@click.option("--decision-point", "-d", required=True, help="Where the decisions were made.")
@click.option("--where", multiple=True, metavar="FEATURE=VALUE", help="All of them must hold.")
@click.option("--reason", required=True, help="Why the difference is right.")
@click.option("--until", required=True, metavar="TIME", help="When it is known no more.")
@click.option("--by", "actor", default=None, help="Who says so.")
@folder_option
@json_option
def add(
    *, a: str, b: str, decision_point: str, where: Sequence[str], folder: Path | None, json: bool, **said: Any
) -> None:
    """Keep a known difference of models A and B in the log; comparisons count it apart until it ends."""
    from harness.cli.named_values import named_values
    from harness.known_differences import register_known

    features = named_values("--where", where, "FEATURE=VALUE", "country=DE")
    with opened(folder) as log:
        event = register_known(log, decision_point=decision_point, models=(a, b), where=features, **said)
    emit(event, json=json, text=f"Known from position {event.position} until {event.body['until']}.")


def _check_form(path: Path) -> None:
    """Refuse a file of another form before anything is compared."""
    from harness.errors import UsageError

    if path.suffix not in FORMS:
        raise UsageError(f"{path} is neither Parquet nor CSV.", "Expected .parquet or .csv.", "Rename it.")


def _write(found: "Comparison", path: Path) -> None:
    from pyarrow import csv, parquet

    from harness.written import written

    writers = dict(zip(FORMS, (parquet.write_table, csv.write_csv), strict=True))
    with written(path), path.open("wb") as file:  # by its name, Arrow would remove what it cannot write
        writers[path.suffix](found.worst, file)


def _text(found: "Comparison", output: Path | None) -> str:
    account, question = found.account, found.question
    states = account.by_state
    lines = [
        f"{question.a} and {question.b}, tolerance {question.tolerance}",
        f"{account.rows:,} decisions of {question.decision_point}, [{question.start}, {question.stop})",
        f"equal      {states['equal']:,}",
        f"within     {states['within']:,} differ by no more than the tolerance",
        f"differ     {states['differs']:,}, by {account.largest:.3g} at most",
        *_noise(found),
        f"known      {states['known']:,} by {len(found.known)} known differences",
        *_ended(found),
        f"lacking    {states['lacking']:,} have no answer of one of them",
    ]
    lines += [f"           {count:,} x {reason}" for reason, count in sorted(account.lacking.items())]
    if any("not scored" in reason for reason in account.lacking):
        lines.append('           "harness replay run" scores them.')
    if any("no decision" in reason for reason in account.lacking):
        lines.append('           "--threshold" makes decisions of scores.')
    flips = [(a, b, n) for (a, b), n in sorted(account.flips.items()) if a != b]
    lines += [f"flips      {n:,} from {a} to {b}" for a, b, n in flips]
    lines.append(
        f"slices     {len(found.slices)} of {found.searched} hold more differences than chance explains"
    )
    lines += [
        f"           {each.slice}: {each.differing:,} of {each.rows:,} ({each.share:.1%}), p {_p(each.p)}"
        for each in found.slices[:SHOWN]
    ]
    lines += [_row(row, found) for row in found.worst.slice(0, SHOWN).to_pylist()]
    if found.unsearched is not None:
        lines.append(f"what flips them back was not searched: {found.unsearched}")
    if output is not None:
        lines.append(f"Wrote {found.worst.num_rows:,} rows to {output}.")
    return "\n".join(lines)


def _ended(found: "Comparison") -> list[str]:
    """Return that some are known no more: their rows are counted as differing again."""
    if not found.ended:
        return []
    last = max(each.until for each in found.ended)
    return [
        f"           {len(found.ended)} more ended, the last on {last.isoformat()}: they count as differing"
    ]


def _p(p: float) -> str:
    """Return a p-value; one that no double holds is not 0."""
    return f"{p:.2g}" if p >= _P_LEAST else f"< {_P_LEAST:g}"


def _noise(found: "Comparison") -> list[str]:
    """Return what the champions differ in from themselves: no difference of that size says anything."""
    noise = found.noise
    if noise is None:
        return ["noise      not known: no champion of these decisions has scored them again"]
    anew = f"{noise['differing_decisions']:,} of {noise['rows']:,} decided anew"
    moved = f"scores moved by {noise['max_abs_difference']:.3g} at most"
    return [
        f"noise      {', '.join(noise['models'])} scored again: {anew}, {moved}",
        f"           {found.below_noise:,} of the differences are no larger than that",
    ]


def _row(row: dict[str, Any], found: "Comparison") -> str:
    text = (
        f"  {row['decision_id']} at {row['position']}: {_answer(row, 'a')} and {_answer(row, 'b')}, "
        f"weight {row['weight']:.3g}"
    )
    if row["position"] not in found.changes:
        return text
    change = found.changes[row["position"]]
    if change is None:
        return f"{text}; no change of one feature flips it back"
    return f"{text}; {change['feature']} {change['from']} -> {change['to']} flips it back"


def _answer(row: dict[str, Any], side: str) -> str:
    score, decision = row[f"{side}_score"], row[f"{side}_decision"]
    return f"{score:.6g}" + (f" {decision}" if decision is not None else "")
