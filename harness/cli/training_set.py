"""`harness training-set`: cut, list, show, verify and export training sets; more in training_set_life."""

from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from harness.cli.log import opened
from harness.cli.output import emit, folder_option, json_option
from harness.cli.places import duration, names, optional_range, range_of
from harness.cli.training_set_life import check_proof, diff, extend, prove
from harness.cli.training_set_text import counted, summary, told_by
from harness.errors import UsageError

_OUT = click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="The set's own folder.")
_PART = click.option(
    "--rows-per-part",
    type=click.IntRange(min=1),
    default=2**18,
    show_default=True,
    help="Rows of each file but the last.",
)

# What no specification says, and options that go by another name than their value does.
_BESIDE = frozenset({"rows_per_part", "memory", "spark"})
_UNSAID = ParameterSource.DEFAULT
_FLAGS = {"start": "from", "stop": "to"}


@click.group()
def training_set() -> None:
    """Cut training sets from the log."""


for _command in (extend, diff, prove, check_proof):
    training_set.add_command(_command)


@training_set.command()
@click.option(
    "--spec", type=click.Path(dir_okay=False, path_type=Path), help="A TOML file that says it all instead."
)
@optional_range
@click.option(
    "--as-of", metavar="PLACE", help="Nothing after this position or time exists. Default: the end."
)
@click.option("--label", help="The outcome to learn.")
@click.option("--window", help="A decision counts when it is this old, such as 24h or 45d.")
@click.option("--features", help="Comma-separated. Default: all of role feature.")
@click.option("--feature-set", help="name:version, when the range holds several.")
@click.option(
    "--where", multiple=True, metavar="COLUMN=VALUE[,VALUE]", help="Keep rows by the values of a column."
)
@click.option("--test-from", metavar="TIME", help="Rows from here on are the test.")
@click.option("--gap", default="0s", help="Leave out rows less than this before the test.")
@click.option(
    "--spark",
    metavar="MASTER",
    help="Build it there: local[2,4], spark://host:7077, or a Spark Connect server sc://host:15002.",
)
@click.option("--memory", type=click.IntRange(min=1), default=1024, help="MiB for the ids of the range.")
@_OUT
@_PART
@folder_option
@json_option
def create(*, spec: Path | None, out: Path | None, folder: Path | None, json: bool, **given: Any) -> None:
    """Cut the matured, labelled decisions of a range as Parquet parts and a manifest, and register them."""
    from harness.cli.progress import progress
    from harness.training.rows import Limits
    from harness.training.sets import Place
    from harness.training.spec_file import read_spec

    limits = Limits(keys_bytes=given["memory"] * 2**20)
    place = Place(out, folder or Path.cwd(), given["rows_per_part"], limits)
    with opened(folder) as log:
        if spec is not None:
            _alone(given)
            wanted, at, backfill = read_spec(spec, log)
        else:
            wanted, at, backfill = *_plain(log, given), None
        quiet = json or given["spark"] is not None
        with progress(2 * max(wanted.stop - wanted.start, 0), "cutting", quiet=quiet) as done:
            more = {"as_of": at.position, "place": place, "backfill": backfill}
            made = _built(log, wanted, given["spark"], progress=done, **more)
    emit(
        {"folder": made.folder, **made.manifest},
        json=json,
        text=f"{summary(made.manifest)}\nfolder   {made.folder}",
    )


def _built(log: Any, wanted: Any, spark: str | None, *, backfill: Any, progress: Any, **more: Any) -> Any:
    """Return the set, built in this process or on Spark."""
    if spark is None:
        from harness.training.sets import build_training_set

        return build_training_set(log, wanted, backfill=backfill, progress=progress, **more)
    from harness.engines.spark_session import spark_session
    from harness.training.on_spark import build_on_spark

    with spark_session(spark) as session:
        return build_on_spark(log, wanted, session, **more)


def _plain(log: Any, given: dict[str, Any]) -> tuple[Any, Any]:
    """Return the specification that the options say, and its place."""
    from harness.training.spec import Spec
    from replay.labels import LabelRule
    from replay.splits import Split

    lacking = [name for name in ("decision_point", "label", "window") if given[name] is None]
    if lacking:
        raise UsageError(
            f"The set lacks {', '.join('--' + name.replace('_', '-') for name in lacking)}.",
            "Expected them, or a file with --spec.",
            'See "harness training-set create --help".',
        )
    if names(given["features"]) == ():
        raise UsageError(
            f"--features {given['features']!r} names none.",
            "Expected one or more, with commas between them.",
            "Leave it out for all of role feature.",
        )
    first, after = range_of(log, given["decision_point"], given["start"], given["stop"])
    at = log.as_of(given["as_of"])
    test_from = _instant(given["test_from"])
    if test_from is None and click.get_current_context().get_parameter_source("gap") is not _UNSAID:
        raise UsageError(
            "--gap is given without --test-from.",
            "Expected the time before which it leaves rows out.",
            "Name it with --test-from, or leave --gap out.",
        )
    return Spec(
        decision_point=given["decision_point"],
        start=first,
        stop=min(after, at.position + 1) if given["stop"] is None else after,
        labels=(LabelRule(name=given["label"], window=duration(given["window"])),),
        features=names(given["features"]),
        feature_set=given["feature_set"],
        split=None
        if test_from is None
        else Split(by="time", test_from=test_from, gap=duration(given["gap"])),
        where=_where(given["where"]),
    ), at


def _alone(given: dict[str, Any]) -> None:
    """Raise UsageError where a file says what options say too: one of them would be forgotten."""
    source = click.get_current_context().get_parameter_source
    said = [name for name in given if name not in _BESIDE and source(name) is not _UNSAID]
    if said:
        shown = (_FLAGS.get(name, name.replace("_", "-")) for name in said)
        raise UsageError(
            f"--spec and --{', --'.join(shown)} are given.",
            "Expected the file to say it all.",
            "Write it into the file, or leave --spec out.",
        )


@training_set.command("list")
@folder_option
@json_option
def list_command(folder: Path | None, json: bool) -> None:
    """List the registered training sets."""
    from harness.training.registry import list_training_sets

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
@click.argument("target", metavar="ID|FOLDER")
@folder_option
@json_option
def show(target: str, folder: Path | None, json: bool) -> None:
    """Show what a training set holds, and what it left out: a folder as it says itself, without any log."""
    from harness.training.files import MANIFEST, read_manifest
    from harness.training.registry import get_training_set

    if (Path(target) / MANIFEST).exists():
        body = read_manifest(Path(target))
        text = told_by(Path(target), body)
    else:
        with opened(folder) as log:
            body = get_training_set(log, target).body
        text = summary(body)
    emit(body, json=json, text=text)


@training_set.command()
@click.argument("target", metavar="ID|FOLDER")
@folder_option
@json_option
def verify(target: str, folder: Path | None, json: bool) -> None:
    """Rebuild a training set from the log and compare; exit code 40 when they differ."""
    from harness.cli.progress import progress
    from harness.training.folder import TrainingSet
    from harness.training.registry import readings, verify_training_set

    with opened(folder) as log:
        on_disk = TrainingSet.open(target) if (Path(target) / "manifest.json").exists() else None
        name = target if on_disk is None else on_disk.id
        with progress(readings(log, name), "cutting again", quiet=json) as done:
            if on_disk is None:
                result = verify_training_set(log, target, progress=done)
            else:
                result = on_disk.verify(log, done)
    what = "the log gives" if on_disk is None else "log and files give"
    text = f"{result['id']} holds: {what} {result['rows']:,} rows, digest {result['digest']}"
    if "erased" in result:
        named = ", ".join(result["erased_ids"])
        text += f"\n{result['erased']:,} of them were erased since, which the files still hold: {named}"
    emit(result, json=json, text=text)


@training_set.command()
@click.argument("target", metavar="ID|FOLDER")
@_OUT
@_PART
@folder_option
@json_option
def export(target: str, out: Path | None, rows_per_part: int, folder: Path | None, json: bool) -> None:
    """Write a registered training set anew from the log, checked against its digest."""
    from harness.cli.progress import progress
    from harness.training.export import export_training_set
    from harness.training.folder import named
    from harness.training.registry import readings

    name, backfill = named(target)
    place, each = out or Path(name), rows_per_part
    with opened(folder) as log, progress(readings(log, name), "exporting", quiet=json) as done:
        made = export_training_set(log, name, place, rows_per_part=each, backfill=backfill, progress=done)
    text = f"{made.id}: {made.manifest['rows']:,} rows in {counted(made.manifest['parts'])} in {made.folder}"
    emit({"folder": made.folder, **made.manifest}, json=json, text=text)


def _instant(text: str | None) -> Any:
    from harness.log.places import parse

    found = parse(text)
    if isinstance(found, int):
        raise UsageError(
            f"--test-from is {text}.", "Expected a time with offset.", "Write 2013-04-01T00:00:00Z."
        )
    return found


def _where(given: tuple[str, ...]) -> Any:
    chosen: dict[str, list[str]] = {}
    for text in given:
        column, equals, values = text.partition("=")
        if not equals or not column:
            raise UsageError(
                f"--where {text!r} is no selection.", "Expected COLUMN=VALUE.", "Write origin=JFK,LGA."
            )
        chosen.setdefault(column, []).extend(values.split(","))
    return chosen
