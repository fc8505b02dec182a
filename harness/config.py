"""Where and how often: `harness.toml` and the environment. What can change a verdict is never here."""

import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import msgspec

from harness.errors import ConfigError

FILE = "harness.toml"
VARIABLE = "HARNESS_DATABASE_URL"
CLOCKS = ("server", "event")
LIMITS = ("timeout_s", "open_timeout_s", "memory_mb", "processes", "threads")
# Sections with a reader elsewhere are passed through in `sections`.
KNOWN = {
    "database": ("url",),
    "log": ("clock", "keep"),
    "challengers": LIMITS,
    "store": ("url", "options", "covers", "timeout_s"),
    "schedule": None,
    "jobs": None,
    "integrity": None,
}
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]{0,19}")
_PLACE = re.compile(r"([^:/@]*|\[[^\]/]*\])(:\d*)?(,([^:/@]*|\[[^\]/]*\])(:\d*)?)*(/[^@]*)?")
_PARTS = re.compile(r"([A-Za-z_%0-9]+=[^&]*(&|$))*")
_SECRET = ("password", "secret")
DRIVERS = ("postgresql://", "postgres://", "postgresql+psycopg://", "postgresql+psycopg2://")


class StorePlace(msgspec.Struct, frozen=True):
    """Where segments are: a folder or the address of an object store, and options of its fsspec package.

    `covers`: it fails apart from the database, so that writers may let go of what is sealed there.
    `timeout_s`: an object store that takes longer for a request, and what its bytes need beside, is silent.
    """

    url: str
    options: Mapping[str, Any] = {}
    covers: bool = False
    timeout_s: float = 60.0


class Config(msgspec.Struct, frozen=True):
    """Where the log is. `url` is None for the embedded PostgreSQL in `folder`."""

    folder: Path
    url: str | None
    clock: str = "server"
    sections: Mapping[str, Any] = {}

    @property
    def keep(self) -> str | None:
        """How long events stay in the database after they are sealed; None: for ever."""
        said = self.sections.get("log", {}).get("keep")
        return None if said is None else str(said)

    @property
    def store(self) -> StorePlace:
        """Where segments are; a folder beside the embedded server when harness.toml says nothing."""
        section = self.sections.get("store", {})
        url = section.get("url", str(self.folder / ".harness" / "store"))
        if "://" not in url:
            url = str(self.folder / url)
        patience = float(section.get("timeout_s", StorePlace.__struct_defaults__[-1]))
        return StorePlace(url, section.get("options", {}), section.get("covers") is True, patience)

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
        if url is not None and not isinstance(url, str):
            raise ConfigError(
                f"database.url is no text in {where / FILE}.",
                "Expected postgresql://user:password@host/database.",
                "Correct it, or leave it out to use the embedded PostgreSQL.",
            )
        store = sections.get("store", {})
        if not isinstance(store.get("url", ""), str) or not isinstance(store.get("options", {}), dict):
            raise ConfigError(
                f"[store] in {where / FILE} is not an address and a table of options.",
                'Expected url = "s3://bucket/prefix", and options as a table if there are any.',
                "Correct it, or leave it out to keep segments in .harness/store.",
            )
        if store.get("url", "kept") == "":
            raise ConfigError(
                f"[store] url in {where / FILE} is empty: segments would lie beside harness.toml.",
                'Expected url = "s3://bucket/prefix", or a folder.',
                "Write it, or leave it out to keep segments in .harness/store.",
            )
        patience = store.get("timeout_s", 1)
        if isinstance(patience, bool) or not isinstance(patience, int | float) or not 0 < patience < 86_400:  # noqa: PLR2004
            raise ConfigError(
                f"[store] timeout_s in {where / FILE} is {patience!r}.",
                "Expected seconds, more than 0 and less than a day.",
                "Correct it, or leave it out for 60.",
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

    Raises:
        ConfigError: libpq cannot read it. The message quotes nothing that may be a password.

    >>> plain_url("postgresql+psycopg://db.example/log")
    'postgresql://db.example/log'
    """
    for driver in DRIVERS:
        if url.startswith(driver):
            return _readable("postgresql://" + url.removeprefix(driver))
    scheme, mark, _ = url.partition("://")
    known = mark and _SCHEME.fullmatch(scheme)
    raise ConfigError(
        f'The database address begins with "{scheme}".' if known else "The database address has no scheme.",
        "Expected postgresql://user:password@host/database.",
        f"Correct {VARIABLE} (or unset it to use the embedded PostgreSQL).",
    )


def _readable(url: str) -> str:
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    try:
        conninfo_to_dict(url)
    except (psycopg.Error, UnicodeError, ValueError) as error:
        # libpq quotes what it stumbles over, which may be the password.
        reason = str(error).strip().partition("\n")[0].partition('"')[0].strip().rstrip(":")
        raise ConfigError(
            f"The database address {shown_url(url)} cannot be read: {reason}.",
            "Expected postgresql://user:password@host/database, with %25 for % and %40 for @ in a password.",
            f"Correct {VARIABLE} or [database] url.",
        ) from error
    return url


def shown_url(url: str) -> str:
    """Return the address without its passwords, for messages; of one that is not plain, the scheme alone.

    >>> shown_url("postgresql://ada:secret@db.example/log?sslpassword=secret&sslmode=require")
    'postgresql://ada@db.example/log?sslmode=require'
    >>> shown_url("postgresql://ada:se?cret@db.example/log")
    'postgresql://...'
    """
    scheme, mark, rest = url.partition("://")
    body, _, query = rest.partition("?")
    login, at, place = body.rpartition("@")
    # A password with a bare ? or / ends the login early: what follows it is then no host and no query.
    if not mark or _PLACE.fullmatch(place) is None or (not at and _PARTS.fullmatch(query) is None):
        return f"{scheme}://..." if mark and _SCHEME.fullmatch(scheme) else "..."
    kept = [part for part in query.split("&") if part and not _secret(part.partition("=")[0])]
    return f"{scheme}://{login.partition(':')[0]}{at}{place}{'?' if kept else ''}{'&'.join(kept)}"


def _secret(key: str) -> bool:
    return any(word in unquote(key).lower() for word in _SECRET)
