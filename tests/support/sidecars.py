"""Sidecars for tests: real processes on folders of their own, and frames that an oracle finds again."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self
from uuid import UUID, uuid4

import msgspec

from harness.log.log import Log
from recorders.canonical import digest
from recorders.fields import FeatureSet, Field
from recorders.frame import Frame, Kind
from recorders.sidecar.disk import Disk
from recorders.sidecar.place import Place
from recorders.sidecar.recent import Recent
from recorders.sidecar.settings import Settings, ShipSettings, SpoolSettings
from recorders.sidecar.spool import Rules, Spool
from recorders.sidecar.wire import KINDS, NO_SCHEMA, Arrived

ROOT = Path(__file__).parents[2]
POINT = "shop.checkout"
FEATURES = FeatureSet("shop", 1, (Field("amount", "float64"), Field("country", "category")))
OWNER = UUID(int=7)
START_S = 30.0


def decisions(writer: UUID, sequence: int, events: int = 4, *, salt: str = "", padding: int = 0) -> Frame:
    """Return a frame whose decision ids name writer, sequence and place."""
    rows = [
        (
            f"{writer}/{sequence}/{place}{salt}",
            1_700_000_000_000_000 + sequence,
            None, "m", "1", 0.5, "yes", None, 1.0, None, None,
            float(place), "NZ" + "x" * padding,
            None,
        )
        for place in range(events)
    ]  # fmt: skip
    return _frame(writer, sequence, "decision", FEATURES.digest, events, msgspec.msgpack.encode(rows))


def outcomes(writer: UUID, sequence: int, events: int = 2) -> Frame:
    """Return a frame of outcomes of decisions that carry the same names."""
    rows = [(f"{writer}/{sequence}/{place}", "paid", 1.0, 1_700_000_000_000_000) for place in range(events)]
    return _frame(writer, sequence, "outcome", "", events, msgspec.msgpack.encode(rows))


def losses(writer: UUID, sequence: int, count: int, reason: str = "full") -> Frame:
    """Return the frame in which a recorder reports what it dropped."""
    payload = msgspec.msgpack.encode([(writer, reason, count, 0, 1_000_000)])
    return _frame(writer, sequence, "loss", "", 1, payload)


def _frame(writer: UUID, sequence: int, kind: Kind, schema: str, events: int, payload: bytes) -> Frame:
    return Frame(writer, sequence, kind, POINT, schema, events, payload, digest(payload))


def arrived(frame: Frame) -> Arrived:
    """Return a frame as the spool takes it."""
    return Arrived(
        frame.writer.bytes,
        frame.sequence,
        KINDS.index(frame.kind),
        frame.decision_point,
        bytes.fromhex(frame.schema_digest) or NO_SCHEMA,
        frame.events,
        bytes.fromhex(frame.digest),
        frame.payload,
    )


def names(frames: Sequence[Frame]) -> list[str]:
    """Return the decision ids that the frames hold."""
    return [row[0] for frame in frames for row in msgspec.msgpack.decode(frame.payload)]


def spool_in(folder: Path, *, composed: Place = Place(0, 0), rules: Rules = Rules(), **bounds: int) -> Spool:  # noqa: B008
    """Return an open spool without a sidecar, which reads what it says it has from its disk."""
    folder.mkdir(exist_ok=True)
    limits = {"quota_bytes": 2**40, "free_bytes_min": 0, "ballast_bytes": 0} | bounds
    return from_disk(Spool(folder, Disk(folder, **limits), rules, owner=OWNER, composed=composed))


def from_disk(spool: Spool) -> Spool:
    """Return a spool that has nothing in memory: a test that reads sees what its files hold."""
    spool._recent = Recent(Place(2**31, 0))
    return spool


def settings_in(folder: Path, url: str = "", **spool: int | str) -> Settings:
    """Return settings that suit a test: little waiting, small files."""
    kept = {"segment_bytes": 262_144, "free_bytes_min": 0, "ballast_bytes": 0} | spool
    ship = ShipSettings(linger_s=0.05, backoff_s=0.05, backoff_max_s=0.5)
    return Settings(folder=str(folder), spool=msgspec.convert(kept, SpoolSettings), ship=ship, url=url)


def decision_ids(log: Log) -> list[str]:
    """Return the decision ids that the log holds, in its order."""
    head = log.head().position
    batches = log.read(1, head + 1, kind="decision", decision_point=POINT, columns=["decision_id"])
    return [value for batch in batches for value in batch.column("decision_id").to_pylist()]


class Running:
    """A sidecar process. `settings` is TOML beyond the folder; `python` may be of another environment."""

    def __init__(
        self,
        folder: Path,
        url: str,
        settings: str = "",
        environment: dict[str, str] | None = None,
        python: Path | None = None,
    ) -> None:
        self.folder = folder
        # Elsewhere than in the tree, another environment has what is installed there.
        self._python, self._home = python or sys.executable, folder.parent if python else ROOT
        self.config = folder.parent / f"{folder.name}.toml"
        self.config.write_text(f'folder = "{folder}"\n{settings}')
        self._environment = {**os.environ, "HARNESS_DATABASE_URL": url, **(environment or {})}
        self.log = folder.parent / f"{folder.name}.log"
        self.process: subprocess.Popen[str] | None = None

    @property
    def address(self) -> str:
        return str(self.folder / "door.sock")

    def command(self, *arguments: str) -> list[str]:
        return [str(self._python), "-m", "recorders.sidecar", *arguments, "--config", str(self.config)]

    def start(self) -> Self:
        with self.log.open("a") as errors:
            self.process = subprocess.Popen(
                self.command("run"),
                cwd=self._home,
                env=self._environment,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("ready:"), f"{line!r} {self.log.read_text()}"
        return self

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run another command of the sidecar on the same settings."""
        return subprocess.run(
            self.command(*arguments),
            cwd=self._home,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def kill(self) -> None:
        self.signal(signal.SIGKILL)

    def stop(self) -> int:
        return self.signal(signal.SIGTERM)

    def signal(self, number: int) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(START_S)
        if self.process.stdout is not None:
            self.process.stdout.close()
        self.process = None
        return code

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        if self.process is not None:
            if self.process.poll() is None:
                self.process.kill()
            self.process.wait()
            if self.process.stdout is not None:
                self.process.stdout.close()
            self.process = None


@contextmanager
def eventually(timeout_s: float = 20.0) -> Iterator[object]:
    """Yield what to ask again and again: `while waiting():` ends the test when time is up."""
    end = time.monotonic() + timeout_s

    def waiting() -> bool:
        assert time.monotonic() < end, f"not in {timeout_s} s"
        time.sleep(0.02)
        return True

    yield waiting


def until(true: object, timeout_s: float = 20.0) -> None:
    """Return when the function is true."""
    assert callable(true)
    end = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < end, f"not in {timeout_s} s"
        time.sleep(0.02)


def new_writer() -> UUID:
    return uuid4()


def free_port() -> int:
    """Return a TCP port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
