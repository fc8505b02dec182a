"""Where and how often: `harness.toml` and the environment. What can change a verdict is never here."""

import difflib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from harness.errors import ConfigError

FILE = "harness.toml"
VARIABLE = "HARNESS_DATABASE_URL"
CLOCKS = ("server", "event")
# Sections with a reader elsewhere are passed through in `sections`.
KNOWN = {"database": ("url",), "log": ("clock",), "schedule": None, "jobs": None, "report": None}
DRIVERS = ("postgresql://", "postgres://", "postgresql+psycopg://", "postgresql+psycopg2://")


class Config(msgspec.Struct, frozen=True):
    """Where the log is. `url` is None for the embedded PostgreSQL in `folder`."""

    folder: Path
    url: str | None
    clock: str = "server"
    sections: Mapping[str, Any] = {}

    @classmethod
    def load(cls, folder: Path | str | None = None) -> "Config":
        """Return the configuration of `folder` (default: the working folder).

        The environment wins over the file. Without either the database is embedded.

        Raises:
            ConfigError: the file is no TOML, names an unknown key, or the address is not PostgreSQL's.
        """
        where = Path(folder or Path.cwd()).absolute()
        sections = _sections(where / FILE)
        url = os.environ.get(VARIABLE) or sections.get("database", {}).get("url") or None
        clock = sections.get("log", {}).get("clock", "server")
        if clock not in CLOCKS:
            raise ConfigError(
                f'log.clock is "{clock}" in {where / FILE}.', 'Expected "server" or "event".', "Correct it."
            )
        return cls(where, None if url is None else plain_url(url), clock, sections)


def _sections(path: Path) -> dict[str, Any]:
    try:
        sections = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise ConfigError(
            f"{path} cannot be read: {error}.", "Expected TOML.", "Correct the file."
        ) from error
    for section, values in sections.items():
        _check_name(path, section, KNOWN)
        keys = KNOWN[section]
        if keys is not None:
            if not isinstance(values, dict):
                raise ConfigError(
                    f"{section} is a value in {path}.", f"Expected a table [{section}].", "Correct it."
                )
            for key in values:
                _check_name(path, key, keys)
    return sections


def _check_name(path: Path, name: str, known: Any) -> None:
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f'Did you mean "{near[0]}"?' if near else "Remove it."
        raise ConfigError(f'"{name}" in {path} is unknown.', f"Expected one of {', '.join(known)}.", hint)


def plain_url(url: str) -> str:
    """Return the address as libpq reads it; SQLAlchemy's forms are accepted too.

    >>> plain_url("postgresql+psycopg://db.example/log")
    'postgresql://db.example/log'
    """
    for driver in DRIVERS:
        if url.startswith(driver):
            return "postgresql://" + url.removeprefix(driver)
    raise ConfigError(
        f'The database address begins with "{url.split("://", maxsplit=1)[0][:20]}".',
        "Expected postgresql://user:password@host/database.",
        f"Correct {VARIABLE} (or unset it to use the embedded PostgreSQL).",
    )


def shown_url(url: str) -> str:
    """Return the address without its password, for messages.

    >>> shown_url("postgresql://ada:secret@db.example/log")
    'postgresql://ada@db.example/log'
    """
    scheme, _, rest = url.partition("://")
    login, at, host = rest.rpartition("@")
    return f"{scheme}://{login.partition(':')[0]}{at}{_without_password(host)}"


def _without_password(host: str) -> str:
    place, mark, query = host.partition("?")
    kept = [part for part in query.split("&") if part and not part.startswith("password=")]
    return place + (mark + "&".join(kept) if kept else "")
