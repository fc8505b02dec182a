"""What every command has in common: its options, its two forms of output, its form of error."""

import dataclasses
import json as json_module
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import click

from recorders.errors import HarnessError

json_option = click.option("--json", "json", is_flag=True, help="Write one JSON value instead of text.")
folder_option = click.option(
    "-C",
    "--folder",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    help="Where harness.toml and .harness/ are. Default: the working folder.",
)


def emit(data: Any, *, json: bool, text: Callable[[], str | None] | str) -> None:
    """Write `data` as one JSON value, or `text`: a string, or a function that returns one or prints itself.

    Structs, dataclasses, times, bytes (as hexadecimal), UUIDs and paths have a JSON form.
    """
    if json:
        click.echo(to_json(data))
        return
    shown = text if isinstance(text, str) else text()
    if shown:
        click.echo(shown)


def to_json(data: Any) -> str:
    """Return `data` as one line of JSON on a pipe, indented on a terminal.

    >>> to_json({"at": bytes([0, 255])})
    '{"at": "00ff"}'
    """
    indent = 2 if sys.stdout.isatty() else None
    return json_module.dumps(data, default=_plain, ensure_ascii=False, indent=indent)


def show_error(error: HarnessError, *, json: bool) -> None:
    """Write an error to the error stream: its three parts, or with `json` also its values."""
    if not json:
        click.echo(f"Error: {error}", err=True)
        return
    known = {"happened", "expected", "remedy"}
    values = {key: value for key, value in vars(error).items() if key not in known}
    body = {
        "type": type(error).__name__,
        "message": str(error),
        "happened": getattr(error, "happened", str(error)),
        "expected": getattr(error, "expected", ""),
        "remedy": getattr(error, "remedy", ""),
        "exit_code": error.exit_code,
        "values": values,
    }
    click.echo(json_module.dumps({"error": body}, default=_readable, ensure_ascii=False), err=True)


def show_usage(error: click.ClickException) -> None:
    """Write a refusal of the command line itself as JSON to the error stream."""
    body = {"type": "UsageError", "message": error.format_message(), "exit_code": error.exit_code}
    click.echo(json_module.dumps({"error": body}, ensure_ascii=False), err=True)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, UUID | Path):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if hasattr(value, "__struct_fields__"):
        return {name: getattr(value, name) for name in value.__struct_fields__}
    raise TypeError(f"{type(value).__name__} has no JSON form.")


def _readable(value: Any) -> Any:
    try:
        return _plain(value)
    except TypeError:
        return str(value)
