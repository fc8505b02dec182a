"""Looks and scores on Spark: those of one process, with the Python workers killed in mid-run."""

from functools import partial
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from harness.engines.engine import InProcess
from harness.engines.spark import Spark
from harness.errors import UnknownPosition
from harness.looks import take_look
from tests.frameworks.scoring import scored_alike
from tests.frameworks.spark_support import SPARK_WARNINGS
from tests.support import servers
from tests.support.parted_shop import DAY_UNIT, as_bytes, declared, measured, parted_shop
from tests.support.parts import once_killed, refused, square

pytestmark = [pytest.mark.filterwarnings(each) for each in SPARK_WARNINGS]


def test_every_part_has_its_result_once(spark: SparkSession) -> None:
    assert sorted(Spark(spark).map(square, range(5))) == [(n, n * n) for n in range(5)]
    assert list(Spark(spark).map(square, [])) == []


def test_an_error_of_ours_arrives_with_its_values(spark: SparkSession) -> None:
    with pytest.raises(UnknownPosition) as caught:
        list(Spark(spark).map(refused, range(5)))
    assert caught.value.position == 7


def test_killed_workers_change_no_byte(
    spark: SparkSession, database_url: str, migrated: str, tmp_path: Path
) -> None:
    class Killing:
        def map(self, fn, parts):
            return Spark(spark).map(partial(once_killed, str(marks), fn), parts)

    marks = tmp_path / "marks"
    marks.mkdir()
    with servers.fresh_database(database_url, migrated) as url, parted_shop(tmp_path, url) as shop:
        declared(shop, tmp_path, "day", unit=DAY_UNIT)
        take_look(shop.log, "day", folder=tmp_path)
        whole = as_bytes(measured(shop.log, "day", InProcess(), 1))
        assert as_bytes(measured(shop.log, "day", Spark(spark), 3)) == whole
        assert as_bytes(measured(shop.log, "day", Killing(), 3)) == whole
    assert len(list(marks.iterdir())) == 3


def test_a_challenger_scored_there_has_the_batches_of_one_process(
    spark: SparkSession, database_url: str, migrated: str, tmp_path: Path
) -> None:
    scored_alike(Spark(spark), database_url, migrated, tmp_path)
