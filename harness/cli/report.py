"""`harness report`: one experiment as one page."""

from pathlib import Path

import click

from harness.cli.output import emit, folder_option, json_option


@click.command()
@click.argument("experiment")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help="The file to write. Default: EXPERIMENT.html; with --json, none.",
)
@click.option(
    "--as-of", "as_of", default=None, help="A position or a time. Default: the experiment's newest event."
)
@folder_option
@json_option
def report(
    *, experiment: str, output: Path | None, as_of: str | None, folder: Path | None, json: bool
) -> None:
    """Write the report of EXPERIMENT: one HTML file that asks for nothing.

    With --json, every figure of its tables as one value instead of, or beside, the file.
    """
    from harness.database import open_log
    from harness.report.gather import gather
    from harness.report.page import render
    from harness.report.write import write_page

    with open_log(folder, create=False) as log:
        data = gather(log, experiment, as_of)
    page = render(data)
    path = output or (None if json else Path(f"{experiment}.html"))
    written = None if path is None else write_page(page, path)
    size = len(page.encode())
    text = (
        f"{data.verdict.state}  {experiment} as of position {data.position:,}\nWrote {path}, {size:,} bytes."
    )
    emit({"path": path, "bytes": size, "sha256": written, "report": data}, json=json, text=text)
