"""`harness log`: see what is there and what is not, follow it, check that nobody changed it."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from msgspec import to_builtins

from harness.cli.import_ import import_
from harness.cli.log_export import export
from harness.cli.log_integrity import anchor, check_proof, check_receipts, checkpoint, key, prove, public_key
from harness.cli.log_recover import recover
from harness.cli.log_segments import SEGMENT_COMMANDS
from harness.cli.log_stats import stats
from harness.cli.output import emit, folder_option, json_option, one_line, to_json

POLL_S = 0.5
INTEGRITY = 40
KINDS = click.Choice(["decision", "outcome", "score", "control"])


@click.group()
def log() -> None:
    """Show, follow and verify the log."""


for command in (
    import_,
    export,
    checkpoint,
    prove,
    check_proof,
    check_receipts,
    anchor,
    key,
    recover,
    stats,
    *SEGMENT_COMMANDS,
):
    log.add_command(command)


def opened(folder: Path | None) -> Any:
    """Return the log of a folder; one that is configured elsewhere must exist already."""
    from harness.database import open_log

    return open_log(folder, create=False)


@log.command()
@folder_option
@json_option
def head(folder: Path | None, json: bool) -> None:
    """Show where the log ends, and the digest that stands for all of its history."""
    with opened(folder) as source:
        end = source.head()
    text = f"position {end.position}  epoch {end.epoch}  {when(end.recorded_at)}\n{end.digest}"
    emit(end, json=json, text=text)


@log.command()
@click.argument("position")
@folder_option
@json_option
def show(position: str, folder: Path | None, json: bool) -> None:
    """Show the event at POSITION (a number, or a time: the last event recorded by then)."""
    from harness.errors import UnknownPosition, UsageError
    from harness.log.lines import escaped, event_at, line, opened_event
    from harness.log.places import parse
    from recorders.errors import CorruptBatch, FeatureSetError, LinkUnavailable

    with opened(folder) as source:
        end, wanted = source.head().position, parse(position)
        if isinstance(wanted, int) and not 1 <= wanted <= end:
            raise UnknownPosition(wanted, end, first=1)
        place = source.as_of(position)
        if place.position == 0:
            if end:
                raise UsageError(
                    f"Nothing was recorded by {position}.",
                    "Expected the time of the first event or a later one.",
                    'See "harness log show 1".',
                )
            raise UnknownPosition(0, end, first=1)
        event = event_at(source, place.position)
        try:
            event = opened_event(source, event)
        except (LinkUnavailable, FeatureSetError, CorruptBatch) as error:
            click.echo(f"Shown as it is kept, encrypted. {error}", err=True)
    emit(event, json=json, text=lambda: "\n".join([line(event), *map(escaped, fields(event))]))


def fields(event: dict[str, Any]) -> Iterator[str]:
    """Yield one line for each value of an event; a feature that was not plainly served with its status.

    >>> list(fields({"f.income": None, "statuses": [{"field": "income", "status": "erased"}]}))[0]
    '  f.income             null (erased)'
    """
    told = {f"f.{one['field']}": f" ({one['status']})" for one in event.get("statuses") or ()}
    for name, value in event.items():
        yield f"  {name:<20} {value if isinstance(value, str) else one_line(value)}{told.get(name, '')}"


@log.command()
@click.option(
    "-n", "count", type=click.IntRange(1, 100_000), default=10, show_default=True, help="How many events."
)
@click.option("-f", "--follow", is_flag=True, help="Go on as the log grows, until interrupted.")
@click.option("--kind", type=KINDS, default=None, help="Only events of this kind.")
@click.option("--decision-point", "-d", default=None, help="Only events of this decision point.")
@folder_option
@json_option
def tail(
    *, count: int, follow: bool, kind: str | None, decision_point: str | None, folder: Path | None, json: bool
) -> None:
    """Show the last events, one a line. With --follow a decision point may be one that is yet to come."""
    from harness.log.lines import after, last, line
    from harness.log.points import check_point

    with opened(folder) as source:
        end = source.head().position
        found = last(source, end + 1, count, kind, decision_point)
        if not found and not follow:
            check_point(source, decision_point)
        for event in found:
            click.echo(to_json(event) if json else line(event))
        while follow:
            time.sleep(POLL_S)
            grown = source.head().position
            for event in after(source, end, grown, kind, decision_point):
                click.echo(to_json(event) if json else line(event))
            end = grown


@log.command()
@click.option("--from", "start", default="1", show_default=True, help="First position, or a time.")
@click.option("--to", "stop", default=None, help="Position after the last, or a time. Default: the end.")
@click.option("--incremental", is_flag=True, help="Only what came since this host verified last.")
@click.option(
    "--against",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    help="A checkpoint kept elsewhere, or an anchor's file. Repeat it for more.",
)
@click.option("--key", "believed", default=None, help="The log's public key, for --against.")
@folder_option
@json_option
@click.pass_context
def verify(
    context: click.Context,
    *,
    start: str,
    stop: str | None,
    incremental: bool,
    against: tuple[Path, ...],
    believed: str | None,
    folder: Path | None,
    json: bool,
) -> None:
    """Recompute every digest and read every batch; compare with what is known of the log outside of it.

    Exit 40 if a batch is altered or cannot be read, or if the log is not the one that this host, or a
    checkpoint that was kept elsewhere, remembers.
    """
    from harness.cli.places import span
    from harness.cli.progress import progress
    from harness.errors import UsageError
    from harness.integrity.compare import compare, remembers
    from harness.integrity.log_keys import integrity_folder
    from harness.integrity.note import notes_of

    whole = start == "1" and stop is None
    if incremental and not whole:
        raise UsageError(
            "--incremental has a range.", "Expected all that is new.", "Leave --from and --to out."
        )
    home, data = integrity_folder(folder), {}
    with opened(folder) as source:
        lines: list[str] = []
        sound = holds = True
        if not incremental:
            first, after = span(source, start, stop)
            with progress(after - first, "verifying") as done:
                found = source.verify(first, None if stop is None else after, done)
            data, lines, holds = to_builtins(found), list(findings(found)), found.holds
            sound = found.altered is None  # what cannot be read may be another than what was appended
        if sound and (incremental or against or (whole and remembers(source, home))):
            key_ = public_key(believed) if believed else None
            notes = [note for path in against for note in notes_of(path.read_bytes())]
            seen = compare(source, home, notes, key_)
            data |= {"remembered": seen._asdict()}
            lines += agreement(seen)
    emit(data, json=json, text="\n".join(lines))
    if not holds:
        context.exit(INTEGRITY)


def agreement(seen: Any) -> Iterator[str]:
    """Yield how the log agrees with what is known outside of it, a sentence or two a line."""
    yield (
        f"{seen.batches:,} batches up to position {seen.position} are those that this host remembers "
        f"({seen.added:,} of them new), and {seen.checkpoints:,} checkpoints hold."
    )
    if seen.lost_batches or seen.lost_checkpoints:
        lost = [f"{seen.lost_batches:,} batches verified here"] if seen.lost_batches else []
        lost += [f"{seen.lost_checkpoints:,} checkpoints"] if seen.lost_checkpoints else []
        yield f"{' and '.join(lost)} were lost since: the log was restored and recovered."
    if seen.foreign:
        yield (
            f"{len(seen.foreign)} events claim to be a checkpoint or a key of this log and are not signed "
            f"with its key: they count for nothing (harness log show {seen.foreign[0]}). "
            "See who may append control events."
        )


def findings(found: Any) -> Iterator[str]:
    """Yield what a verification found, a sentence or two a line."""
    if found.altered is None:
        extent = f"{found.events:,} events in {found.batches:,} batches of [{found.start}, {found.stop})"
        sealed = f", and so are {found.segments} segments with them" if found.segments else ""
        yield f"{extent} are as appended{sealed}."
    else:
        # Files are compared last: what was counted by then need not lie before the position.
        counted = "were as appended until then" if found.file else "before it are as appended"
        what, place = ("the file", "store") if found.file else ("the range", "database")
        yield (
            f"Altered at position {found.altered}: {found.reason}. {found.events:,} events {counted}. "
            f"Restore {what} from a backup of the {place}, and find out who could write there."
        )
    if found.unreadable is not None:
        yield (
            f"Unreadable at position {found.unreadable}, as it was appended: {found.fault}. "
            f"Correct its writer (harness log show {found.unreadable}), and leave its range out."
        )


@log.command()
@click.option("--from", "start", default="1", show_default=True, help="First position, or a time.")
@click.option("--to", "stop", default=None, help="Position after the last, or a time. Default: the end.")
@folder_option
@json_option
def gaps(start: str, stop: str | None, folder: Path | None, json: bool) -> None:
    """Show every loss that is known: whose, where and when, why, and how many events.

    Recorders and sidecars report what they could not keep, imports what they left out, recoveries what a
    restore lost; the log holds that.
    """
    from harness.cli.places import span
    from harness.log.gaps import TOLD, find, lines

    with opened(folder) as source:
        first, last = span(source, start, stop)
        told = [one for kind in TOLD for one in source.controls(kind, up_to=last - 1)]
        found = find(told, first, last)
    emit(found, json=json, text=lambda: "\n".join(lines(found)))


def when(instant: Any) -> str:
    """Return an instant as text, in UTC to the second.

    >>> from datetime import UTC, datetime
    >>> when(datetime(2013, 5, 1, 12, 30, 15, 999999, tzinfo=UTC))
    '2013-05-01T12:30:15Z'
    """
    return f"{instant:%Y-%m-%dT%H:%M:%SZ}"
