"""`harness training-set`: cut, list, show, verify and export training sets."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from harness.cli.log import opened
from harness.cli.output import emit, folder_option, json_option
from harness.cli.places import duration, names, range_of, range_options
from harness.errors import UsageError

_OUT = click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="The set's own folder.")
_PART = click.option("--rows-per-part", type=click.IntRange(min=1), default=250_000, show_default=True)


@click.group()
def training_set() -> None:
    """Cut training sets from the log."""


@training_set.command()
@range_options
@click.option(
    "--as-of", metavar="PLACE", help="Nothing after this position or time exists. Default: the end."
)
@click.option("--label", required=True, help="The outcome to learn.")
@click.option("--window", required=True, help="A decision counts when it is this old, such as 24h or 45d.")
@click.option("--features", help="Comma-separated. Default: all of role feature.")
@click.option("--feature-set", help="name:version, when the range holds several.")
@click.option(
    "--where", multiple=True, metavar="COLUMN=VALUE[,VALUE]", help="Keep rows by the values of a column."
)
@click.option("--test-from", metavar="TIME", help="Rows from here on are the test.")
@click.option("--gap", default="0s", help="Leave out rows less than this before the test.")
@_OUT
@_PART
@folder_option
@json_option
def create(
    *, start: str, stop: str | None, out: Path | None, folder: Path | None, json: bool, **given: Any
) -> None:
    """Cut the matured, labelled decisions of a range as Parquet parts and a manifest, and register them."""
    from harness.training_sets import create_training_set

    home = folder or Path.cwd()
    with opened(folder) as log:
        first, after = range_of(log, given["decision_point"], start, stop)
        place = log.as_of(given["as_of"])
        made = create_training_set(
            log,
            decision_point=given["decision_point"],
            start=first,
            stop=min(after, place.position + 1) if stop is None else after,
            as_of=place.position,
            label=given["label"],
            window=duration(given["window"]),
            features=names(given["features"]),
            feature_set=given["feature_set"],
            split=_instant(given["test_from"]),
            gap=duration(given["gap"]),
            where=_where(given["where"]),
            out_dir=out,
            rows_per_part=given["rows_per_part"],
            home=home,
        )
    emit(
        {"folder": made.folder, **made.manifest},
        json=json,
        text=f"{_summary(made.manifest)}\nfolder   {made.folder}",
    )


@training_set.command("list")
@folder_option
@json_option
def list_command(folder: Path | None, json: bool) -> None:
    """List the registered training sets."""
    from harness.training_sets import list_training_sets

    with opened(folder) as log:
        events = list_training_sets(log)
    lines = [f"{'id':<18}{'decision point':<22}{'rows':>10}  {'range':<20}{'as of':>10}"]
    for event in events:
        cut = event.body["cut"]
        span = f"[{cut['start']}, {cut['stop']})"
        place = event.body["as_of"]["position"]
        lines.append(
            f"{event.subject:<18}{cut['decision_point']:<22}{event.body['rows']:>10,}  {span:<20}{place:>10}"
        )
    text = "\n".join(lines) if events else 'None yet. Cut one with "harness training-set create".'
    emit([event.body for event in events], json=json, text=text)


@training_set.command()
@click.argument("name", metavar="ID")
@folder_option
@json_option
def show(name: str, folder: Path | None, json: bool) -> None:
    """Show what a training set holds, and what it left out."""
    from harness.training_sets import get_training_set

    with opened(folder) as log:
        event = get_training_set(log, name)
    emit(event.body, json=json, text=_summary(event.body))


@training_set.command()
@click.argument("target", metavar="ID|FOLDER")
@folder_option
@json_option
def verify(target: str, folder: Path | None, json: bool) -> None:
    """Rebuild a training set from the log and compare; exit code 40 when they differ."""
    from harness.training_sets import TrainingSet, verify_training_set

    with opened(folder) as log:
        on_disk = Path(target) if (Path(target) / "manifest.json").exists() else None
        result = (
            verify_training_set(log, target) if on_disk is None else TrainingSet.open(on_disk).verify(log)
        )
    what = "the log gives" if on_disk is None else "log and files give"
    text = f"{result['id']} holds: {what} {result['rows']:,} rows, digest {result['digest']}"
    emit(result, json=json, text=text)


@training_set.command()
@click.argument("name", metavar="ID")
@_OUT
@_PART
@folder_option
@json_option
def export(name: str, out: Path | None, rows_per_part: int, folder: Path | None, json: bool) -> None:
    """Write a registered training set anew from the log, checked against its digest."""
    from harness.training_sets import export_training_set

    with opened(folder) as log:
        made = export_training_set(log, name, out or Path(name), rows_per_part=rows_per_part)
    text = (
        f"{made.id}: {made.manifest['rows']:,} rows in {len(made.manifest['parts'])} parts in {made.folder}"
    )
    emit({"folder": made.folder, **made.manifest}, json=json, text=text)


def _instant(text: str | None) -> Any:
    from harness.log.places import parse

    found = parse(text)
    if isinstance(found, int):
        raise UsageError(
            f"--test-from is {text}.", "Expected a time with offset.", "Write 2013-04-01T00:00:00Z."
        )
    return found


def _where(given: tuple[str, ...]) -> dict[str, list[str]]:
    chosen: dict[str, list[str]] = {}
    for text in given:
        column, equals, values = text.partition("=")
        if not equals or not column:
            raise UsageError(
                f"--where {text!r} is no selection.", "Expected COLUMN=VALUE.", "Write origin=JFK,LGA."
            )
        chosen.setdefault(column, []).extend(values.split(","))
    return chosen


def _summary(body: dict[str, Any]) -> str:
    cut, counts = body["cut"], body["counts"]
    left = ", ".join(
        f"{rows:,} {reason}" for reason, rows in counts.items() if rows and reason != "decisions"
    )
    window, point, place = _readable(cut["window"]), cut["decision_point"], body["as_of"]
    return "\n".join(
        [
            f"{body['id']}: {body['rows']:,} rows of {counts['decisions']:,} decisions of {point}",
            f"range    [{cut['start']}, {cut['stop']}) as of {place['position']} ({place['time']})",
            f"label    {cut['label']}, counted when the decision is {window} old",
            f"left out {left or 'nothing'}",
            f"features {', '.join(cut['features'])} ({body['feature_set']['label']})",
            f"splits   {', '.join(f'{rows:,} {name}' for name, rows in body['splits'].items())}",
            f"digest   {body['digest']}",
        ]
    )


def _readable(window: str) -> str:
    import msgspec

    return str(msgspec.convert(window, timedelta))
