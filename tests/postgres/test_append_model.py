"""The append function against a model of a few lines, over random histories of several writers."""

import uuid
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.database import create_log
from harness.log.log import Log
from recorders.append import Appender, Batch
from recorders.errors import AppendError, Rewound, SequenceGap, WriterForked
from recorders.frame import Receipt
from tests.support import servers
from tests.support.batches import raw

WRITERS = 3
# How far the sequence sent lies from the next one: 0 appends, below repeats, above skips.
STEPS = st.tuples(
    st.integers(0, WRITERS - 1),
    st.sampled_from([0, 0, 0, 0, -1, -2, -3, 1, 2]),
    st.integers(1, 40),
    st.sampled_from([0, 0, 0, 1]),
    st.integers(0, 4),
)


class Model:
    """What the log must answer."""

    def __init__(self) -> None:
        self.stored: dict[tuple[uuid.UUID, int], tuple[Batch, Receipt]] = {}
        self.have: dict[uuid.UUID, int] = {}
        self.position = 0

    def expected(self, batch: Batch) -> type[AppendError] | int | None:
        """Return the refusal, the position of the duplicate, or None for a new batch."""
        have = self.have.get(batch.writer, 0)
        if batch.sequence <= have:
            old, receipt = self.stored[batch.writer, batch.sequence]
            same = (old.digest, old.events) == (batch.digest, batch.events)
            return receipt.position if same else WriterForked
        if batch.sequence > have + 1:
            return Rewound if have < batch.acked else SequenceGap
        return None

    def take(self, batch: Batch, receipt: Receipt) -> None:
        """Learn what was stored."""
        self.stored[batch.writer, batch.sequence] = batch, receipt
        self.have[batch.writer] = batch.sequence
        self.position += batch.events


@pytest.fixture(scope="module")
def shared(database_url: str) -> Iterator[Log]:
    with servers.fresh_database(database_url) as url, create_log(url=url, partition_positions=64) as log:
        yield log


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(STEPS, max_size=40))
def test_random_histories_are_answered_as_the_model_says(shared: Log, steps: list[tuple[int, ...]]) -> None:
    writers = [uuid.uuid4() for _ in range(WRITERS)]
    model = Model()
    start = shared.head().position
    appender = Appender(shared.url)
    for index, offset, events, seed, acked in steps:
        writer = writers[index]
        sequence = max(1, model.have.get(writer, 0) + 1 + offset)
        batch = raw(writer, sequence, events=events if offset >= 0 else 1, seed=seed, acked=acked)
        expected = model.expected(batch)
        if isinstance(expected, type):
            with pytest.raises(expected):
                appender.append(batch)
            continue
        receipt = appender.append(batch)
        assert receipt.duplicate == (expected is not None)
        assert receipt.position == (expected if expected is not None else start + model.position + 1)
        if expected is None:
            model.take(batch, receipt)
    appender.close()
    found = shared.rows("links", start=start + 1, stop=2**62, rows=1000, bytes=2**30)
    places = [position for row in found for position in range(row[0], row[0] + row[1])]
    assert places == list(range(start + 1, start + model.position + 1))
    assert {(row[5], row[6]): row[11].hex() for row in found} == {
        key: receipt.digest for key, (_, receipt) in model.stored.items()
    }
    assert shared.verify(start + 1).holds
