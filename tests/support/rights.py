"""What each role can do, found by trying it as a login that has that role alone."""

import secrets
from collections.abc import Iterator

import psycopg
from psycopg import sql

from tests.support import servers

ROLES = ("recorder", "reader", "operator", "public")
TABLES = ("log", "head", "writer", "batch", "epoch", "alembic_version", "control")
APPEND = (
    "select * from harness.append(null, '{}', 'p', sha256('s'), gen_random_uuid(), 1, 0, 1, {}, {},"
    " sha256('{}'), '{}')"
)
TAKEN = "42501"


def control(kind: str) -> str:
    """Return an append of a control event of that type."""
    payload = '{"type":"' + kind + '","subject":"s"}'
    return APPEND.format("control", "null", "null", payload, payload)


def attempts(partition: str) -> Iterator[tuple[str, str]]:
    """Yield a name and a statement for everything that somebody could try."""
    for table in (*TABLES, "(a partition)"):
        name = f"harness.{partition if table == '(a partition)' else table}"
        column = {"control": "type", "head": "position", "writer": "sequence"}.get(table, "events")
        column = {"log": "epoch", "epoch": "after", "alembic_version": "version_num"}.get(table, column)
        yield f"SELECT {table}", f"select * from {name}"
        yield f"INSERT {table}", f"insert into {name} select * from {name} limit 0"
        yield f"UPDATE {table}", f"update {name} set {column} = {column}"
        yield f"DELETE {table}", f"delete from {name}"
        if table != "control":
            yield f"TRUNCATE {table}", f"truncate {name}"
            yield f"DROP {table}", f"drop table {name}"
            yield f"LOCK {table}", f"lock table {name} in access exclusive mode"
            yield f"DISABLE TRIGGER {table}", f"alter table {name} disable trigger all"
    yield "EXECUTE append (decision)", APPEND.format("decision", "now()", "now()", "x", "x")
    yield "EXECUTE append (outcome)", APPEND.format("outcome", "now()", "now()", "x", "x")
    yield "EXECUTE append (score)", APPEND.format("score", "null", "null", "x", "x")
    yield "EXECUTE append (control, recorder.loss)", control("recorder.loss")
    yield "EXECUTE append (control, verdict.approved)", control("verdict.approved")
    yield "EXECUTE header", "select harness.header(1, 1, '', '', '', gen_random_uuid(), 1, null, null, now())"
    yield "EXECUTE position_at", "select harness.position_at(now())"
    yield "EXECUTE add_partition", "select harness.add_partition(1, 1)"
    yield "EXECUTE create_log", "select harness.create_log(gen_random_uuid(), 'server', 1)"
    yield "EXECUTE check_batch", "select harness.check_batch('', '', '', 1, 1, null, null, '', '')"
    yield "EXECUTE check_author", "select harness.check_author('score', '')"
    yield "EXECUTE check_ahead", "select harness.check_ahead('event', now())"
    yield "EXECUTE release", "select harness.release(1, gen_random_uuid())"
    yield "EXECUTE cover", "select harness.cover(0)"
    yield (
        "EXECUTE restore_batch",
        "select harness.restore_batch(1, 1, 'score', '', '', null, 1, null, null, now(), '', '', '')",
    )
    yield (
        "EXECUTE refuse_change",
        "create trigger t before insert on harness.head execute function harness.refuse_change()",
    )
    yield "CREATE TEMP TABLE", "create temporary table head (position bigint)"
    yield "CREATE TABLE in harness", "create table harness.mine (a int)"
    yield "CREATE TABLE in public", "create table public.mine (a int)"
    yield "CREATE SCHEMA", "create schema mine"
    yield (
        "REPLACE append",
        "create or replace function harness.header(bigint) returns int language sql as 'select 1'",
    )
    for role in ("harness_owner", "harness_recorder", "harness_reader", "harness_operator"):
        yield f"SET ROLE {role}", f"set role {role}"
    yield "SET session_replication_role", "set session_replication_role = replica"


def outcome(connection: psycopg.Connection, statement: str) -> str:
    """Return `allow`, `deny` (no right to) or the error that shows that the right was there."""
    try:
        connection.execute(statement)  # type: ignore[call-overload]  # the statements above
    except psycopg.errors.InsufficientPrivilege:
        return "deny"
    except psycopg.errors.ObjectNotInPrerequisiteState:
        return "deny"  # a view that cannot be written to
    except psycopg.Error as error:
        if (error.sqlstate or "").startswith("HA"):
            return "allow"  # refused by what it does, not by who asks
        return f"error {error.sqlstate}"
    finally:
        connection.rollback()
    return "allow"


def found(url: str, partition: str) -> str:
    """Return one line for each attempt, with what each role was answered."""
    logins = {role: f"t_{role}_{secrets.token_hex(4)}" for role in ROLES}
    password = secrets.token_hex(8)
    with psycopg.connect(url, autocommit=True) as connection:
        for role, login in logins.items():
            name = sql.Identifier(login)
            connection.execute(sql.SQL("create role {} login password {}").format(name, password))
            if role != "public":
                granted = sql.Identifier(f"harness_{role}")
                connection.execute(sql.SQL("grant {} to {}").format(granted, name))
    lines = [f"{'':<44}" + "".join(f"{role:<10}" for role in ROLES)]
    try:
        opened = {
            role: psycopg.connect(servers.with_login(url, login, password)) for role, login in logins.items()
        }
        for name, statement in attempts(partition):
            answers = [f"{outcome(opened[role], statement):<10}" for role in ROLES]
            lines.append(f"{name:<44}{''.join(answers)}")
        for connection in opened.values():
            connection.close()
    finally:
        with psycopg.connect(url, autocommit=True) as connection:
            for login in logins.values():
                connection.execute(sql.SQL("drop role {}").format(sql.Identifier(login)))
    return "\n".join(line.rstrip() for line in lines) + "\n"
