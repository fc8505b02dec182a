"""What must be right here for the harness to work, and what to do where it is not."""

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import metadata, util
from pathlib import Path
from typing import Literal

import msgspec

from harness.config import Config, shown_url
from harness.database import ENCODING, HOME, REVISION, encoding, has_log, open_log, revision
from harness.log.connection import Connection
from recorders.errors import HarnessError
from replay.isolation import IsolatedModel, open_isolated
from replay.isolation.crowd import HELD

WHOLE = "shadow-harness"
RECORDER = "shadow-harness-recorder"  # holds `recorders` alone: the same files, if it is of the same version
NAMES = ("harness", "recorders", "replay", "policies")
PYTHON_MIN = (3, 11)
# The minor releases of 14 May 2026 close eleven security faults; older ones are not to be run.
MINORS_MIN = {14: 23, 15: 18, 16: 14, 17: 10, 18: 4}
# Newer known ones: CVE-2026-16239 lets any SQL user run code as the server's account.
MINORS_SAFE = {15: 19, 18: 6}
DISK_FREE_MIN = 2**30
CLOCK_SKEW_MAX_S = 5.0
MARKS = {"ok": "✓", "warning": "!", "failed": "✗"}


class Check(msgspec.Struct, frozen=True):
    """One finding; `remedy` is empty when nothing is to be done."""

    name: str
    state: Literal["ok", "warning", "failed"]
    found: str
    remedy: str = ""


def diagnose(folder: Path) -> list[Check]:
    """Return every finding for the harness in `folder`, in the order in which to mend them."""
    checks = [_python(), *_names(), _disk(folder), _challengers()]
    try:
        checks += _database(folder)
    except HarnessError as error:
        checks.append(Check("database", "failed", f"{error.happened} {error.expected}", error.remedy))
    return checks


def _python() -> Check:
    found = platform.python_version()
    if sys.version_info < PYTHON_MIN:
        return Check("python", "failed", found, "Install Python 3.11 or newer.")
    return Check("python", "ok", found)


def _names() -> Iterator[Check]:
    """Our four top-level names are generic: another package may have taken one."""
    owners = metadata.packages_distributions()
    for name in NAMES:
        others = sorted(set(owners.get(name, ())) - {WHOLE, RECORDER})
        spec = util.find_spec(name)
        place = Path(spec.origin).parent if spec and spec.origin else None
        ours = Path(__file__).parents[1] / name
        if others:
            yield Check(
                name, "failed", f"also installed by {', '.join(others)}", f"Uninstall {others[0]} here."
            )
        elif place != ours:
            yield Check(
                name, "failed", f"comes from {place}, not from {ours}", "Remove or rename what shadows it."
            )
        elif RECORDER in owners.get(name, ()):
            yield _beside_recorder(name, place)
        else:
            yield Check(name, "ok", str(place))


def _beside_recorder(name: str, place: Path) -> Check:
    """Judge the recorder's own distribution beside ours: both own the same files; the last one wrote them."""
    ours, theirs = metadata.version(WHOLE), metadata.version(RECORDER)
    if ours == theirs:
        return Check(name, "ok", f"{place}, also installed by {RECORDER} {theirs}")
    return Check(
        name,
        "failed",
        f"installed by {WHOLE} {ours} and by {RECORDER} {theirs}, whose files may be mixed",
        f"Uninstall {RECORDER}, then reinstall {WHOLE}: it has the recorder in it.",
    )


def _disk(folder: Path) -> Check:
    place = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(place).free
    found = f"{free / 2**30:.1f} GiB free at {place}"
    if free < DISK_FREE_MIN:
        return Check("disk", "failed", found, "Free at least 1 GiB, or use a folder on another disk.")
    return Check("disk", "ok", found)


def _challengers() -> Check:
    """Tell what this system holds a challenger back from: a child is made, and says what is in force."""
    model = open_isolated("py:replay.adapters.forms:matrix", inputs=("x",))
    assert isinstance(model, IsolatedModel), "only the recorded champion has no process"
    with model:
        report = model.account.sandbox
    lacking = {part: state for part, state in report.items() if state != HELD}
    if not lacking:
        return Check("challengers", "ok", f"held back from {', '.join(report)} by the kernel")
    found = ", ".join(f"{part} {state}" for part, state in lacking.items())
    remedy = "Let only models of your own be challengers here, or permit user namespaces and Landlock."
    return Check("challengers", "warning", found, remedy)


def _database(folder: Path) -> Iterator[Check]:
    config = Config.load(folder)
    if config.url is None:
        yield from _embedded(config)
        return
    yield Check("database", "ok", shown_url(config.url))
    yield from _server(config.url)


def _embedded(config: Config) -> Iterator[Check]:
    home = config.folder / HOME
    if not home.exists():
        yield Check("database", "warning", "embedded, not yet created", 'Run "harness init".')
        return
    if not os.access(home, os.W_OK | os.X_OK):
        yield Check(
            "database", "failed", f"{home} is not writable", "Run as its owner, or use another folder."
        )
        return
    with open_log(config.folder) as log:
        yield Check("database", "ok", f"embedded in {home}: one person's, not for shared use")
        yield from _server(log.url)


def _server(url: str) -> Iterator[Check]:
    connection = Connection(url)
    try:
        yield _version(int(connection.row("select current_setting('server_version_num')::int")[0]))
        yield _clock(connection)
        yield _rights(connection)
    finally:
        connection.close()
    found, there = revision(url), has_log(url)
    yield _encoding(encoding(url), there=there)
    if found is None or (found == REVISION and not there):
        yield Check("schema", "failed", "no log here", 'Run "harness init".')
    elif found != REVISION:
        newer = found > REVISION
        remedy = "Upgrade shadow-harness." if newer else 'Run "harness init".'
        yield Check("schema", "failed", f"revision {found}, this code knows {REVISION}", remedy)
    else:
        yield Check("schema", "ok", f"revision {found}")


def _encoding(found: str, *, there: bool) -> Check:
    """Judge a database by its encoding, where a log is `there` or is to be."""
    if found == ENCODING:
        return Check("encoding", "ok", found)
    if not there:
        remedy = 'Make another: "createdb --template template0 --encoding UTF8 NAME".'
        return Check("encoding", "failed", f"{found}, a log needs {ENCODING}", remedy)
    remedy = (
        "Stop who writes, pg_dump it, and restore it into a database that was made with "
        '"createdb --template template0 --encoding UTF8 NAME". Until then name all in ASCII letters.'
    )
    return Check("encoding", "warning", f"{found}, which cannot hold all names", remedy)


def _version(number: int) -> Check:
    """Judge a server by its version number, such as 180004 for 18.4."""
    major, minor = divmod(number, 10_000)
    found = f"PostgreSQL {major}.{minor}"
    if major < min(MINORS_MIN):
        return Check("postgresql", "failed", found, "Upgrade to PostgreSQL 14 or newer.")
    if minor < MINORS_MIN.get(major, 0):
        return Check(
            "postgresql", "failed", found, f"Upgrade to {major}.{MINORS_MIN[major]} or newer: security fixes."
        )
    if minor < MINORS_SAFE.get(major, 0):
        remedy = (
            f"{major}.{MINORS_SAFE[major]} closes CVE-2026-16239: until then let nobody else use this server."
        )
        return Check("postgresql", "warning", found, remedy)
    return Check("postgresql", "ok", found)


def _clock(connection: Connection) -> Check:
    before = datetime.now(UTC)
    server = connection.row("select clock_timestamp()")[0]
    after = datetime.now(UTC)
    skew = max((before - server).total_seconds(), (server - after).total_seconds(), 0.0)
    found = f"{skew:.3f} s from the server's"
    if skew > CLOCK_SKEW_MAX_S:
        return Check("clock", "failed", found, "Synchronise the clocks of this machine and of the server.")
    return Check("clock", "ok", found)


def _rights(connection: Connection) -> Check:
    """PUBLIC must not have what would let a login divert harness.append into tables of its own."""
    open_to_all = connection.row(
        "select has_database_privilege('public', current_database(), 'TEMP')"
        " or has_database_privilege('public', current_database(), 'CREATE')"
    )[0]
    if open_to_all:
        remedy = "As the database's owner: REVOKE TEMPORARY, CREATE ON DATABASE ... FROM PUBLIC."
        return Check("rights", "failed", "PUBLIC may create tables in this database", remedy)
    return Check("rights", "ok", "PUBLIC may create nothing in this database")
