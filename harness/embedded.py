"""A PostgreSQL of one's own in `.harness/`: started when the first command needs it, stopped by the last.

Who uses the server is known by a shared lock that each process holds on one file. The kernel drops it however
a process ends, so that a `kill -9` leaves no count that could be wrong; a server that was left running that
way is used by the next command and stopped by it. Starting and stopping take turns on a second lock.

The server listens on a Unix socket in a folder that nobody else may enter, and trusts whoever gets there: it
is one person's, not for shared use.
"""

import atexit
import fcntl
import hashlib
import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from harness.embedded_account import account, binaries, make_home, make_private
from harness.errors import EmbeddedFailed, FolderUnusable

DATABASE = "harness"
STOP_S = 30
START_S = 300  # crash recovery of a large log takes its time
SOCKET_NAME = ".s.PGSQL"
SOCKET_BYTES_MAX = 103  # sun_path has 104 bytes on macOS, 108 on Linux, with the zero at its end
LOG_BYTES_MAX = 10_000_000
SETTINGS = """
# Set by the harness. fsync, full_page_writes and synchronous_commit stay on: what is acknowledged is durable.
listen_addresses = ''
unix_socket_permissions = 0700
max_connections = 60
shared_buffers = 256MB
max_wal_size = 4GB
checkpoint_timeout = 15min
wal_compression = off
jit = off
client_connection_check_interval = 5s
log_min_messages = warning
"""


class Embedded:
    """A running server that stays up at least until `close`. One for each user, also within a process."""

    def __init__(self, home: Path, *, major: int = 18, port: int = 5432) -> None:
        self.home = home
        self.data = home / "postgres"
        self._binaries = binaries(major)
        self._port = port  # names the socket; nothing listens on the network
        self._account = account()
        self._users: int | None = None
        try:
            make_home(home, self._account)
            os.close(os.open(home / "postgres.lock", os.O_RDWR | os.O_CREAT, 0o600))
        except OSError as error:
            raise FolderUnusable(home, error.strerror or str(error)) from error
        with self._turn(), ExitStack() as failing:
            users = os.open(home / "postgres.users", os.O_RDWR | os.O_CREAT, 0o600)
            failing.callback(os.close, users)
            fcntl.flock(users, fcntl.LOCK_SH)
            self._ensure_running()
            failing.pop_all()
        self._users = users
        atexit.register(self.close)

    @property
    def url(self) -> str:
        """The address of the log's database, as its superuser."""
        host = quote(str(self._socket_folder()), safe="")
        return f"postgresql://postgres@/{DATABASE}?host={host}&port={self._port}"

    def close(self) -> None:
        """Leave; the last one stops the server. A second call does nothing."""
        if self._users is None:
            return
        atexit.unregister(self.close)
        if not self.home.exists():
            # Somebody removed the folder under us; the server ends by itself when it misses its pid file.
            os.close(self._users)
            self._users = None
            return
        with self._turn():
            os.close(self._users)
            self._users = None
            last = os.open(self.home / "postgres.users", os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(last, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            else:
                self._stop()
            finally:
                os.close(last)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        turn = os.open(self.home / "postgres.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(turn, fcntl.LOCK_EX)
            yield
        finally:
            os.close(turn)

    def _ensure_running(self) -> None:
        if not (self.data / "PG_VERSION").exists():
            self._initialise()
        if not self._listens():
            self._free_stale_pid()
            self._start()
        self._ensure_database()

    def _initialise(self) -> None:
        """Make the data folder beside its place, then move it: a kill in between leaves nothing half made."""
        fresh = self.home / "postgres.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        if self._account:
            shutil.chown(fresh, self._account, self._account)
        self._run("initdb", "-D", str(fresh), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C")
        with (fresh / "postgresql.conf").open("a", encoding="utf-8") as settings:
            settings.write(SETTINGS)
        fresh.rename(self.data)

    def _start(self) -> None:
        folder = self._socket_folder()
        if folder != self.data:
            make_private(folder, self._account)
        log = self.data / "server.log"
        if log.exists() and log.stat().st_size > LOG_BYTES_MAX:
            log.replace(log.with_suffix(".log.1"))
        options = f"-p {self._port} -k {shlex.quote(str(folder))}"
        command = ("-D", str(self.data), "-w", "-t", str(START_S), "-l", str(log), "-o", options, "start")
        # After a kill -9 of the server its children may hold the shared memory for a moment.
        for pause in (0.3, 1.0, 3.0):
            with suppress(EmbeddedFailed):
                self._run("pg_ctl", *command)
                return
            time.sleep(pause)
        self._run("pg_ctl", *command)

    def _stop(self) -> None:
        if not self._listens():
            return
        # A server that was asked to stop while it recovered from a crash was seen to hang for a minute.
        # Stopping it at once loses nothing: what was acknowledged is in its write-ahead log.
        for mode in ("fast", "immediate"):
            with suppress(EmbeddedFailed):
                self._run("pg_ctl", "-D", str(self.data), "-w", "-t", str(STOP_S), "-m", mode, "stop")
                return
            if not self._listens():  # it was being killed while we asked
                return
        # Nobody ends a process that the kernel holds, as where much was written to its disk just before. The
        # work is done and in the write-ahead log, so that it is no failure of whoever asked for it.
        sys.stderr.write(
            f"The embedded PostgreSQL was told to stop and has not within {2 * STOP_S} s, as where its disk "
            "is busy. It stops when it can; nothing is lost, and the next command waits for it.\n"
        )

    def _listens(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(self._socket_folder() / f"{SOCKET_NAME}.{self._port}"))
            except OSError:
                return False
        return True

    def _ensure_database(self) -> None:
        """Wait until the server takes work (it may still be recovering) and holds our database."""
        host = str(self._socket_folder())
        deadline = time.monotonic() + START_S
        while True:
            try:
                with psycopg.connect(
                    host=host, port=self._port, user="postgres", dbname="postgres", autocommit=True
                ) as connection:
                    if not connection.execute(
                        "select 1 from pg_database where datname = %s", [DATABASE]
                    ).fetchone():
                        name = sql.Identifier(DATABASE)
                        connection.execute(sql.SQL("create database {} template template0").format(name))
            except psycopg.OperationalError as error:
                if time.monotonic() > deadline:
                    raise EmbeddedFailed(f"{error}.", self._log_end()) from error
                if not self._listens():  # it was stopping still when we came, and has
                    self._free_stale_pid()
                    self._start()
                time.sleep(0.05)
            else:
                return

    def _free_stale_pid(self) -> None:
        """Let PostgreSQL start although its pid file names a living process that is none of its own.

        It takes the file for stale when its number is dead, or that of whoever started it: ours. It must not
        be removed: its other lines are how PostgreSQL finds children of a killed server that still write.
        """
        path = self.data / "postmaster.pid"
        with suppress(FileNotFoundError, ValueError):
            first, newline, rest = path.read_text(encoding="utf-8").partition("\n")
            if _is_alive(int(first)) and not _is_postgres(int(first), self.data):
                path.write_text(f"{os.getpid()}{newline}{rest}", encoding="utf-8")

    def _socket_folder(self) -> Path:
        """Return where the socket is: in the data folder, or in a short private one if that is too long."""
        with suppress(OSError, IndexError):
            lines = (self.data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
            if lines[4].strip():
                return Path(lines[4].strip())
        name = str(self.data / f"{SOCKET_NAME}.{self._port}.lock")
        if len(os.fsencode(name)) <= SOCKET_BYTES_MAX and not set(name) & set(",\"'"):
            return self.data
        short = hashlib.sha256(os.fsencode(str(self.data))).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"harness-{os.getuid()}-{short}"

    def _run(self, program: str, *arguments: str) -> None:
        with tempfile.TemporaryFile() as output:
            done = subprocess.run(  # noqa: S603 - our own binary and arguments
                [str(self._binaries / program), *arguments],
                user=self._account,
                group=self._account,
                extra_groups=[] if self._account else None,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
            )
            output.seek(0)
            text = output.read().decode(errors="replace")
        if done.returncode:
            raise EmbeddedFailed(f"{program} ended with {done.returncode}.", text + self._log_end())

    def _log_end(self) -> str:
        with suppress(OSError):
            return "\n" + (self.data / "server.log").read_text(encoding="utf-8", errors="replace")[-800:]
        return ""


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _is_postgres(pid: int, data: Path) -> bool:
    """Return whether the living process is a server on this data folder: numbers are given out again."""
    if Path("/proc/self/cwd").exists():
        with suppress(OSError):
            return Path(f"/proc/{pid}/cwd").readlink() == data.resolve()
        return False
    found = subprocess.run(["ps", "-o", "comm=", "-p", str(pid)], capture_output=True, text=True, check=False)  # noqa: S603, S607
    return "postgres" in found.stdout
