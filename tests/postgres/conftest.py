"""Everything here runs on the embedded PostgreSQL 18 and on a PostgreSQL 16 of the user's own."""

from collections.abc import Iterator

import pytest

from harness.database import upgrade
from tests.support import servers

SERVERS = {"embedded18": servers.embedded, "external16": servers.external}


@pytest.fixture(scope="session", params=list(SERVERS))
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    with SERVERS[request.param]() as url:
        yield url


@pytest.fixture(scope="session")
def migrated(database_url: str) -> Iterator[str]:
    """The name of a migrated database on the server of *these* tests, not of the general fixture's."""
    with servers.fresh_database(database_url) as url:
        upgrade(url)
        yield servers.database_of(url)
