"""Rights, found by trying. Refresh the golden file with `HARNESS_GOLDEN=write`, and read its difference."""

import os
import uuid
from pathlib import Path

import psycopg
import pytest

from recorders.append import Appender
from recorders.errors import AppendError
from tests.support import rights, servers
from tests.support.batches import raw

GOLDEN = Path(__file__).parents[1] / "golden" / "privileges.txt"


def test_each_role_can_do_what_the_golden_file_says_and_nothing_else(log_url: str) -> None:
    appender = Appender(log_url)
    appender.append(raw(uuid.uuid4(), 1))
    appender.close()
    with psycopg.connect(log_url) as connection:
        row = connection.execute(
            "select relid::regclass::text from pg_partition_tree('harness.batch') where isleaf limit 1"
        ).fetchone()
    assert row is not None
    found = rights.found(log_url, row[0].removeprefix("harness."))
    if os.environ.get("HARNESS_GOLDEN") == "write":
        GOLDEN.write_text(found)
    assert found == GOLDEN.read_text()


def test_a_batch_is_not_changed_by_its_owner_nor_by_a_superuser_in_passing(log_url: str) -> None:
    """A superuser can still switch the trigger off: that is what the chain is for (test_chain.py)."""
    partition = "select relid::regclass::text from pg_partition_tree('harness.batch') where isleaf limit 1"
    appender = Appender(log_url)
    appender.append(raw(uuid.uuid4(), 1))
    appender.close()
    with psycopg.connect(log_url) as connection:
        (leaf,) = connection.execute(partition).fetchone() or ("",)
    for role in ("harness_owner", None):
        for table in ("harness.batch", leaf):
            for statement in (f"update {table} set events = 1", f"delete from {table}", f"truncate {table}"):
                with psycopg.connect(log_url) as connection:
                    if role:
                        connection.execute(f"set role {role}")
                    with pytest.raises(
                        psycopg.errors.InsufficientPrivilege, match="Append a correction instead"
                    ):
                        connection.execute(statement)


def test_temporary_tables_of_the_same_name_do_not_capture_an_append(log_url: str) -> None:
    """Nobody may make temporary tables here; if a later grant lets them, append still writes to the log."""
    with psycopg.connect(log_url) as connection:
        connection.execute("create temporary table head as select * from harness.head")
        connection.execute("create temporary table batch as select * from harness.batch")
        connection.execute("create temporary table writer as select * from harness.writer")
        connection.execute(
            "create function pg_temp.sha256(bytea) returns bytea language sql as $$select '\\x00'::bytea$$"
        )
        connection.execute("set search_path = pg_temp, harness, public")
        (before,) = connection.execute("select position from harness.head").fetchone() or (0,)
        connection.execute(
            rights.APPEND.format("decision", "now()", "now()", "x", "x").replace(
                "sha256", "pg_catalog.sha256"
            )
        )
        assert connection.execute("select position from harness.head").fetchone() == (before + 1,)
        assert connection.execute("select position from pg_temp.head").fetchone() == (before,)
        connection.rollback()


def test_a_recorder_may_not_append_what_the_harness_says(log_url: str) -> None:
    with psycopg.connect(log_url, autocommit=True) as connection:
        connection.execute("create role t_service login password 'pw' in role harness_recorder")
    appender = Appender(servers.with_login(log_url, "t_service", "pw"))
    try:
        assert appender.append(raw(uuid.uuid4(), 1)).position
        from harness.log.controls import control_batch

        with pytest.raises(AppendError, match="harness_operator"):
            appender.append(control_batch("verdict.approved", "e", {}, None, None))
    finally:
        appender.close()
        with psycopg.connect(log_url, autocommit=True) as connection:
            connection.execute("drop role t_service")
