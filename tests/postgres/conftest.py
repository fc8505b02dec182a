"""Everything here runs on the embedded PostgreSQL 18 and on a PostgreSQL 16 of the user's own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.cli.main import run
from harness.database import upgrade
from harness.log.log import Log
from tests.support import servers
from tests.support.command_line import Command

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


@pytest.fixture
def harness(
    event_log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Command:
    """The command line over this log, in this process and in an empty folder."""
    monkeypatch.setenv("HARNESS_DATABASE_URL", event_log.url)
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str]:
        code = run(arguments)
        seen = capfd.readouterr()
        return code, seen.out + seen.err

    return call
