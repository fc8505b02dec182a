"""`harness log seal|segments`: put closed ranges into the store, see what is there."""

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
    from harness.log.seal import EVENTS
    from harness.log.seal import seal as seal_log

    with _opened(folder) as log:
        end = log.head().position + 1 if stop is None else edge(log, stop)
        with progress(max(end - log.sealed.stop(), 0), "sealing") as done:
            made = seal_log(log, stop=end, events=events or EVENTS, progress=done)
        sealed = log.sealed.stop() - 1
    lines = [_line(segment) for segment in made] or ["Nothing new to seal."]
    lines.append(f"Sealed up to position {sealed:,}.")
    emit({"segments": made, "sealed_up_to": sealed}, json=json, text="\n".join(lines))


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
