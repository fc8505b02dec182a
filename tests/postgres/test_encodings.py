"""Databases that cannot hold all letters: no log is made there; one that is there holds what it can."""

import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from harness.cli.main import run
from harness.database import create_log, has_log, open_log, revision, upgrade
from harness.errors import EncodingUnusable
from recorders.append import Appender
from recorders.errors import CorruptBatch
from recorders.sidecar.house import House, ship_all
from tests.support import servers
from tests.support.batches import decisions, stored
from tests.support.sidecars import FEATURES, arrived, decision_ids, names, new_writer, settings_in
from tests.support.sidecars import decisions as frame

SCHEMA = (bytes.fromhex(FEATURES.digest), FEATURES.canonical())
TOKYO = "\u6771\u4eac"


@pytest.fixture(params=["SQL_ASCII", "LATIN1"])
def other_url(request: pytest.FixtureRequest, database_url: str) -> Iterator[str]:
    with servers.fresh_database(database_url, encoding=request.param) as url:
        yield url


@pytest.fixture
def old_log(other_url: str) -> str:
    """A log that was made there by a version that did not look."""
    upgrade(other_url)
    with psycopg.connect(other_url) as connection:
        connection.execute("select harness.create_log(%s, 'server', 1000)", [uuid.uuid4()])
    return other_url


def test_no_log_is_made_there(
    other_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HARNESS_DATABASE_URL", other_url)
    with pytest.raises(EncodingUnusable, match=r"its encoding is (SQL_ASCII|LATIN1)"):
        create_log(url=other_url)
    with pytest.raises(EncodingUnusable):
        open_log(url=other_url)
    for command in (["init"], ["doctor"]):
        assert run([*command, "-C", str(tmp_path)]) == 1
        told = capsys.readouterr()
        assert "createdb --template template0 --encoding UTF8 NAME" in told.out + told.err
        assert "Traceback" not in told.err
    assert revision(other_url) is None
    with psycopg.connect(other_url) as connection:
        found = connection.execute("select count(*) from pg_namespace where nspname = 'harness'").fetchone()
    assert found == (0,)


def test_one_that_is_there_says_so_and_goes_on(
    old_log: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HARNESS_DATABASE_URL", old_log)
    assert has_log(old_log)
    with create_log(url=old_log) as log, closing(Appender(old_log)) as appender:
        log.control("a.b", "s", {"a": "plain"})
        assert appender.append(stored(decisions(4), uuid.uuid4(), 1)).position == 2
        assert sum(batch.num_rows for batch in log.read(2, 6, kind="decision")) == 4
        assert log.verify().holds
    run(["doctor", "-C", str(tmp_path)])
    told = capsys.readouterr().out
    assert "! encoding" in told
    assert "pg_dump" in told


@pytest.mark.parametrize("other_url", ["SQL_ASCII"], indirect=True)
def test_one_without_an_encoding_holds_all_names(old_log: str) -> None:
    with open_log(url=old_log) as log, closing(Appender(old_log)) as appender:
        appender.append(stored(decisions(4, point=TOKYO), uuid.uuid4(), 1, point=TOKYO))
        assert sum(one.num_rows for one in log.read(1, 5, kind="decision", decision_point=TOKYO)) == 4
        assert log.verify().holds


@pytest.mark.parametrize("other_url", ["LATIN1"], indirect=True)
def test_a_name_that_it_cannot_hold_is_refused(old_log: str) -> None:
    with open_log(url=old_log) as log, closing(Appender(old_log)) as appender:
        appender.append(stored(decisions(4), uuid.uuid4(), 1))
        with pytest.raises(CorruptBatch, match="has no equivalent in encoding"):
            appender.append(stored(decisions(4, point=TOKYO), uuid.uuid4(), 1, point=TOKYO))
        with pytest.raises(EncodingUnusable, match="has no equivalent in encoding"):
            list(log.read(1, 5, kind="decision", decision_point=TOKYO))
        assert log.head().position == 4


@pytest.mark.parametrize("other_url", ["LATIN1"], indirect=True)
def test_a_sidecar_before_it_ships_all_else(old_log: str, tmp_path: Path) -> None:
    house = House(settings_in(tmp_path / "s", old_log))
    sent = [frame(new_writer(), 1), frame(new_writer(), 1)]
    strange = arrived(frame(new_writer(), 1))._replace(decision_point=TOKYO)
    for one in (arrived(sent[0]), strange, arrived(sent[1])):
        house.spool.commit([one], [SCHEMA])
        house.shipper._rounds.compose()
    assert ship_all(house, timeout_s=60), house.shipper.reason
    house.close()
    with open_log(url=old_log) as log:
        assert decision_ids(log) == names(sent)
        (told,) = log.controls("recorder.loss")
    # What tells of it names it as well: that is kept too, and what tells of that is not counted in events.
    assert (told.body["reason"], told.body["count"]) == ("refused", None)
    assert sorted(path.suffix for path in (tmp_path / "s" / "quarantine").iterdir()) == [".arrow", ".json"]
