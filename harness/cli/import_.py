"""`harness log import`: take captured files into the log, once."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.output import emit, folder_option, json_option

if TYPE_CHECKING:
    from harness.imports import Contents, Imported


@click.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "-m",
    "--mapping",
    "mapping_file",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="What of the files is what, in TOML. `harness sidecar map` proposes one.",
)
@click.option("--skip-rejected", is_flag=True, help="Leave out rows that cannot be taken, and count them.")
@click.option("--dry-run", is_flag=True, help="Show what would be appended, and append nothing.")
@folder_option
@json_option
def import_(
    *,
    files: tuple[Path, ...],
    mapping_file: Path,
    skip_rejected: bool,
    dry_run: bool,
    folder: Path | None,
    json: bool,
) -> None:
    """Append what FILES captured. Importing the same file again adds nothing.

    SageMaker Data Capture, BentoML monitoring files and other JSON lines, Databricks and MLflow inference
    tables (Parquet), CSV and Parquet; the mapping's `source` says which. Names that end in .gz are unpacked.
    """
    from harness.cli.progress import progress
    from harness.database import open_log
    from harness.imports import examine, import_file
    from recorders.doors.mapping import Mapping

    mapping = Mapping.from_toml(mapping_file)
    if dry_run:
        contents = [(path, examine(path, mapping)) for path in files]
        data = [{"file": str(path), "contents": found} for path, found in contents]
        lines = [_counted(str(path), found) for path, found in contents]
        emit(data, json=json, text="\n".join([*lines, "Nothing was appended."]))
        return
    with open_log(folder, create=False) as log:
        done = []
        for path in files:
            with progress(None, f"importing {path.name}", quiet=json) as rows:
                done.append(import_file(log, path, mapping, skip_rejected=skip_rejected, done=rows))
    lines = [
        f"{one.file}: the log holds it already; nothing was added." if one.known else _counted(one.file, one)
        for one in done
    ]
    emit(done, json=json, text="\n".join(lines))


def _counted(file: str, found: "Contents | Imported") -> str:
    refused = ", ".join(f"{count} {reason}" for reason, count in sorted(found.rejected.items()))
    lines = [f"{file}: {found.decisions:,} decisions, {found.outcomes:,} outcomes"]
    if refused:
        lines[0] += f"; rejected: {refused}"
    lines += found.samples
    if found.absent:
        lines.append(f"in no row: {', '.join(found.absent)}")
    return "\n  ".join(lines)
