"""What every command has in common: its options, its two forms of output, its form of error."""

import dataclasses
import json as json_module
import math
import re
import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import click
from msgspec import UNSET

from recorders.errors import HarnessError

_NO_NUMBER = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
# DEL, C1 and the separators of lines: no control of them is escaped by JSON itself.
_CONTROLS = re.compile("[\x7f-\x9f\u2028\u2029]")
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

    JSON has no NaN and no infinities: they are the strings "NaN", "Infinity" and "-Infinity". Controls that
    JSON allows in a string and a terminal would obey are escaped.

    >>> to_json({"at": bytes([0, 255]), "score": float("nan")})
    '{"at": "00ff", "score": "NaN"}'
    """
    return _dumped(data, _plain, 2 if sys.stdout.isatty() else None)


def one_line(data: Any) -> str:
    """Return `data` as one line of JSON, also on a terminal."""
    return _dumped(data, _plain, None)


def _dumped(data: Any, plain: Callable[[Any], Any], indent: int | None) -> str:
    text = json_module.dumps(_strict(data, plain), ensure_ascii=False, allow_nan=False, indent=indent)
    return _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _strict(value: Any, plain: Callable[[Any], Any]) -> Any:
    """Return `value` in JSON's own types."""
    if isinstance(value, float):
        return value if math.isfinite(value) else _NO_NUMBER[repr(float(value))]
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, Mapping):
        return {_strict(key, plain): _strict(item, plain) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(item, plain) for item in value]
    return _strict(plain(value), plain)


def show_error(error: HarnessError, *, json: bool) -> None:
    """Write an error to the error stream: its three parts, or with `json` also its values."""
    if not json:
        click.echo(f"Error: {error}", err=True)
        return
    known = {"happened", "expected", "remedy"}
    values = {key: value for key, value in vars(error).items() if key not in known}
    body = {
        "type": "UsageError" if isinstance(error, CommandRefused) else type(error).__name__,
        "message": str(error),
        "happened": getattr(error, "happened", str(error)),
        "expected": getattr(error, "expected", ""),
        "remedy": getattr(error, "remedy", ""),
        "exit_code": error.exit_code,
        "values": values,
    }
    click.echo(_dumped({"error": body}, _readable, None), err=True)


def show_usage(error: click.ClickException) -> None:
    """Write a refusal of the command line itself as JSON to the error stream."""
    context = getattr(error, "ctx", None)
    usage = context.get_usage().removeprefix("Usage: ") if context else "harness COMMAND"
    show_error(
        CommandRefused(
            error.format_message(),
            f"Expected {' '.join(usage.split())}.",
            f'See "{context.command_path if context else "harness"} --help".',
        ),
        json=True,
    )


class CommandRefused(HarnessError):  # noqa: N818 - as in harness.errors
    """A command line that the parser refuses: its message is the parser's."""

    exit_code = 2


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
        fields = ((name, getattr(value, name)) for name in value.__struct_fields__)
        return {name: held for name, held in fields if held is not UNSET}
    raise TypeError(f"{type(value).__name__} has no JSON form.")


def _readable(value: Any) -> Any:
    try:
        return _plain(value)
    except TypeError:
        return str(value)
