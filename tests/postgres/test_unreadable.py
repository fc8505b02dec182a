"""A writer that miscounts or garbles: the database cannot see into a payload, every reader does."""

import hashlib
import uuid

import pyarrow as pa
import pytest
from msgspec.structs import replace

from harness.log.lines import last, line
from harness.log.log import Log
from recorders.append import Batch
from recorders.errors import CorruptBatch
from tests.support.batches import decisions, outcomes, stored

SOUND = 3


def garbled(batch: Batch) -> Batch:
    payload = b"garbage"
    return replace(batch, payload=payload, digest=hashlib.sha256(payload).hexdigest())


def fill(log: Log, *middle: Batch) -> None:
    """Append decisions at 1 to 3, what is given, and an outcome behind it."""
    writer = uuid.uuid4()
    log.append(stored(decisions(SOUND), writer, 1))
    for batch in middle:
        log.append(batch)
    log.append(stored(outcomes(1), writer, 2))


def two_rows(events: int) -> Batch:
    return replace(stored(decisions(2, first=90), uuid.uuid4(), 1), events=events)


@pytest.mark.parametrize("events", [1, 7])
def test_a_batch_that_holds_another_number_of_events_is_refused_by_name(fresh_log: Log, events: int) -> None:
    fill(fresh_log, two_rows(events))
    with pytest.raises(CorruptBatch, match=r"position 4 .*holds 2 events, its header counts") as caught:
        list(fresh_log.read(1, 100, kind="decision"))
    assert (caught.value.position, caught.value.exit_code) == (SOUND + 1, 40)
    assert "harness log verify" in caught.value.remedy
    assert "Send it again" not in caught.value.remedy
    found = fresh_log.verify()
    assert (found.altered, found.unreadable, found.holds) == (None, SOUND + 1, False)
    assert found.events == fresh_log.head().position


def test_a_payload_that_is_no_batch_is_named_and_stepped_over(fresh_log: Log) -> None:
    bad = garbled(two_rows(2))
    fill(fresh_log, bad)
    with pytest.raises(CorruptBatch, match="position 4 cannot be read"):
        list(fresh_log.read(1, 100, kind="decision"))
    assert len(list(fresh_log.read(1, SOUND + 1, kind="decision"))) == 1
    assert fresh_log.verify().unreadable == SOUND + 1
    shown = last(fresh_log, 100, 10, None, None)
    assert [event["position"] for event in shown] == [1, 2, 3, 4, 6]
    assert f"unreadable (2 events, batch 1 of writer {bad.writer})" in line(shown[3])


def test_a_batch_without_the_columns_of_its_kind_is_one_line(fresh_log: Log) -> None:
    fill(fresh_log, replace(stored(outcomes(2), uuid.uuid4(), 1), kind="decision"))
    shown = last(fresh_log, 100, 10, None, None)
    assert "it has no column 'decision'" in line(shown[3])


def test_the_words_of_an_event_never_steer_a_terminal_nor_its_place(fresh_log: Log) -> None:
    batch = outcomes(1)
    column = batch.schema.get_field_index("label")
    batch = batch.set_column(column, batch.schema.field(column), pa.array(["a\x1b[2J\nb\x9b\u2028"]))
    fresh_log.append(stored(batch, uuid.uuid4(), 1, point="p\rq"))
    fresh_log.control("recorder.loss", "s\x1b]0;t\x07", {"kind": "\x9b2J"}, actor="c")
    fresh_log.control("recorder.loss", "s", {"n": 1})
    lines = [line(event) for event in last(fresh_log, 100, 10, None, None)]
    assert len(lines) == 3
    assert all(text.isprintable() for text in lines)
    assert r"a\x1b[2J\nb\x9b\u2028" in lines[0]
