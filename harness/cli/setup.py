"""`harness init` and `harness doctor`."""

from pathlib import Path

import click

from harness.cli.output import emit, folder_option, json_option

TEMPLATE = """\
# Where and how often. What can change a verdict is in the experiment, never here.

[database]
# Leave this out to use the embedded PostgreSQL in .harness/ (one person's, not for shared use).
# A password belongs into the environment: HARNESS_DATABASE_URL wins over this line.
# url = "postgresql://harness@db.example.com/harness"

[log]
# server: positions carry the time of their commit. event: they carry the time of their events, for history
# that is recorded later than it happened. Fixed when the log is created.
clock = "{clock}"
"""


@click.command()
@folder_option
@click.option(
    "--clock",
    type=click.Choice(["server", "event"]),
    default=None,
    help="The log's own time: of its commits (server, the default), or of its events (event).",
)
@json_option
def init(folder: Path | None, clock: str | None, json: bool) -> None:
    """Create harness.toml and the log; a second run changes nothing but an old schema."""
    from harness.config import FILE
    from harness.database import create_log
    from harness.errors import FolderUnusable

    where = (folder or Path.cwd()).absolute()
    path = where / FILE
    try:
        where.mkdir(parents=True, exist_ok=True)
        wrote = not path.exists()
        if wrote:
            path.write_text(TEMPLATE.format(clock=clock or "server"), encoding="utf-8")
    except OSError as error:
        raise FolderUnusable(where, error.strerror or str(error)) from error
    with create_log(where, clock=clock) as log:
        head = log.head()
    data = {"folder": where, "wrote_config": wrote, "log_id": head.log_id, "position": head.position}
    text = f"Log {head.log_id} is ready at position {head.position}."
    emit(data, json=json, text=f"Wrote {path}.\n{text}" if wrote else text)


@click.command()
@folder_option
@json_option
@click.pass_context
def doctor(context: click.Context, folder: Path | None, json: bool) -> None:
    """Check Python, packages, database, schema, rights, clock and disk. Exit 1 if any check fails."""
    from harness.doctor import MARKS, diagnose

    checks = diagnose(folder or Path.cwd())
    lines = [f"{MARKS[check.state]} {check.name:<12} {check.found}" for check in checks]
    lines = [
        line + (f"\n  {'':<12}  {check.remedy}" if check.remedy else "")
        for line, check in zip(lines, checks, strict=True)
    ]
    failed = sum(check.state == "failed" for check in checks)
    lines.append("All is well." if not failed else f"{failed} of {len(checks)} checks failed.")
    emit({"checks": checks, "failed": failed}, json=json, text="\n".join(lines))
    if failed:
        context.exit(1)
