"""Looks and scores on Spark: those of one process, with the Python workers killed in mid-run."""

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from harness.engines.spark import Spark
from harness.errors import UnknownPosition
from tests.frameworks.scoring import PARTS, looked_alike, scored_alike
from tests.frameworks.spark_support import SPARK_WARNINGS
from tests.support.parts import refused, square

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
    looked_alike(Spark(spark), database_url, migrated, tmp_path)
    assert len(list((tmp_path / "marks").iterdir())) == 2 * PARTS


def test_a_challenger_scored_there_has_the_batches_of_one_process(
    spark: SparkSession, database_url: str, migrated: str, tmp_path: Path
) -> None:
    scored_alike(Spark(spark), database_url, migrated, tmp_path)
