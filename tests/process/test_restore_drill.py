"""The drill of docs/backup-and-restore.md: base backup, more history, a dead disk, recovery, all checked.

A real server, `pg_basebackup`, a real sidecar that runs all the while, verdicts before, between and after.
"""

import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.cli.main import run
from harness.database import create_log, open_log
from harness.embedded import Embedded
from harness.experiment_lint import read_experiment
from harness.experiments import register
from harness.log.log import Log
from harness.looks import Look, take_look
from harness.models import add_model
from harness.verdicts import explain, record_verdict
from recorders.fields import FeatureSet, Field
from recorders.recorder import Recorder
from recorders.socket_link import SocketLink
from tests.support.backups import base_backup, put_back
from tests.support.shop import FIRST, Shop, experiment_text
from tests.support.sidecars import POINT, Running, decision_ids, until

FEATURES = FeatureSet("orders", 1, (Field("amount", "float64"), Field("country", "category")))
NAME = "returned-1"


@pytest.fixture
def home() -> Iterator[Path]:
    # Not below pytest's folder: the server's own account must get there.
    folder = Path(tempfile.mkdtemp(prefix="harness-drill-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def answered(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> Any:
    """Return what a command prints as JSON; it must end with `code`."""
    capsys.readouterr()
    assert run([*arguments, "--json"]) == code, capsys.readouterr().err
    return json.loads(capsys.readouterr().out) if code == 0 else None


def a_week(log: Log, shop: Shop, week: int) -> None:
    shop.days(7 * week, 7 * week + 7)
    take_look(log, NAME)
    record_verdict(log, NAME)


def serve(running: Running, first: int) -> list[str]:
    """Record some decisions as a service does, and return their ids once the sidecar has them on disk."""
    names = [f"order-{number}" for number in range(first, first + 50)]
    link = SocketLink(running.address, [FEATURES])
    recorder = Recorder(POINT, FEATURES, link, model="m", model_version="1")
    for name in names:
        values = {"amount": 1.0, "country": "NZ"}
        recorder.record(values, score=0.5, decision="yes", decision_id=name, occurred_at=FIRST)
    assert recorder.close()
    return names


class Drill:
    """A house with a log, a sidecar, an experiment and a shop."""

    def __init__(self, home: Path, folder: Path) -> None:
        self.home, self.folder = home, folder
        create_log(home, clock="event").close()
        self.server = Embedded(home / ".harness")
        self.sidecar = Running(folder / "spool", self.server.url, "[ship]\nlinger_s = 0.05\n")
        self.served: list[str] = []

    def begin(self, log: Log) -> Shop:
        """Register everything, and return the shop."""
        (self.folder / "experiment.toml").write_text(experiment_text())
        shop, uri = Shop(log), "py:tests.support.shop:oracle"
        add_model(log, uri, name="oracle", version="1", trained_until=0, inputs=["x"], folder=self.folder)
        register(log, read_experiment(self.folder / "experiment.toml"))
        log.register_feature_set(FEATURES)
        return shop

    def serve(self, log: Log) -> None:
        """Let the service record, and wait until the log has it."""
        self.served += serve(self.sidecar, len(self.served))
        until(lambda: len(decision_ids(log)) == len(self.served), 60.0)

    def live(self, capsys: pytest.CaptureFixture[str]) -> Look:
        """Fill the log, back it up on the way, and return the look that is sealed and not in the backup."""
        with open_log(self.home) as log:
            shop = self.begin(log)
            self.serve(log)
            a_week(log, shop, 0)
            base_backup(self.server, self.folder / "base")
            self.serve(log)
            a_week(log, shop, 1)
            sealed = explain(log, NAME).look
            answered(capsys, "log", "seal", "-C", str(self.home))
            self.serve(log)
            a_week(log, shop, 2)
            answered(capsys, "log", "checkpoint", "-C", str(self.home))
        return sealed

    def restore(self) -> None:
        """Lose the disk and put the backup in its place; services go on, and the sidecar waits."""
        put_back(self.server, self.folder / "base")
        self.server = Embedded(self.home / ".harness")
        self.served += serve(self.sidecar, len(self.served))
        until(lambda: "harness log recover" in self.sidecar.run("status").stdout, 60.0)


def test_the_drill(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drill, folder, receipts = Drill(home, tmp_path), ("-C", str(home)), tmp_path / "receipts.jsonl"
    with drill.sidecar as running:
        sealed = drill.live(capsys)
        assert run(["sidecar", "receipts", "--config", str(running.config)]) == 0
        receipts.write_text(capsys.readouterr().out)
        drill.restore()
        known = ("--receipts", str(receipts))
        plan = answered(capsys, "log", "recover", *folder, *known, "--dry-run")["plan"]
        assert [one["kept"] == one["batches"] > 0 for one in plan["writers"]] == [True]
        assert {"look.taken", "verdict.reached"} <= {one["type"] for one in plan["references"]}
        assert answered(capsys, "log", "recover", *folder, *known)["recovered"]["epoch"] == 2

        with open_log(home) as log:  # the sidecar ships again by itself
            until(lambda: Counter(decision_ids(log)) == Counter(drill.served), 90.0)
            assert explain(log, NAME).look == sealed, "byte for byte"
            assert log.controls("recorder.loss") == []
        found = answered(capsys, "verdict", "show", NAME, *folder)
        assert {one["type"] for one in found["invalid"]} == {"look.taken", "verdict.reached"}
        answered(capsys, "verdict", "show", NAME, "--look", "3", *folder, code=30)
        assert stands(capsys, home) == "INVALID: lost when the log was restored"
        answered(capsys, "log", "verify", *folder)
        answered(capsys, "log", "check-receipts", *folder, str(receipts))
        answered(capsys, "log", "checkpoint", *folder)
        assert run(["report", NAME, *folder, "-o", str(tmp_path / "report.html")]) == 0
        assert "lost with its history" in (tmp_path / "report.html").read_text()
        assert running.stop() == 0
    with open_log(home) as log:
        shop = Shop(log)
        shop.sequence = log.writer_high_water(shop.writer)
        a_week(log, shop, 2)  # what was lost is made anew from what the log holds
        assert explain(log, NAME).look.number == 3
    assert not stands(capsys, home).startswith("INVALID")
    drill.server.close()


def stands(capsys: pytest.CaptureFixture[str], home: Path) -> str:
    """Return where the experiment stands, in words."""
    return str(answered(capsys, "experiment", "show", NAME, "-C", str(home))["status"]["state"])
