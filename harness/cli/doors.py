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
    from recorders.doors.proposal import proposal, shown

    found = proposal(sample, decision_point, source)
    emit(found, json=json, text=lambda: shown(found))
