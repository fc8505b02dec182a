"""Spark reads sealed segments as the document says, with no harness in its session."""

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from harness.log.log import Log
from harness.log.seal import seal
from tests.support.filled import fill, small_log

pytestmark = pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning")


def test_spark_reads_segments_without_a_harness(database_url: str, migrated: str, tmp_path: Path) -> None:
    with small_log(database_url, migrated, tmp_path / "store") as log:
        fill(log, 6)
        seal(log, events=100)
        expected = decisions(log)
    spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
    try:
        parts = f"{tmp_path}/store/*/segments/flights.late/decision/*/*.parquet"
        frame = spark.read.option("mergeSchema", "true").parquet(parts)
        found = frame.orderBy("position").select("position", "decision_id", "`f.distance`").collect()
        assert [tuple(row) for row in found] == expected
        assert frame.groupBy("`f.carrier`").count().collect()[0][1] == len(expected)
    finally:
        spark.stop()


def decisions(log: Log) -> list[tuple[int, str, float]]:
    text = "select position, decision_id, \"f.distance\" from decisions where decision_point = 'flights.late'"
    table = log.sql(f"{text} order by position").to_arrow()
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))
