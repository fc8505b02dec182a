import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from msgspec.structs import replace

from harness.cli.main import run
from harness.database import REVISION, create_log, has_log, migrations, open_log, revision, upgrade
from harness.errors import (
    DatabaseRefused,
    DatabaseUnavailable,
    LogExists,
    NotALog,
    SchemaTooNew,
    SchemaTooOld,
)
from recorders.append import Appender
from recorders.errors import EventAhead
from tests.support import catalogue, servers
from tests.support.batches import raw

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "schema.txt"


def test_the_schema_is_what_all_migrations_make(database_url: str) -> None:
    """Refresh the golden file with `HARNESS_GOLDEN=write`, and read its difference."""
    with servers.fresh_database(database_url) as url:
        upgrade(url)
        found = catalogue.dump(url)
        upgrade(url)
        assert catalogue.dump(url) == found
    if os.environ.get("HARNESS_GOLDEN") == "write":
        GOLDEN.write_text(found)
    assert found == GOLDEN.read_text()


def test_the_code_knows_the_newest_revision() -> None:
    config = Config()
    config.set_main_option("script_location", str(migrations()))
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_heads() == [REVISION]


def test_every_sql_object_has_a_file_of_its_own() -> None:
    for path in migrations().glob("versions/*.sql"):
        name = path.stem.partition("_")[2]
        assert name == "privileges" or f"harness.{name}" in path.read_text(), path


def test_two_processes_may_make_the_same_log_at_once(database_url: str) -> None:
    code = "import sys; from harness.database import open_log; print(open_log(url=sys.argv[1]).head().log_id)"
    with servers.fresh_database(database_url) as url:
        command = [sys.executable, "-c", code, url]
        both = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        said = [process.communicate(timeout=60)[0] for process in both]
        assert [process.returncode for process in both] == [0, 0]
        assert said[0] == said[1]
        assert catalogue.dump(url).splitlines()[-1] == "False | False | False"


def test_two_databases_of_one_server_may_be_prepared_at_once(database_url: str) -> None:
    code = "import sys; from harness.database import upgrade; upgrade(sys.argv[1])"
    with servers.fresh_database(database_url) as one, servers.fresh_database(database_url) as two:
        both = [subprocess.Popen([sys.executable, "-c", code, url], cwd=ROOT) for url in (one, two)]
        assert [process.wait(timeout=60) for process in both] == [0, 0]
        assert revision(one) == revision(two) == REVISION


def migrate(url: str, to: str) -> None:
    """Bring a database to a revision by Alembic's own command."""
    environment = os.environ | {"HARNESS_DATABASE_URL": url.replace("postgresql://", "postgresql+psycopg://")}
    command = [sys.executable, "-m", "alembic", "upgrade", to]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)


def test_alembic_on_its_own_finds_the_same_migrations(database_url: str) -> None:
    with servers.fresh_database(database_url) as url:
        migrate(url, "head")
        assert revision(url) == REVISION
        assert not has_log(url)


@pytest.fixture
def log_of_0003(database_url: str) -> Iterator[str]:
    """An empty log of the event clock, as the version before this revision made it."""
    with servers.fresh_database(database_url) as url:
        migrate(url, "0003")
        with psycopg.connect(url) as connection:
            connection.execute("select harness.create_log(%s, 'event', 1000)", [uuid.uuid4()])
        yield url


def test_a_log_of_the_revision_before_says_how_it_is_upgraded(
    log_of_0003: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HARNESS_DATABASE_URL", log_of_0003)
    for command in (["log", "stats"], ["log", "verify"], ["log", "gaps"], ["query", "select 1"], ["doctor"]):
        assert run([*command, "-C", str(tmp_path)]) == 1, command
        told = capsys.readouterr()
        assert 'Run "harness init"' in told.out + told.err, command
        assert "0003" in told.out + told.err, command
    assert revision(log_of_0003) == "0003", "nobody but init upgrades what many may use"
    assert run(["init", "-C", str(tmp_path)]) == 0
    assert run(["log", "verify", "-C", str(tmp_path)]) == 0


def test_an_upgrade_beside_a_sidecar_leaves_every_batch_as_it_is(log_of_0003: str) -> None:
    """Sidecars of either version ship to either revision: they ask for no more than `append`."""
    writer = uuid.uuid4()
    with closing(Appender(log_of_0003)) as before:
        receipts = [before.append(raw(writer, sequence)) for sequence in (1, 2)]
        with create_log(url=log_of_0003) as log:
            assert revision(log_of_0003) == REVISION
            assert (log.head().position, log.head().digest) == (2, receipts[-1].digest)
            again = [before.append(raw(writer, sequence)) for sequence in (1, 2)]
            assert again == [replace(receipt, duplicate=True) for receipt in receipts]
            assert before.append(raw(writer, 3)).position == 3
            with pytest.raises(EventAhead):
                before.append(raw(writer, 4, at=datetime(9999, 12, 31, tzinfo=UTC)))
            assert log.verify().holds
    with servers.fresh_database(log_of_0003) as fresh:
        upgrade(fresh)
        assert catalogue.dump(fresh) == catalogue.dump(log_of_0003)


def test_the_clock_of_a_log_is_fixed(database_url: str) -> None:
    with servers.fresh_database(database_url) as url:
        with create_log(url=url, clock="event") as log:
            identity = log.head().log_id
        with create_log(url=url) as log:
            assert log.head().log_id == identity
        with pytest.raises(LogExists, match="with the event clock"):
            create_log(url=url, clock="server")


def test_a_database_without_a_log_is_named(database_url: str) -> None:
    with servers.fresh_database(database_url) as url:
        with pytest.raises(NotALog, match="no schema harness"):
            open_log(url=url, create=False)
        with psycopg.connect(url) as connection:
            connection.execute("create schema harness")
            connection.execute("create table harness.log (a int)")
        with pytest.raises(NotALog):
            open_log(url=url, create=False)


@pytest.mark.parametrize(("found", "error"), [("9999", SchemaTooNew), ("0000", SchemaTooOld)])
def test_a_schema_of_another_version_is_left_alone(
    database_url: str, migrated: str, found: str, error: type[Exception]
) -> None:
    with servers.fresh_database(database_url, migrated) as url:
        create_log(url=url).close()
        with psycopg.connect(url) as connection:
            connection.execute("update harness.alembic_version set version_num = %s", [found])
        with pytest.raises(error, match=found):
            open_log(url=url)


def test_a_server_that_does_not_answer_is_named_without_its_password() -> None:
    with pytest.raises(DatabaseUnavailable) as caught:
        open_log(url="postgresql://ada:secret@127.0.0.1:1/log")
    assert "secret" not in str(caught.value)
    assert "127.0.0.1:1" in str(caught.value)


def test_a_login_that_is_refused_is_named(database_url: str) -> None:
    with pytest.raises(DatabaseRefused) as caught:
        open_log(url=servers.with_login(database_url, "nobody_here", "wrong"))
    assert "nobody_here" in str(caught.value)
    assert "wrong" not in str(caught.value)
    with pytest.raises(DatabaseRefused, match="does not exist"):
        open_log(url=servers.with_database(database_url, "no_such_database"))


def test_a_database_owner_who_is_no_superuser_can_make_a_log(database_url: str) -> None:
    with servers.fresh_database(database_url) as url:
        name = servers.database_of(url)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("drop role if exists t_owner")
            connection.execute("create role t_owner login createrole password 'pw'")
            connection.execute("grant harness_owner to t_owner")
            connection.execute(f"alter database {name} owner to t_owner")
            connection.execute("alter schema public owner to t_owner")
        with open_log(url=servers.with_login(url, "t_owner", "pw")) as log:
            log.control("a.b", "s", {})
            assert log.verify().holds
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("drop role t_owner")
