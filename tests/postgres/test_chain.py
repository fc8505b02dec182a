import uuid
from datetime import UTC, datetime

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql

from harness.log.chain import Header, header_bytes
from harness.log.log import Log
from tests.support.batches import raw

INSTANTS = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001 - bounds are naive by design
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)
HEADERS = st.builds(
    Header,
    position=st.integers(1, 2**63 - 1),
    events=st.integers(1, 1_000_000),
    kind=TEXT,
    decision_point=TEXT,
    schema_digest=st.binary(max_size=40),
    writer=st.uuids(),
    sequence=st.integers(1, 2**63 - 1),
    occurred_min=st.none() | INSTANTS,
    occurred_max=st.none() | INSTANTS,
    recorded_at=INSTANTS,
)


@pytest.fixture(scope="module")
def connection(log_url: str):
    with psycopg.connect(log_url, autocommit=True) as opened:
        yield opened


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(HEADERS)
def test_the_header_has_the_same_bytes_here_and_in_the_database(
    connection: psycopg.Connection, header: Header
) -> None:
    values = [getattr(header, name) for name in Header.__struct_fields__]
    row = connection.execute(
        "select harness.header(%s::bigint, %s::int, %s, %s, %s, %s, %s::bigint, %s, %s, %s)", values
    ).fetchone()
    assert row == (header_bytes(header),)


ALTERATIONS = {
    "events": "events + 1",
    "kind": "'outcome'",
    "decision_point": "decision_point || ' '",
    "schema_digest": "sha256('another')",
    "writer": "gen_random_uuid()",
    "sequence": "sequence + 100",
    "occurred_min": "occurred_min - interval '1 microsecond'",
    "occurred_max": "occurred_max + interval '1 microsecond'",
    "recorded_at": "recorded_at + interval '1 microsecond'",
    "digest": "sha256('another')",
    "chain": "sha256('another')",
    "payload": "set_byte(payload, 0, get_byte(payload, 0) # 1)",
    "position": "position + 1",
}


def filled(log: Log) -> list[int]:
    writer = uuid.uuid4()
    return [log.append(raw(writer, sequence, events=3)).position for sequence in range(1, 8)]


def test_every_column_is_altered_below(fresh_log: Log) -> None:
    with psycopg.connect(fresh_log.url) as connection:
        columns = connection.execute("select * from harness.batch limit 0").description or []
    assert {column.name for column in columns} == set(ALTERATIONS)


def test_altering_any_column_of_a_batch_is_found_at_its_position(fresh_log: Log) -> None:
    position = filled(fresh_log)[3]
    with psycopg.connect(fresh_log.url, autocommit=True) as connection:
        # As a superuser can who switches the triggers off.
        connection.execute("set session_replication_role = replica")
        connection.execute("create table public.kept as select * from harness.batch")
        for column, value in ALTERATIONS.items():
            change = "update harness.batch set {} = " + value + " where position = {}"
            connection.execute(sql.SQL(change).format(sql.Identifier(column), position))
            found = fresh_log.verify()
            assert (found.altered, found.holds) == (position, False), column
            connection.execute("delete from harness.batch")
            connection.execute("insert into harness.batch select * from public.kept")
            assert fresh_log.verify().holds


TAMPERING = {
    "a batch removed": ("delete from harness.batch where position = 10", 10),
    "the last batch removed": ("delete from harness.batch where position = 19", 19),
    "two batches swapped": (
        (
            "update harness.batch set position = 100 where position = 4;"
            "update harness.batch set position = 4 where position = 7;"
            "update harness.batch set position = 7 where position = 100"
        ),
        4,
    ),
    "the head moved": ("update harness.head set position = 18", 19),
    "the head's chain replaced": ("update harness.head set chain = sha256('x')", 22),
    "another identity": ("update harness.log set log_id = gen_random_uuid()", 1),
}


@pytest.mark.parametrize("what", list(TAMPERING))
def test_removing_swapping_and_relabelling_are_found(fresh_log: Log, what: str) -> None:
    filled(fresh_log)
    statement, altered = TAMPERING[what]
    with psycopg.connect(fresh_log.url) as connection:
        connection.execute("set session_replication_role = replica")
        connection.execute(statement)
    assert fresh_log.verify().altered == altered


def test_a_range_can_be_verified_alone(fresh_log: Log) -> None:
    filled(fresh_log)
    done: list[int] = []
    found = fresh_log.verify(8, 14, done.append)
    assert (found.holds, found.batches, found.events) == (True, 3, 9)
    assert done
