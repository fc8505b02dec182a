"""A log restored from a dump, or to a point in time; and what its witness says of the new epoch."""

import os
import shutil
import tempfile
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from harness.cli.main import run
from harness.database import create_log, open_log
from harness.embedded import Embedded
from harness.embedded_account import ACCOUNT
from harness.integrity.compare import compare
from harness.integrity.witness_book import WitnessBook
from harness.integrity.witness_server import witness_server
from harness.log.log import Log
from harness.log.seal import seal
from tests.support.backups import base_backup, dumped, put_back, restorable
from tests.support.batches import decisions, stored
from tests.support.restored import World, chain, lose
from tests.support.sidecars import until


def test_a_dump_is_recovered_as_any_backup_is(fresh_log: Log, tmp_path: Path) -> None:
    with dumped(fresh_log, tmp_path) as steps:
        fresh_log.close()
        world = World(fresh_log, tmp_path, steps)
        lose(world)
        with world.open() as log:
            assert log.verify().holds, "a dump has the same bytes"
            plan = world.plan(log, receipts=world.told)
            assert (plan.head, plan.back) == (12, 24)
            assert world.recover(log, plan).registered == 1
            assert log.verify().holds
            assert compare(log, world.host).lost_batches > 0
            # Nobody may do more than before the dump.
            for role in ("harness_reader", "harness_operator"):
                with psycopg.connect(world.url) as connection:
                    connection.execute(f"set role {role}")  # type: ignore[arg-type]  # a test's own text
                    with pytest.raises(psycopg.errors.InsufficientPrivilege):
                        connection.execute("update harness.batch set events = 1")
            world.grow(log)
            assert log.verify().holds


class Archived:
    """A house whose server keeps its write-ahead log in an archive."""

    def __init__(self, home: Path) -> None:
        self.home, self.archive, self.base = home, home / "archive", home / "base"
        create_log(home).close()
        self.archive.mkdir()
        if os.geteuid() == 0:
            shutil.chown(self.archive, ACCOUNT, ACCOUNT)
        self.set(archive_mode="on", archive_command=f"cp %p {self.archive}/%f")
        self.server = Embedded(home / ".harness")
        self.writer, self.sequence = uuid.uuid4(), 0

    def set(self, **settings: str) -> None:
        with (self.home / ".harness" / "postgres" / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())

    def run(self, statement: str) -> object:
        with psycopg.connect(self.server.url, autocommit=True) as connection:
            row = connection.execute(statement).fetchone()  # type: ignore[arg-type]  # a test's own text
        return row and row[0]

    def grow(self, log: Log) -> int:
        self.sequence += 1
        batch = stored(decisions(4, first=10 * self.sequence), self.writer, self.sequence)
        return log.append(batch).position + 3

    def to_point(self, name: str) -> None:
        """Lose the disk; replay the archive onto the base backup up to a point, and stop there."""
        last = self.run("select pg_walfile_name(pg_switch_wal())")
        until((self.archive / str(last)).exists, 60.0)
        put_back(self.server, self.base)
        self.set(restore_command=f"cp {self.archive}/%f %p", recovery_target_name=name)
        (self.server.data / "recovery.signal").touch()
        self.server = Embedded(self.home / ".harness")


@pytest.fixture
def archived() -> Iterator[Archived]:
    # Not below pytest's folder: the server's own account must get there.
    folder = Path(tempfile.mkdtemp(prefix="harness-drill-"))
    folder.chmod(0o711)
    house = Archived(folder)
    yield house
    house.server.close()
    shutil.rmtree(folder, ignore_errors=True)


def test_a_log_is_recovered_from_a_point_in_time(
    archived: Archived, capsys: pytest.CaptureFixture[str]
) -> None:
    here = ("-C", str(archived.home))
    with open_log(archived.home) as log:
        archived.grow(log)
        base_backup(archived.server, archived.base)
        kept = archived.grow(log)
        archived.run("select pg_create_restore_point('noon')")
        archived.grow(log)
        seal(log)
        before = chain(log, log.sealed.stop())
        lost = archived.grow(log)
        assert run(["log", "checkpoint", *here]) == 0
    archived.to_point("noon")
    # PostgreSQL stands at the point and takes nothing until somebody lets it go on.
    capsys.readouterr()
    assert run(["log", "recover", *here]) == 1
    assert "read-only" in capsys.readouterr().err
    archived.run("select pg_wal_replay_resume()")
    until(lambda: archived.run("select pg_is_in_recovery()") is False)
    assert run(["log", "recover", *here]) == 0
    said = capsys.readouterr().out
    assert f"The log ends at {kept}. Segments give back 4 events in 1 batches" in said
    assert f"Lost: positions {kept + 5} to " in said
    with open_log(archived.home) as log:
        assert chain(log, before[-1][0] + 1)[: len(before)] == before
        assert log.verify().holds
        assert lost > kept
    assert run(["log", "checkpoint", *here]) == 0
    assert "/e2" in capsys.readouterr().out


def test_a_witness_is_told_of_the_new_epoch_and_never_cosigns_two_histories_of_one(
    fresh_log: Log, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def said(*words: str, code: int = 0) -> str:
        capsys.readouterr()
        assert run([*words]) == code
        told = capsys.readouterr()
        return told.out + told.err

    here, book = ("-C", str(tmp_path)), tmp_path / "witness"
    monkeypatch.setenv("HARNESS_DATABASE_URL", fresh_log.url)
    key = said("witness", "init", str(book), "--name", "w.example/1").strip()
    with (
        restorable(fresh_log) as steps,
        witness_server(WitnessBook(book, lambda: 1.8e9), "127.0.0.1", 0) as server,
    ):
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        (tmp_path / "harness.toml").write_text(f'[[integrity.witness]]\nurl = "{url}"\nkey = "{key}"\n')
        fresh_log.close()
        world = World(fresh_log, tmp_path, steps)
        with world.open() as log:
            world.grow(log)
        assert "not one that is witnessed" in said("log", "checkpoint", *here, code=40)
        said("witness", "trust", str(book), said("log", "key", "show", *here).strip())
        world.take()
        with world.open() as log:
            world.grow(log)
        assert said("log", "checkpoint", *here).count("\N{EM DASH} ") == 2
        world.restore()
        assert "Epoch 2 begins" in said("log", "recover", *here)
        # A new epoch has a new name: the witness does not take it for the old one, nor for known.
        assert "not one that is witnessed" in said("log", "checkpoint", *here, code=40)
        assert "/e2." in said("witness", "trust", str(book), said("log", "key", "show", *here).strip())
        cosigned = said("log", "checkpoint", *here)
        assert (cosigned.count("\N{EM DASH} "), "/e2" in cosigned) == (2, True)
        assert said("witness", "show", str(book)).count("harness.log/") == 2
        said("log", "verify", *here)
        server.shutdown()
