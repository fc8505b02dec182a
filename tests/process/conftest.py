"""Fixtures of the tests that start processes."""

from collections.abc import Iterator

import pytest

from harness.database import upgrade
from tests.support import servers


@pytest.fixture(scope="session")
def migrated(database_url: str) -> Iterator[str]:
    """The name of a migrated database on the server of *these* tests.

    A session's fixture is made once: after tests/postgres, which has servers of its own, the general one
    names a database of a server that is gone.
    """
    with servers.fresh_database(database_url) as url:
        upgrade(url)
        yield servers.database_of(url)
