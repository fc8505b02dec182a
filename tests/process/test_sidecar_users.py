"""Sidecar, services and operators are different users: who may what, and what is said to who may not."""

import logging
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Self

import pytest

from recorders import abandoned
from recorders.recorder import Recorder
from recorders.sidecar import commands
from recorders.sidecar.house import House
from recorders.sidecar.settings import load
from recorders.socket_link import SocketLink
from tests.support.houses import kept, opened
from tests.support.sidecars import FEATURES, POINT, ROOT, decisions, new_writer, settings_in, until
from tests.support.users import SERVICE, SIDECAR, given, needs_root, told

pytestmark = needs_root
NOWHERE = "postgresql://nobody@127.0.0.1:1/none"
# A sidecar as another user. It has imported before what it will need: root's Python is closed to it.
RUN = """
import sys
from pathlib import Path
from recorders.sidecar import commands, compose, sealed_frames
from recorders.sidecar.logs import write_json_lines
from recorders.sidecar.settings import load
from tests.support.users import SIDECAR, become
import psycopg, recorders.append, encodings.idna
write_json_lines()
become(SIDECAR, int(sys.argv[2]))
commands.run(load(Path(sys.argv[1])))
"""
GROUP = 64_100


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that all users may pass."""
    made = Path(tempfile.mkdtemp())
    yield given(made, 0, 0o755)
    shutil.rmtree(made)


@contextmanager
def running(place: Path, settings: str = "", group: int = SIDECAR) -> Iterator[Path]:
    """Run a sidecar as another user. Yield the file of its log."""
    config, log = place / "sidecar.toml", place / "log"
    config.write_text(f'folder = "{place}/home/spool"\n{settings}')
    with log.open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-c", RUN, str(config), str(group)],
            cwd=ROOT,
            env=os.environ | {"HARNESS_DATABASE_URL": NOWHERE},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    assert process.stdout is not None
    try:
        assert process.stdout.readline().startswith("ready:"), log.read_text()
        yield log
    finally:
        process.send_signal(signal.SIGTERM)
        process.stdout.close()
        assert process.wait(20) == 0, log.read_text()


def sent_to(address: Path) -> str:
    link = SocketLink(str(address), [FEATURES])
    receipt = link.send(decisions(new_writer(), 1))
    link.close()
    return f"kept {receipt.position}"


def test_what_a_sidecar_keeps_is_open_to_its_own_user_alone(place: Path) -> None:
    """Also in a folder that somebody made wider."""
    home = given_home(place)
    (home / "spool").mkdir()
    given(home / "spool", SIDECAR, 0o755)
    with running(place, '[doors]\nhttp = "127.0.0.1:0"\n'):
        assert told(SIDECAR, partial(sent_to, home / "spool" / "door.sock")) == "kept 1"
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (home / "spool").rglob("*")}
    assert {"ballast", "stamp", "inbox-00000001.db", "outbox-00000001.db-wal", "halves.db"} <= set(modes)
    assert modes.pop("door.sock") == 0o660
    assert {name: mode for name, mode in modes.items() if mode & 0o077} == {}


class LogCapture(logging.Handler):
    """The lines that the recorder's logger is given meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())

    def __enter__(self) -> Self:
        logging.getLogger("recorders").addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger("recorders").removeHandler(self)


def given_home(place: Path) -> Path:
    (place / "home").mkdir()
    return given(place / "home", SIDECAR, 0o755)


def test_services_of_the_sockets_group_come_in_and_others_are_told_why_not(place: Path) -> None:
    home = given_home(place)
    (place / "run").mkdir()
    given(place / "run", SIDECAR, 0o750, group=GROUP)
    with running(place, f'[door]\nsocket = "{place}/run/door.sock"\n', GROUP):
        door = place / "run" / "door.sock"
        assert told(SERVICE, partial(sent_to, door), group=GROUP) == "kept 1"
        refused = told(SERVICE, partial(sent_to, door))
        assert refused.startswith(f"SocketForbidden: The socket {door} is closed to user {SERVICE}")
        assert "Put it into the socket's group" in refused
        settings = settings_in(home / "spool")
        for ask in (commands.status, partial(commands.drain, timeout_s=1.0)):
            assert "SidecarForbidden" in told(SERVICE, partial(ask, settings))
        for look in (commands.inspect, commands.receipts):
            shown = told(SERVICE, partial(look, settings))
            assert shown.startswith("SpoolForbidden: The spool"), shown
            assert "is closed to user 64001" in shown
            assert "belongs to nobody" in shown


def test_a_spool_that_root_used_once_is_not_taken_for_a_damaged_one(place: Path) -> None:
    """What cannot be read would be put aside, and its events counted as lost."""
    spool = given_home(place) / "spool"
    with opened(spool, NOWHERE) as house:
        kept(house, [decisions(new_writer(), 1)])
    for path in spool.iterdir():
        path.chmod(0o600)
    for path in (spool, spool / "lock", spool / "stamp"):
        given(path, SIDECAR, 0o700)
    before = {path.name: path.read_bytes() for path in spool.iterdir()}
    said = told(SIDECAR, lambda: House(settings_in(spool)))
    assert said.startswith(
        f"SpoolForbidden: The spool {spool} is closed to nobody: {spool}/inbox-00000001.db"
    )
    assert "belongs to root." in said
    assert said.endswith(f"chown -R nobody {spool}.")
    assert {path.name: path.read_bytes() for path in spool.iterdir()} == before


def test_a_folder_of_another_user_is_left_as_it_is(place: Path) -> None:
    """Its ballast too: what is closed is not full."""
    spool = given_home(place) / "spool"
    spool.mkdir()
    (spool / "ballast").touch()
    (spool / "lock").touch(0o600)
    given(spool, 0, 0o777)
    said = told(SIDECAR, lambda: House(settings_in(spool)))
    assert said.startswith("SpoolForbidden")
    assert (spool / "ballast").exists()
    for folder in (place / "new", place / "new" / "deeper"):
        said = told(SIDECAR, partial(House, settings_in(folder)))
        assert f"is closed to nobody: {place} belongs to root." in said


def test_a_volume_may_hold_what_is_not_the_sidecars(place: Path) -> None:
    spool = given_home(place) / "spool"
    (spool / "lost+found").mkdir(parents=True, mode=0o700)
    given(spool, SIDECAR, 0o700)
    assert told(SIDECAR, lambda: House(settings_in(spool)).close()) == "None"


def test_settings_that_this_user_may_not_read_are_no_bad_toml(place: Path) -> None:
    config = place / "sidecar.toml"
    config.write_text("")
    given(config, 0, 0o600)
    said = told(SIDECAR, lambda: load(config))
    assert "Permission denied" in said
    assert said.endswith("Name it with --config, or let this user read it.")


# Left behind by another user.


def left_in(memory: Path | None, address: Path) -> None:
    """Record as a service that is killed. Its process ends without a goodbye."""
    link = SocketLink(str(address), [FEATURES])
    crash_proof = memory or True
    recorder = Recorder(POINT, FEATURES, link, model="m", model_version="1", crash_proof=crash_proof)
    assert recorder.record({"amount": 1.0, "country": "NZ"}, decision_id="last")
    os.kill(os.getpid(), signal.SIGKILL)


def memory_in(place: Path, mode: int, group: int) -> Path:
    (place / "memory").mkdir()
    return given(place / "memory", 0, mode, group=group)


@pytest.mark.parametrize("mode", [0o2770, 0o777])
def test_what_another_users_service_left_is_taken_over_or_missed_aloud(place: Path, mode: int) -> None:
    """Without the bit that hands on the group, the files are closed to the sidecar; nobody knew."""
    home, memory = given_home(place), memory_in(place, mode, GROUP)
    with running(place, f'[door]\nmemory = "{memory}"\n', GROUP) as log:
        told(SERVICE, partial(left_in, memory, home / "spool" / "door.sock"), group=GROUP + (mode == 0o777))
        if mode == 0o2770:
            until(lambda: list(memory.iterdir()) == [])
            assert "1 events that it left are kept" in log.read_text()
        else:
            until(lambda: "is closed to this user" in log.read_text())
            assert "install -d -m 2770" in log.read_text()
            assert abandoned.closed_to_us(memory) == []  # root reads all


def test_a_service_is_told_that_the_sidecar_of_its_memory_is_another_user(place: Path) -> None:
    door = place / "door.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(door))
        given(door, SIDECAR, 0o660)

        def said() -> str:
            with LogCapture() as captured:
                link = SocketLink(str(door), [FEATURES])
                Recorder(POINT, FEATURES, link, model="m", model_version="1", crash_proof=True).close(0.0)
            return "".join(captured.lines)

        assert "is another user: it takes over nothing" in told(SERVICE, said)
        assert told(SIDECAR, said) == ""
