"""`harness query`: SQL over the log."""

import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Any

import click
from msgspec import to_builtins

from harness.cli.output import folder_option, one_line

ROWS_SHOWN = 100
WIDEST = 60
# What EXPLAIN answers with.
PLAN = ["explain_key", "explain_value"]


@click.command()
@click.argument("sql")
@click.option("--from", "start", metavar="PLACE", default="1", help="First position or time. Default: 1.")
@click.option(
    "--to", "stop", metavar="PLACE", help="First position or time that is not seen. Default: the end."
)
@click.option("--memory", default="1GB", show_default=True, help="What it may take before it spills to disk.")
@click.option("--json", "json", is_flag=True, help="Write one JSON value with all rows instead of a table.")
@click.option("--csv", "csv", is_flag=True, help="Write all rows as CSV.")
@click.option(
    "--parquet", type=click.Path(dir_okay=False, path_type=Path), help="Write all rows to this new file."
)
@click.option("--stats", is_flag=True, help="Say what was read of the log, and what was left out unread.")
@folder_option
def query(
    *, sql: str, start: str, stop: str | None, memory: str, folder: Path | None, stats: bool, **form: Any
) -> None:
    """Run one SELECT over the relations decisions, outcomes, scores and control. - reads it from stdin.

    It sees one state of the log, sealed or not. Features are columns in quotes: "f.amount". What a condition
    on position, recorded_at, decision_point or a column with statistics rules out is not read. SQL can reach
    nothing but the log, and change nothing. A table shows the first 100 rows.
    """
    from harness.cli.log import opened
    from harness.cli.places import span
    from harness.cli.progress import progress

    _check(form)
    text = sys.stdin.read() if sql == "-" else sql
    quiet = form["json"] or (form["csv"] and sys.stdout.isatty())  # the rows themselves are seen
    with opened(folder) as log:
        first, after = span(log, start, stop)
        with (
            progress(None, "querying", quiet=quiet) as done,
            log.sql(text, start=first, stop=after, memory=memory, progress=done) as answer,
        ):
            said = _written(answer, form, stats=stats)
    for line in said:
        click.echo(line)
    if stats and not form["json"]:
        click.echo("\n".join(_read(answer)), err=True)


def _written(answer: Any, form: dict[str, Any], *, stats: bool) -> list[str]:
    """Write the rows in the form that was asked for; return the lines that are shown beside, or instead."""
    if form["parquet"] is not None:
        return [_to_parquet(answer, form["parquet"])]
    if form["csv"]:
        _to_csv(answer, sys.stdout.buffer)
        return []
    if form["json"]:
        _to_json(answer, stats=stats)
        return []
    return list(_table(answer))


def _check(form: dict[str, Any]) -> None:
    from harness.errors import UsageError

    given = [name for name in ("json", "csv", "parquet") if form[name]]
    if len(given) > 1:
        raise UsageError(
            f"--{given[0]} and --{given[1]} are two forms of the same rows.",
            "Expected one of --json, --csv and --parquet, or none for a table.",
            "Leave one out.",
        )


def _to_parquet(answer: Any, path: Path) -> str:
    from harness.row_files import ParquetRows, whole_file

    rows = 0
    with whole_file(path) as file:
        writer = ParquetRows(file, answer.schema)
        for batch in answer:
            writer.write(batch)
            rows += batch.num_rows
        writer.close()
    return f"{rows:,} rows in {path}."


def _to_csv(answer: Any, out: IO[bytes]) -> None:
    from harness.row_files import CsvRows

    writer = CsvRows(out, answer.schema)
    for batch in answer:
        writer.write(batch)
    writer.close()
    out.flush()


def _to_json(answer: Any, *, stats: bool) -> None:
    """Write one value, its rows as they come."""
    from harness.row_files import json_rows

    columns = one_line({field.name: str(field.type) for field in answer.schema})
    click.echo(f'{{"columns": {columns}, "span": {one_line(answer.span)}, "rows": [', nl=False)
    separator = ""
    for batch in answer:
        for row in json_rows(batch):
            click.echo(f"{separator}{row}", nl=False)
            separator = ", "
    scanned = f', "scanned": {one_line(to_builtins(answer.scanned))}' if stats else ""
    click.echo(f"]{scanned}}}")


def _table(answer: Any) -> Iterator[str]:
    names = answer.schema.names
    if names == PLAN:
        yield from (text for batch in answer for text in batch.column(1).to_pylist())
        return
    found = list(islice(_cells(answer), ROWS_SHOWN + 1))
    shown = found[:ROWS_SHOWN]
    numbers = [_is_number(field.type) for field in answer.schema]
    widths = [max(len(name), *(len(row[at]) for row in shown), 0) for at, name in enumerate(names)]
    for row in (names, ["-" * width for width in widths], *shown):
        cells = (
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numbers, strict=True)
        )
        yield "  ".join(cells).rstrip()
    more = f", the first {ROWS_SHOWN}: --csv, --json and --parquet write all" if found[ROWS_SHOWN:] else ""
    yield f"({len(shown)} row{'' if len(shown) == 1 else 's'}{more})"


def _cells(answer: Any) -> Iterator[list[str]]:
    for batch in answer:
        for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            yield [_cell(value) for value in row]


def _cell(value: Any) -> str:
    from harness.log.lines import escaped
    from harness.row_files import plain

    found = plain(value)
    text = "" if found is None else found if isinstance(found, str) else one_line(found)
    text = escaped(text)
    return text if len(text) <= WIDEST else f"{text[: WIDEST - 1]}…"


def _is_number(type_: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_integer(type_) or pa.types.is_floating(type_) or pa.types.is_decimal(type_))


def _read(answer: Any) -> Iterator[str]:
    """Yield a line for each relation: what was read of it, of how much."""
    start, stop = answer.span
    yield f"Positions [{start}, {stop})."
    for name, one in answer.scanned.items():
        groups = one.groups_read + one.groups_pruned
        yield (
            f"{name}: {one.segments_read} of {one.segments} segments, "
            f"{one.groups_read} of {groups} row groups in them, "
            f"{one.batches_read} of {one.batches} batches that are not sealed; {one.rows:,} rows taken."
        )
