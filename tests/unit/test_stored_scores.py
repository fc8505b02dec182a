"""What a run has scored is read back some at a time: memory is that of a batch, whatever the run."""

from types import SimpleNamespace

import numpy as np
import pyarrow as pa

from harness.stored_scores import OTHER, first_of_each, own_scores, scored_through, summary
from recorders.columns import SCORE_SCHEMA
from replay.digest import canonical_digest

RUN = SimpleNamespace(id="run", decision_point="shop.fraud", started_at=1, completed_at=None)
ROWS, BATCHES = 8_192, 200


def scores(first, rows=ROWS, *, error=None, run="run"):
    numbers = np.arange(first, first + rows)
    columns = [numbers, [f"d{n}" for n in numbers], numbers / 7, [None] * rows, [error] * rows]
    arrays = [pa.array(c, type=f.type) for c, f in zip(columns, SCORE_SCHEMA, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=SCORE_SCHEMA.with_metadata({b"run": run.encode()}))


class Stored:
    """A log that makes its batches when they are read, and holds none."""

    def __init__(self, *made):
        self._made = made

    def head(self):
        return SimpleNamespace(position=10**9)

    def read(self, start, stop, *, columns, **_rest):
        at = start
        for make in self._made:
            batch = make()
            names = [name for name in batch.schema.names if name in columns]
            metadata = batch.schema.metadata
            placed = batch.select(names).add_column(0, "position", pa.array(range(at, at + batch.num_rows)))
            yield placed.replace_schema_metadata(metadata)
            at += batch.num_rows


def of_numbers(count):
    return Stored(*(lambda n=n: scores(n * ROWS) for n in range(count)))


def peak_of(log):
    pool = pa.default_memory_pool()
    before, held = pool.bytes_allocated(), 0
    read = log.read

    def watched(*places, **how):
        nonlocal held
        for batch in read(*places, **how):
            yield batch
            held = max(held, pool.bytes_allocated() - before)

    log.read = watched
    assert summary(log, RUN)["rows"]
    return held


def test_the_account_of_a_run_holds_a_batch_however_long_it_is():
    short, long = peak_of(of_numbers(4)), peak_of(of_numbers(BATCHES))
    assert long < 2 * short
    assert long * 10 < BATCHES * scores(0).nbytes


def test_the_account_is_that_of_all_rows_at_once():
    parts = [scores(0, 5), scores(5, 4, error="late"), scores(9, 3, error="early")]
    found = summary(Stored(*(lambda part=part: part for part in parts)), RUN)
    whole = pa.Table.from_batches([part.replace_schema_metadata(None) for part in parts])
    assert found == {
        "rows": 12,
        "scored": 5,
        "failed": 7,
        "errors": {"late": 4, "early": 3},
        "digest": canonical_digest(whole),
    }
    nothing = summary(Stored(), RUN)
    assert nothing["rows"] == 0
    assert nothing["digest"] == canonical_digest(SCORE_SCHEMA.empty_table())


def test_a_challenger_that_never_fails_the_same_way_twice_fills_no_memory_and_no_event():
    def odd(n):
        return scores(n, 1, error=f"no {n}")

    made = [lambda: scores(0, 2, error="often"), *(lambda n=n: odd(n) for n in range(2, 10_500))]
    found = summary(Stored(*made), RUN)
    assert found["failed"] == 10_500
    assert len(found["errors"]) == 20
    assert sum(found["errors"].values()) == 10_500
    assert found["errors"]["often"] == 2
    assert found["errors"][OTHER] > 10_000


def test_of_each_decision_the_first_stored_score_is_read_whoever_made_the_second():
    twice = pa.Table.from_batches(
        own_scores(Stored(lambda: scores(5, 3), lambda: scores(0, 9, run="other"), lambda: scores(4, 3)), RUN)
    )
    found = first_of_each(twice.to_batches())
    assert found.column("decision_position").to_pylist() == [4, 5, 6, 7]
    assert scored_through(Stored(lambda: scores(5, 3), lambda: scores(4, 3)), RUN) == 7
    assert scored_through(Stored(lambda: scores(0, 9, run="other")), RUN) is None
