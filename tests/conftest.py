"""Fixtures for every test that needs a log."""

from collections.abc import Iterator

import pytest
from hypothesis import settings

from harness.database import create_log, upgrade
from harness.log.log import Log
from tests.support import servers

# Timings are benchmarks, never tests: an example has no deadline.
settings.register_profile("suite", deadline=None, print_blob=True)
settings.load_profile("suite")


@pytest.fixture(scope="session")
def database_url() -> Iterator[str]:
    """A server, by the address of a database on it. tests/postgres runs everything on two."""
    with servers.embedded() as url:
        yield url


@pytest.fixture(scope="module")
def log_url(database_url: str) -> Iterator[str]:
    """A log of its own for each test module, in a fresh database, with the server clock."""
    with servers.fresh_database(database_url) as url:
        create_log(url=url).close()
        yield url


@pytest.fixture(scope="session")
def migrated(database_url: str) -> Iterator[str]:
    """The name of a database that has the schema and no log: copying it is faster than migrating another."""
    with servers.fresh_database(database_url) as url:
        upgrade(url)
        yield servers.database_of(url)


@pytest.fixture
def fresh_log(database_url: str, migrated: str) -> Iterator[Log]:
    """A log of its own for each test, with the server clock."""
    with servers.fresh_database(database_url, migrated) as url, create_log(url=url) as log:
        yield log


@pytest.fixture
def event_log(database_url: str, migrated: str) -> Iterator[Log]:
    """A log of its own for each test, with the event clock: history that is recorded after it happened."""
    with servers.fresh_database(database_url, migrated) as url, create_log(url=url, clock="event") as log:
        yield log
