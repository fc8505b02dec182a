"""Spark Connect, on executors that are processes: the bytes of one process, with an executor killed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.database import create_log
from harness.engines.errors import ClusterFailed
from harness.engines.spark import Spark
from harness.errors import UnknownPosition
from harness.training.folder import TrainingSet
from harness.training.sets import Place, build_training_set
from harness.training.spec import Spec
from tests.frameworks.scoring import looked_alike, scored_alike
from tests.frameworks.spark_support import SPARK_WARNINGS
from tests.process.test_extend_law import PLAIN
from tests.support import servers
from tests.support.history import POINT, History
from tests.support.parts import executor_killed, poison_executor, refused, square

pytestmark = [pytest.mark.filterwarnings(each) for each in SPARK_WARNINGS]


def test_every_part_has_its_result_once(connected):
    assert sorted(Spark(connected).map(square, range(5))) == [(n, n * n) for n in range(5)]


def test_an_error_of_ours_arrives_with_its_values(connected):
    with pytest.raises(UnknownPosition) as caught:
        list(Spark(connected).map(refused, range(5)))
    assert caught.value.position == 7


def test_a_killed_executor_changes_no_byte(connected, database_url, migrated, tmp_path):
    looked_alike(Spark(connected), database_url, migrated, tmp_path, executor_killed)
    (killed,) = (tmp_path / "marks").iterdir()
    assert not Path(f"/proc/{killed.read_text()}").exists()


def test_a_challenger_scored_there_has_the_batches_of_one_process(
    connected, database_url, migrated, tmp_path
):
    scored_alike(Spark(connected), database_url, migrated, tmp_path, executor_killed)
    (killed,) = (tmp_path / "marks").iterdir()
    assert not Path(f"/proc/{killed.read_text()}").exists()


def test_the_command_builds_the_training_set_of_one_process(connect_server, database_url, migrated, tmp_path):
    with (
        servers.fresh_database(database_url, migrated) as url,
        create_log(tmp_path, url=url, clock="event") as log,
    ):
        history = History(log)
        start, stop = history.decisions(0, 2_000)
        history.outcomes(0, 1_900)
        history.decisions(2_400, 2_401)
        spec = Spec(decision_point=POINT, start=start, stop=stop, labels=PLAIN)
        here = build_training_set(log, spec, place=Place(tmp_path / "here"))
        at = here.manifest["as_of"]["position"]
        words = f"--from {start} --to {stop} -d {POINT} --label fraud --window 3h --as-of {at}"
        words += f" --spark {connect_server}"
        found = subprocess.run(
            [
                f"{sys.prefix}/bin/harness",
                "training-set",
                "create",
                *words.split(),
                "--out",
                "there",
                "--json",
            ],
            cwd=tmp_path,
            env={**os.environ, "HARNESS_DATABASE_URL": url},
            stdout=subprocess.PIPE,
            check=True,
        )
        assert json.loads(found.stdout).items() >= here.manifest.items()
        assert TrainingSet.open(tmp_path / "there").verify(log)["holds"]


def test_a_task_that_ends_every_executor_is_given_up(connected):
    with pytest.raises(ClusterFailed, match="Spark gave up"):
        list(Spark(connected).map(poison_executor, range(2)))
