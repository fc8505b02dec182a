"""A training set as DataFrames: keys and outcomes in buckets of ids, rows in units of their order."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from math import lcm
from typing import TYPE_CHECKING, Any

from harness.engines.spark import gave_up, one_each
from harness.training import spark_tasks
from harness.training.spark_tasks import KEYS, OUTCOME_KEYS, UNIT, Job, Range, added, spark_schema
from replay.digest import CHUNK_ROWS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def pieces(start: int, stop: int, positions: int) -> list[Range]:
    """Return [start, stop) in ranges of so many positions.

    >>> pieces(1, 6, 2)
    [(1, 3), (3, 5), (5, 6)]
    """
    return [(at, min(at + positions, stop)) for at in range(start, stop, positions)]


@contextmanager
def matched(job: Job, session: "SparkSession", positions: int) -> Iterator["DataFrame"]:
    """Yield the rows of the set in no order, beside the account of each bucket of ids.

    All decisions and outcomes of an id are in one bucket, so that what is judged there is what is judged of
    the whole log. It is kept among the workers while it is used.
    """
    spec = job.spec
    ranges, before = pieces(spec.start, spec.stop, positions), pieces(1, job.as_of.position + 1, positions)
    keys = one_each(session, ranges).mapInArrow(lambda n: spark_tasks.read_keys(job, ranges, n), KEYS)
    outcomes = one_each(session, before).mapInArrow(
        lambda n: spark_tasks.read_outcomes(job, before, n), OUTCOME_KEYS
    )
    bucket = f"pmod(xxhash64(decision_id), {len(before)}) as bucket"
    grouped = [each.selectExpr("*", bucket).groupBy("bucket") for each in (keys, outcomes)]
    schema = spark_schema(spark_tasks.travelling(job))
    found = (
        grouped[0]
        .cogroup(grouped[1])
        .applyInArrow(lambda left, right: spark_tasks.match(job, left, right), schema)
        .persist()
    )
    with gave_up():
        try:
            yield found
        finally:
            found.unpersist()


def account(found: "DataFrame") -> dict[str, Any]:
    """Return the sums over all buckets, and when the first decision occurred."""
    counts: dict[str, int] = {}
    outcomes: dict[str, int] = {}
    oldest = []
    for row in found.filter("account is not null").select("account").collect():
        said = json.loads(row["account"])
        counts, outcomes = added(counts, said["counts"]), added(outcomes, said["outcomes"])
        oldest += [said["oldest_us"]] if said["oldest_us"] is not None else []
    return {"counts": counts, "outcomes": outcomes, "oldest_us": min(oldest)}


def units(
    job: Job, session: "SparkSession", found: "DataFrame", rows_per_part: int, positions: int
) -> tuple[int, "DataFrame"]:
    """Return how many rows there are, and what writes them: one row for each unit that is written.

    A row's number is its place among those of its range of positions, and the rows of all ranges before. A
    unit has whole parts and whole chunks of the digest.
    """
    rows = (
        found.filter("account is null").drop("account").selectExpr("*", f"position div {positions} as cell")
    )
    counted = sorted((row["cell"], row["count"]) for row in rows.groupBy("cell").count().collect())
    begins, size = [], 0
    for cell, count in counted:
        begins.append((cell, size))
        size += count
    firsts = session.createDataFrame(begins, "cell long, begin long").hint("broadcast")
    number = "begin + row_number() over (partition by cell order by position) - 1 as ordinal"
    unit = f"ordinal div {lcm(CHUNK_ROWS, rows_per_part)} as unit"
    numbered = rows.join(firsts, "cell").selectExpr("*", number).selectExpr("*", unit)
    return size, numbered.groupBy("unit").applyInArrow(
        lambda table: spark_tasks.write_unit(job, size, rows_per_part, table), UNIT
    )
