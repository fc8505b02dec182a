"""Where the log is, and that its schema is ours: open, create, upgrade."""

import uuid
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from harness.config import Config, plain_url, shown_url
from harness.embedded import Embedded
from harness.errors import EncodingUnusable, LogExists, NotALog, SchemaTooNew, SchemaTooOld
from harness.log.connection import Connection, translated
from harness.log.log import Log
from harness.log.queries import query
from recorders.append import SESSION

if TYPE_CHECKING:
    from sqlalchemy import Engine

HOME = ".harness"
# The newest revision that this code knows; tests/postgres/test_schema.py compares it with the folder.
REVISION = "0004"
PARTITION_POSITIONS = 2**24
# Names in a log may be of any letters, and a header is chained as they are in this encoding.
ENCODING = "UTF8"
INIT_RIGHTS = (
    'Expected for "harness init" a superuser, or a login that owns the database and may make roles '
    "(CREATEROLE), or one that owns it and was granted harness_owner."
)


def open_log(
    folder: Path | str | None = None, *, url: str | None = None, role: str | None = None, create: bool = True
) -> Log:
    """Return the log of `folder` (default: the working folder), or the one at `url`.

    With nothing configured the embedded PostgreSQL starts, and is left again when the log is closed. A
    database without a log gets one if `create`; `role` is a role that the connection takes on for reading.

    Raises:
        DatabaseUnavailable, DatabaseRefused, EmbeddedFailed: the database.
        NotALog, SchemaTooNew, SchemaTooOld: what is in it.
    """
    config = Config.load(folder)
    home = config.folder / HOME
    own = url is None and config.url is None
    if own and not create and not home.exists():
        raise NotALog(str(config.folder), f"there is no {HOME} in it")
    with ExitStack() as failing:
        log = failing.enter_context(_connect(config, url, role))
        _check(log.url, config.clock, create=create or own, own=own)
        failing.pop_all()
    return log


def create_log(
    folder: Path | str | None = None,
    *,
    url: str | None = None,
    clock: str | None = None,
    partition_positions: int = PARTITION_POSITIONS,
) -> Log:
    """Return the log of `folder` or `url`, created if there was none, its schema upgraded if it was old.

    `clock` is `server` (positions carry the time of their commit) or `event` (that of their events:
    for history that is recorded later than it happened). It can never change.

    Raises:
        LogExists: a log with another clock is there.
        EncodingUnusable: there is none, and the database's encoding cannot hold one.
    """
    config = Config.load(folder)
    with ExitStack() as failing:
        log = failing.enter_context(_connect(config, url, None))
        _make(log.url, clock or config.clock, partition_positions)
        found = log.rows("identity")[0][2]
        if clock is not None and found != clock:
            raise LogExists(found, clock)
        failing.pop_all()
    return log


def _connect(config: Config, url: str | None, role: str | None) -> Log:
    address = config.url if url is None else plain_url(url)
    if address is not None:
        return Log(address, role=role, store=config.store)
    server = Embedded(config.folder / HOME)
    # The server's own login may do anything; what reads the log needs no more than an operator's rights.
    return Log(server.url, role=role or "harness_operator", server=server, store=config.store)


def _check(url: str, clock: str, *, create: bool, own: bool) -> None:
    """Make sure that a log of our revision stands at `url`."""
    found = revision(url)
    if found is not None and found > REVISION:
        raise SchemaTooNew(found, REVISION)
    if found == REVISION and has_log(url):
        return
    if found not in {None, REVISION} and not own:
        raise SchemaTooOld(str(found), REVISION)
    if not create:
        raise NotALog(shown_url(url), "it has no schema harness" if found is None else "its tables are empty")
    _make(url, clock, PARTITION_POSITIONS)


def _make(url: str, clock: str, partition_positions: int) -> None:
    """Make the log at `url` if there is none, and bring its schema to our revision."""
    found = encoding(url)
    if found != ENCODING and not has_log(url):
        raise EncodingUnusable(shown_url(url), f"its encoding is {found}")
    if revision(url) != REVISION:
        upgrade(url)
    _create(url, clock, partition_positions)


def encoding(url: str) -> str:
    """Return the encoding of the database at `url`, as PostgreSQL calls it."""
    connection = Connection(url)
    try:
        return str(connection.row(query("encoding"))[0])
    finally:
        connection.close()


def revision(url: str) -> str | None:
    """Return the revision of the schema at `url`, None when there is none."""
    found = _optional(url, "state")
    return str(found[0][0]) if found else None


def has_log(url: str) -> bool:
    """Return whether a log was created at `url`."""
    return bool(_optional(url, "identity"))


def _optional(url: str, name: str) -> list[tuple[Any, ...]]:
    connection = Connection(url)
    try:
        return connection.rows(query(name))
    except NotALog:
        return []
    finally:
        connection.close()


def _create(url: str, clock: str, partition_positions: int) -> None:
    with translated(shown_url(url), INIT_RIGHTS), psycopg.connect(url, **SESSION) as connection:
        connection.execute("select pg_advisory_xact_lock(%s)", [0x6861726E657373])
        connection.execute("set local role harness_owner")
        connection.execute(
            "select harness.create_log(%s, %s, %s)", [uuid.uuid4(), clock, partition_positions]
        )


def upgrade(url: str) -> None:
    """Bring the schema at `url` to our revision, in one transaction. Two at once take turns.

    Raises:
        DatabaseUnavailable: nothing answers there.
        DatabaseRefused: the login has not the rights that this needs; the error names them.
    """
    from alembic import command
    from alembic.config import Config as AlembicConfig
    from sqlalchemy.exc import DBAPIError

    settings = AlembicConfig()
    settings.set_main_option("script_location", str(migrations()).replace("%", "%%"))
    settings.set_main_option("path_separator", "os")
    bound = engine(url)
    with translated(shown_url(url), INIT_RIGHTS):
        try:
            with bound.connect() as connection:
                settings.attributes["connection"] = connection
                command.upgrade(settings, "head")
        except DBAPIError as error:
            # SQLAlchemy wraps the driver's error, which says what happened in words of the server.
            raise (error.orig or error) from error
        finally:
            bound.dispose()


def engine(url: str | None = None) -> "Engine":
    """Return an engine for Alembic on `url`, or on what is configured; it connects as all others do."""
    import sqlalchemy

    address = url or Config.load().url
    if address is None:
        raise NotALog("the embedded PostgreSQL", "Alembic's own command needs HARNESS_DATABASE_URL")
    plain = plain_url(address)
    return sqlalchemy.create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(plain, **SESSION),
        poolclass=sqlalchemy.NullPool,
    )


def migrations() -> Path:
    """Return the folder of the migrations: beside the packages in the source tree, within in a wheel."""
    here = Path(__file__).parent
    inside = here / "migrations"
    return inside if inside.is_dir() else here.parent / "migrations"
