"""A look that somebody altered in the log: found when it is explained, whatever was altered."""

import json
from pathlib import Path
from typing import Any

import psycopg
import pytest

from harness.errors import DigestMismatch
from harness.experiment_errors import LookAltered
from harness.experiment_lint import read_experiment
from harness.experiments import register
from harness.log.log import Log
from harness.looks import take_look
from harness.models import add_model
from harness.verdicts import explain, find_look
from recorders.canonical import canonical_json, digest
from tests.support.shop import Shop, experiment_text


@pytest.fixture
def looked(event_log: Log, tmp_path: Path) -> Shop:
    shop, uri = Shop(event_log), "py:tests.support.shop:oracle"
    add_model(event_log, uri, name="oracle", version="1", trained_until=0, inputs=["x"], folder=tmp_path)
    path = tmp_path / "experiment.toml"
    path.write_text(experiment_text())
    register(event_log, read_experiment(path))
    shop.days(0, 10)
    take_look(event_log, "returned-1")
    return shop


def rewrite(url: str, position: int, body: dict[str, Any], *, seal: bool) -> None:
    """Overwrite a stored control event as only the database's owner can; with `seal` its digest too."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("set session_replication_role = replica")
        row = connection.execute(
            "select payload from harness.batch where position = %s", [position]
        ).fetchone()
        assert row is not None
        event = json.loads(bytes(row[0]))
        payload = canonical_json({**event, "body": body})
        sealed = bytes.fromhex(digest(payload))
        connection.execute("update harness.batch set payload = %s where position = %s", [payload, position])
        if seal:
            connection.execute("update harness.batch set digest = %s where position = %s", [sealed, position])


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("integrity", "used"), 1),
        (("verdict", "state"), "PROMOTE"),
        (("evidence_digest",), "0" * 64),
        (("as_of", "digest"), "0" * 64),
        (("as_of", "position"), 10**9),
        (("number",), "one"),
    ],
)
def test_an_altered_look_is_found(looked: Shop, path: tuple[str, ...], value: object) -> None:
    event = find_look(looked.log, "returned-1").event
    assert event is not None
    body = event.body
    home: Any = body
    for key in path[:-1]:
        home = home[key]
    home[path[-1]] = value
    rewrite(looked.log.url, event.position, body, seal=True)
    with Log(looked.log.url) as log, pytest.raises(LookAltered) as caught:
        explain(log, "returned-1")
    assert caught.value.exit_code == 40
    assert caught.value.field in {".".join(path), "its form"}


def test_altered_bytes_are_found_before_they_are_read(looked: Shop) -> None:
    position = find_look(looked.log, "returned-1").position
    assert position is not None
    rewrite(looked.log.url, position, {}, seal=False)
    with Log(looked.log.url) as log, pytest.raises(DigestMismatch) as caught:
        explain(log, "returned-1")
    assert caught.value.exit_code == 40
