"""Evidence on Spark: the bytes of the local engine, with the Python workers killed in mid-run."""

import os
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from harness.engines.engine import InProcess
from harness.engines.spark import Spark
from harness.errors import UnknownPosition
from harness.looks import take_look
from tests.support import servers
from tests.support.parted_shop import DAY_UNIT, as_bytes, declared, measured, parted_shop
from tests.support.parts import once_killed, refused, square

ROOT = Path(__file__).parents[2]
# pandas has no part in mapInArrow; PySpark looks at its version all the same.
pytestmark = pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning")


@pytest.fixture(scope="module")
def session() -> Iterator[SparkSession]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        patch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
        builder = SparkSession.builder.master("local[2,4]").config("spark.ui.enabled", "false")
        found = builder.getOrCreate()
        yield found
        found.stop()


def test_every_part_has_its_result_once(session: SparkSession) -> None:
    assert sorted(Spark(session).map(square, range(5))) == [(n, n * n) for n in range(5)]
    assert list(Spark(session).map(square, [])) == []


def test_an_error_of_ours_arrives_with_its_values(session: SparkSession) -> None:
    with pytest.raises(UnknownPosition) as caught:
        list(Spark(session).map(refused, range(5)))
    assert caught.value.position == 7


def test_killed_workers_change_no_byte(
    session: SparkSession, database_url: str, migrated: str, tmp_path: Path
) -> None:
    class Killing:
        def map(self, fn, parts):
            return Spark(session).map(partial(once_killed, str(marks), fn), parts)

    marks = tmp_path / "marks"
    marks.mkdir()
    with servers.fresh_database(database_url, migrated) as url, parted_shop(tmp_path, url) as shop:
        declared(shop, tmp_path, "day", unit=DAY_UNIT)
        take_look(shop.log, "day", folder=tmp_path)
        whole = as_bytes(measured(shop.log, "day", InProcess(), 1))
        assert as_bytes(measured(shop.log, "day", Spark(session), 3)) == whole
        assert as_bytes(measured(shop.log, "day", Killing(), 3)) == whole
    assert len(list(marks.iterdir())) == 3
