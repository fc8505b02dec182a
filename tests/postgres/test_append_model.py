"""The append function against the model log of the simulation, over random histories of several writers.

What the swarm in tests/simulation finds holds for the real log only as far as both answer alike.
"""

import uuid
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.database import create_log
from harness.log.log import Log
from recorders.append import Appender, Batch
from recorders.errors import AppendError
from recorders.frame import Frame
from tests.simulation.model_log import ModelLog
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


def frame_of(batch: Batch) -> Frame:
    return Frame(
        writer=batch.writer,
        sequence=batch.sequence,
        kind="decision",
        decision_point=batch.decision_point,
        schema_digest=batch.schema_digest,
        events=batch.events,
        payload=batch.payload,
        digest=batch.digest,
    )


@pytest.fixture(scope="module")
def shared(database_url: str) -> Iterator[Log]:
    with servers.fresh_database(database_url) as url, create_log(url=url, partition_positions=64) as log:
        yield log


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(STEPS, max_size=40))
def test_random_histories_are_answered_as_the_model_says(shared: Log, steps: list[tuple[int, ...]]) -> None:
    writers = [uuid.uuid4() for _ in range(WRITERS)]
    model, stored = ModelLog(), {}
    start = shared.head().position
    appender = Appender(shared.url)
    for index, offset, events, seed, acked in steps:
        writer = writers[index]
        sequence = max(1, model.have(writer) + 1 + offset)
        batch = raw(writer, sequence, events=events if offset >= 0 else 1, seed=seed, acked=acked)
        try:
            expected = model.append(frame_of(batch), acked)
        except AppendError as refusal:
            with pytest.raises(type(refusal)):
                appender.append(batch)
            continue
        receipt = appender.append(batch)
        assert (receipt.position - start, receipt.duplicate) == (expected.position, expected.duplicate)
        stored[writer, sequence] = receipt.digest
    appender.close()
    found = shared.rows("links", start=start + 1, stop=2**62, rows=1000, bytes=2**30)
    places = [position for row in found for position in range(row[0], row[0] + row[1])]
    assert places == list(range(start + 1, start + model.head + 1))
    assert {(row[5], row[6]): row[11].hex() for row in found} == stored
    assert not model.head or shared.verify(start + 1).holds
