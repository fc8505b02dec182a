"""TOML read without forgiveness: every key is known, and every fault of a file is named at once."""

import datetime as dt
import difflib
import tomllib
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from recorders.errors import HarnessError

_SHOWN_MAX = 60


class Problem(msgspec.Struct, frozen=True):
    """One fault of a file: where it is, what was found, what was expected, what to do."""

    table: str
    key: str
    happened: str
    expected: str
    remedy: str

    def __str__(self) -> str:
        where = f"[{self.table}] {self.key}: " if self.table else f"{self.key}: " if self.key else ""
        return f"{where}{self.happened} {self.expected} {self.remedy}".replace("  ", " ").strip()


class TomlFileError(HarnessError):
    """A TOML file cannot be used. `problems` holds all of its faults, in the order of the file's tables."""

    exit_code = 2

    def __init__(self, file: str, problems: list[Problem]) -> None:
        faults = "1 fault" if len(problems) == 1 else f"{len(problems)} faults"
        lines = "".join(f"\n  {file}: {problem}" for problem in problems)
        super().__init__(
            f"{file} has {faults}.",
            "Every key must be known and hold a value that its table allows."
            if all(problem.key for problem in problems)
            else "Expected a file of TOML that can be read.",
            f"Correct each and try again:{lines}",
        )
        self.file = file
        self.problems = tuple(problems)


def read_toml(path: Path) -> dict[str, Any]:
    """Return the tables of a TOML file.

    Raises:
        TomlFileError: the file is absent, not UTF-8, or not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        _refuse(path, "the file does not exist.", "Expected a TOML file.", "Check the path.")
    except OSError as error:
        _refuse(
            path, f"the file cannot be read ({error.strerror}).", "Expected to read it.", "Check its rights."
        )
    except UnicodeDecodeError as error:
        _refuse(path, f"byte {error.start} is not UTF-8.", "Expected UTF-8.", "Save the file as UTF-8.")
    except tomllib.TOMLDecodeError as error:
        _refuse(path, f"it is not TOML: {error}.", "Expected TOML 1.0.", "Correct the line.")


def _refuse(path: Path, happened: str, expected: str, remedy: str) -> NoReturn:
    raise TomlFileError(str(path), [Problem("", "", happened, expected, remedy)]) from None


def nearest(word: str, known: typing.Iterable[str]) -> str | None:
    """Return the known word that is nearest to `word`, or None when nothing is known.

    >>> nearest("alhpa", ["alpha", "max_looks"])
    'alpha'
    """
    found = difflib.get_close_matches(word.lower(), list(known), n=1, cutoff=0.0)
    return found[0] if found else None


def check_table(
    tables: Mapping[str, Any], kind: type[msgspec.Struct], *, table: str = "", root: type[msgspec.Struct]
) -> Iterator[Problem]:
    """Yield every fault of one table against the struct that describes it, nested tables included.

    `root` describes the whole file: a key that stands in the wrong table is sent to the right one.
    """
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    for key in tables:
        if key not in fields:
            yield _unknown(table, key, list(fields), root)
    for key, field in fields.items():
        if key in tables:
            yield from _check_value(tables[key], field.type, table=table, key=key, root=root)
        elif field.required:
            nested = _struct_of(field.type) is not None
            found = f"the table [{key}] is missing." if nested else "the key is missing."
            yield Problem(table, key, found, f"Expected {describe(field.type)}.", "Add it.")


def _unknown(table: str, key: str, known: list[str], root: type[msgspec.Struct]) -> Problem:
    homes = [home for home, keys in known_keys(root).items() if key in keys and home != table]
    if homes:
        place = f"[{homes[0]}]" if homes[0] else "the top of the file"
        return Problem(table, key, "the key is not known here.", f"It belongs to {place}.", "Move it there.")
    near = nearest(key, known)
    expected = f"The nearest known key is {near!r}."
    remedy = f"Known here: {', '.join(known)}."
    return Problem(table, key, "the key is unknown.", expected, remedy)


def _check_value(
    value: Any, kind: Any, *, table: str, key: str, root: type[msgspec.Struct]
) -> Iterator[Problem]:
    struct, many = _struct_of(kind), _is_many(kind)
    name = f"{table}.{key}" if table else key
    expected = f"Expected {describe(kind)}."
    if struct is not None and many:
        if not isinstance(value, list) or not value:
            yield Problem(
                table, key, f"it holds {_show(value)}.", expected, f"Write one [[{name}]] for each."
            )
            return
        for number, item in enumerate(value, start=1):
            if isinstance(item, dict):
                yield from check_table(item, struct, table=f"{name} {number}", root=root)
            else:
                yield Problem(table, key, f"it holds {_show(item)}.", expected, f"Write it as [[{name}]].")
    elif struct is not None:
        if isinstance(value, dict):
            yield from check_table(value, struct, table=name, root=root)
        else:
            yield Problem(table, key, f"it holds {_show(value)}.", expected, f"Write it as a table [{name}].")
    elif _naive(value):
        remedy = "Write it with one, such as 2026-03-01T00:00:00Z."
        yield Problem(table, key, f"{value} has no offset.", "A time needs its offset.", remedy)
    else:
        try:
            msgspec.convert(value, kind, builtin_types=(dt.datetime,))
        except msgspec.ValidationError as error:
            yield Problem(table, key, f"it holds {_show(value)}.", expected, f"({error}.)")
        except HarnessError as error:  # a struct that checks its values when it is made
            yield Problem(table, key, error.happened, error.expected, error.remedy)


def _naive(value: Any) -> bool:
    if isinstance(value, dt.datetime):
        return value.tzinfo is None
    return isinstance(value, dt.date | dt.time)


def _show(value: Any) -> str:
    text = value.isoformat() if isinstance(value, dt.datetime) else repr(value)
    return text if len(text) <= _SHOWN_MAX else text[: _SHOWN_MAX - 3] + "..."


def known_keys(root: type[msgspec.Struct], table: str = "") -> dict[str, list[str]]:
    """Return the known keys by table name; the top of the file is the table ""."""
    known: dict[str, list[str]] = {table: []}
    for field in msgspec.structs.fields(root):
        struct = _struct_of(field.type)
        if struct is None:
            known[table].append(field.encode_name)
        else:
            known |= known_keys(struct, f"{table}.{field.encode_name}" if table else field.encode_name)
    return known


def field_of(root: type[msgspec.Struct], table: str, key: str) -> msgspec.structs.FieldInfo:
    """Return the field that a known key of a table stands for."""
    for part in table.split(".") if table else ():
        nested = _struct_of(field_of(root, "", part).type)
        assert nested is not None, table
        root = nested
    return next(field for field in msgspec.structs.fields(root) if field.encode_name == key)


def _bare(kind: Any) -> Any:
    return typing.get_args(kind)[0] if typing.get_origin(kind) is typing.Annotated else kind


def _struct_of(kind: Any) -> type[msgspec.Struct] | None:
    kind = _bare(kind)
    for part in (kind, *typing.get_args(kind)):
        bare = _bare(part)
        if isinstance(bare, type) and issubclass(bare, msgspec.Struct) and not _is_array(bare):
            return bare
    return None


def _is_array(kind: type[msgspec.Struct]) -> bool:
    """Return whether the struct is written as a list of its fields' values."""
    return bool(kind.__struct_config__.array_like)


def _is_many(kind: Any) -> bool:
    return typing.get_origin(_bare(kind)) in (tuple, list)


_WORDS: dict[Any, str] = {
    str: "text",
    int: "an integer",
    float: "a number",
    bool: "true or false",
    dt.datetime: "a time with offset, without quotes",
}


_ABSENT = (type(None), msgspec.UnsetType)


def describe(kind: Any) -> str:
    """Return the words for the values that a key may hold, such as `a number above 0 and below 1`.

    >>> describe(typing.Annotated[float, msgspec.Meta(gt=0, lt=1)])
    'a number above 0 and below 1'
    """
    if typing.get_origin(kind) is typing.Annotated:
        bare, *notes = typing.get_args(kind)
        limits = " and ".join(limit for note in notes for limit in _limits(note))
        return f"{describe(bare)} {limits}".strip()
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin is None:
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            return f"[{', '.join(kind.__struct_fields__)}]" if _is_array(kind) else "a table"
        return _WORDS.get(kind, str(kind))
    if origin in (typing.Union, types.UnionType):
        return " or ".join(describe(arg) for arg in args if arg not in _ABSENT)
    if origin is typing.Literal:
        return "one of " + ", ".join(_quoted(arg) for arg in args if arg != "")
    return _describe_many(kind, args)


def _describe_many(kind: Any, args: tuple[Any, ...]) -> str:
    if _struct_of(kind):
        return "one or more tables"
    return f"a list of {len(args)} numbers" if args[-1] is float else f"a list of {describe(args[0])}"


def _quoted(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


def _limits(note: Any) -> Iterator[str]:
    if not isinstance(note, msgspec.Meta):
        return
    for value, words in (
        (note.gt, "above"),
        (note.ge, "of at least"),
        (note.lt, "below"),
        (note.le, "of at most"),
    ):
        if value is not None:
            yield f"{words} {value:g}"
    if note.min_length == 1 and not note.examples:
        yield "that is not empty"
    if note.examples:
        yield "such as " + " or ".join(f'"{example}"' for example in note.examples)
