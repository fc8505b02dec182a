"""Who may make a log: tried on a fresh PostgreSQL 16, where nobody has made the roles yet."""

from collections.abc import Iterator

import psycopg
import pytest

from harness.database import create_log
from harness.errors import DatabaseRefused
from tests.support import servers


@pytest.fixture(scope="module")
def database_url() -> Iterator[str]:
    """A server of its own: on that of the other tests the roles exist."""
    with servers.external() as url:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("create role t_maker login createrole createdb password 'pw'")
            connection.execute("create role t_plain login createdb password 'pw'")
        yield url


def own_database(url: str, login: str) -> str:
    address = servers.with_login(url, login, "pw")
    with psycopg.connect(servers.with_database(address, "postgres"), autocommit=True) as connection:
        connection.execute(f"create database {login}_log template template0")
    return servers.with_database(address, f"{login}_log")


def test_a_login_that_may_make_no_roles_is_told_which_rights_it_needs(database_url: str) -> None:
    with pytest.raises(DatabaseRefused) as caught:
        create_log(url=own_database(database_url, "t_plain"))
    assert "permission denied" in caught.value.reason
    assert "may make roles (CREATEROLE)" in caught.value.expected
    assert "granted harness_owner" in caught.value.expected
    assert "pw" not in str(caught.value)


def test_a_login_that_may_make_roles_and_its_database_can_make_a_log(database_url: str) -> None:
    url = own_database(database_url, "t_maker")
    with create_log(url=url) as log:
        log.control("a.b", "s", {})
        assert log.verify().holds
    create_log(url=url).close()
