"""`harness log seal|segments|compact|release`: closed ranges in the store, and room in the database."""

from pathlib import Path
from typing import Any

import click

from harness.cli.output import emit, folder_option, json_option


def _opened(folder: Path | None) -> Any:
    from harness.database import open_log

    return open_log(folder, create=False)


@click.command()
@click.option(
    "--to", "stop", metavar="PLACE", default=None, help="First position or time that waits. Default: the end."
)
@click.option(
    "--events", type=click.IntRange(1), default=None, help="Most events of one segment. Default: 1048576."
)
@folder_option
@json_option
def seal(stop: str | None, events: int | None, folder: Path | None, json: bool) -> None:
    """Put what is new in the log into segments of the store: written, read back, compared, then registered.

    Nothing is taken from the log. [store] url in harness.toml says where to: a folder, s3://, gs:// or abfs://.
    """
    from harness.cli.places import edge
    from harness.cli.progress import progress
    from harness.log.seal import EVENTS, swept_after
    from harness.log.seal import seal as seal_log

    with _opened(folder) as log:
        head = log.head().position
        end = log.head().position + 1 if stop is None else edge(log, stop)
        with progress(max(end - log.sealed.stop(), 0), "sealing") as done:
            made = seal_log(log, stop=end, events=events or EVENTS, progress=done)
        sealed, swept = log.sealed.stop() - 1, swept_after(log, head)
    lines = [_line(segment) for segment in made] or ["Nothing new to seal."]
    if swept:
        lines.append(f"Removed {swept:,} files of a run that was stopped before it registered them.")
    lines.append(f"Sealed up to position {sealed:,}.")
    emit({"segments": made, "sealed_up_to": sealed, "swept": swept}, json=json, text="\n".join(lines))


@click.command()
@folder_option
@json_option
def segments(folder: Path | None, json: bool) -> None:
    """List the registered segments."""
    with _opened(folder) as log:
        found = list(log.sealed.segments())
    emit(
        found,
        json=json,
        text="\n".join(map(_line, found)) or 'Nothing is sealed. See "harness log seal --help".',
    )


def _line(segment: Any) -> str:
    size = segment.ledger.bytes + sum(part.bytes for part in segment.parts)
    return (
        f"[{segment.first}, {segment.stop})  {segment.events:,} events in {segment.batches:,} batches, "
        f"{len(segment.parts)} parts, {size / 2**20:.1f} MiB in {segment.store}"
    )


@click.command()
@click.option(
    "--events", type=click.IntRange(2), default=None, help="Most events of one segment. Default: 1048576."
)
@folder_option
@json_option
def compact(events: int | None, folder: Path | None, json: bool) -> None:
    """Make one segment out of several small neighbours. What is read stays the same at every moment."""
    from harness.cli.progress import progress
    from harness.log.compact import compact as compact_log
    from harness.log.compact import positions
    from harness.log.seal import EVENTS

    most = events or EVENTS
    with _opened(folder) as log, progress(positions(log, events=most), "compacting", quiet=json) as told:
        made = compact_log(log, events=most, progress=told)
    emit(made, json=json, text="\n".join(map(_line, made)) or "No neighbours fit into one segment.")


@click.command()
@click.option("--keep", metavar="DURATION", default=None, help="How long events stay. Default: [log] keep.")
@click.option("--dry-run", is_flag=True, help="Only say what could be released.")
@folder_option
@json_option
def release(*, keep: str | None, dry_run: bool, folder: Path | None, json: bool) -> None:
    """Let the database drop the events of old partitions that are sealed, after reading their segments whole.

    Headers, digests and control events stay. Age is by the log's own clock.
    """
    from harness.cli.places import duration
    from harness.cli.progress import progress
    from harness.config import Config
    from harness.errors import UsageError
    from harness.log.release import partitions
    from harness.log.release import release as release_log

    said = keep or Config.load(folder).keep
    if said is None:
        raise UsageError(
            "It is not said how long events stay in the database.",
            "Expected --keep, or keep in the [log] table of harness.toml.",
            "Write --keep 90d.",
        )
    with _opened(folder) as log:
        oldest = log.head().recorded_at - duration(said)
        done = [one for one in partitions(log) if not one.released and one.recorded_at < oldest]
        done = [one for one in done if one.stop <= log.sealed.stop()]
        if not dry_run:
            with progress(sum(one.stop - one.start for one in done), "releasing", quiet=json) as told:
                done = release_log(log, duration(said), told)
    word = "could be released" if dry_run else "released"
    lines = [f"[{one.start}, {one.stop})  {word}, {one.bytes / 2**20:.1f} MiB" for one in done]
    emit(done, json=json, text="\n".join(lines) or "No full partition is sealed and old enough.")


SEGMENT_COMMANDS = (seal, segments, compact, release)
