"""`harness sidecar map`: what services write that we do not control."""

from pathlib import Path

import click

from harness.cli.output import emit, json_option


@click.command("map")
@click.option(
    "--sample",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file that the service wrote, or a request as it was sent.",
)
@click.option("--source", default=None, help="What wrote it; told from the sample if left out.")
@click.option("--decision-point", "-d", default="my.decisions", show_default=True, help="Where it decides.")
@json_option
def map_(*, sample: Path, source: str | None, decision_point: str, json: bool) -> None:
    """Propose a mapping for what a service writes. Read it, correct it, keep it."""
    from recorders.doors.errors import MappingError
    from recorders.doors.propose import fits, propose
    from recorders.doors.sources import SOURCES

    if source is not None and source not in SOURCES:
        raise MappingError.unknown("--source", source, SOURCES)
    text = propose(sample, decision_point, source)
    taken, refused, samples = fits(text, sample)
    emit(
        {"mapping": text, "taken": taken, "refused": refused, "samples": samples},
        json=json,
        text=text.rstrip(),
    )
    if not json:
        click.echo(f"# It takes {taken} rows of the sample and refuses {refused}.")
        for one in samples:
            click.echo(f"#   {one}")
