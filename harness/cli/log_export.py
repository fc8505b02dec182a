"""`harness log export`: a range of the log as files for other tools."""

from pathlib import Path

import click

from harness.cli.output import emit, folder_option, json_option

KINDS = ("decision", "outcome", "score", "control")


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--from", "start", metavar="PLACE", default="1", help="First position or time. Default: 1.")
@click.option(
    "--to", "stop", metavar="PLACE", help="First position or time after the range. Default: the end."
)
@click.option("--kind", type=click.Choice(KINDS), multiple=True, help="Only these. Repeat it. Default: all.")
@click.option(
    "--decision-point", "-d", default=None, help="Only events of this decision point, and no control events."
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["parquet", "csv", "jsonl"]),
    default="parquet",
    show_default=True,
    help="Form of the files.",
)
@folder_option
@json_option
def export(
    *,
    out: Path,
    start: str,
    stop: str | None,
    kind: tuple[str, ...],
    decision_point: str | None,
    form: str,
    folder: Path | None,
    json: bool,
) -> None:
    """Write a range of the log to the new folder OUT, a file for each kind and decision point.

    OUT/manifest.json counts the rows of each file and names its digest. OUT appears when all is written.
    """
    from harness.cli.log import opened
    from harness.cli.places import span
    from harness.cli.progress import progress
    from harness.log_export import Selection, export_log

    with opened(folder) as log:
        selection = Selection(*span(log, start, stop), kind or KINDS, decision_point)
        whole = not kind and decision_point is None
        expected = selection.stop - selection.start if whole else None
        with progress(expected, "exporting", quiet=json) as done:
            manifest = export_log(log, selection, out, form, done)
    lines = [f"{one['rows']:>12,} rows  {one['file']}" for one in manifest["files"]]
    total = sum(one["rows"] for one in manifest["files"])
    lines.append(f"{total:,} rows of [{selection.start}, {selection.stop}) in {out}.")
    emit(manifest, json=json, text="\n".join(lines))
