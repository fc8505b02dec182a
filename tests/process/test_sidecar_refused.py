"""A sidecar before a real log that calls some of what it is sent unusable, and would for ever."""

from pathlib import Path

import msgspec

from harness.log.gaps import find
from harness.log.log import Log
from recorders.canonical import digest
from recorders.frame import payload_of
from recorders.sidecar.house import House, ship_all
from tests.support.sidecars import (
    FEATURES,
    arrived,
    decision_ids,
    decisions,
    names,
    new_writer,
    outcomes,
    settings_in,
)


def test_neither_a_hostile_value_nor_a_damaged_header_holds_anything_up(
    event_log: Log, tmp_path: Path
) -> None:
    house = House(settings_in(tmp_path / "s", event_log.url, segment_bytes=2**24))
    house.shipper.draining = True
    schema = (bytes.fromhex(FEATURES.digest), FEATURES.canonical())
    payload = payload_of([msgspec.msgpack.encode(("d", "late", bytes(15 * 2**20), 1))])
    hostile = msgspec.structs.replace(outcomes(new_writer(), 1, 1), payload=payload, digest=digest(payload))
    sent = [decisions(new_writer(), 1) for _ in range(4)]
    for frame in (sent[0], hostile, *sent[1:]):
        house.spool.commit([arrived(frame)], [schema])
        house.shipper._rounds.compose()
    connection = house.outbox._file.connection
    connection.execute("update batch set events = 0 where ordinal = 3")
    connection.execute("update batch set decision_point = ? where ordinal = 4", ("p" * 201,))
    assert ship_all(house, timeout_s=60), house.shipper.reason
    status = house.status()["ship"]
    house.close()
    assert decision_ids(event_log) == names([sent[0], sent[1], sent[3]])
    gaps = find(event_log.controls(), 1, event_log.head().position + 1).gaps
    assert [(gap.reason, gap.count) for gap in gaps] == [("unusable", 1), ("refused", sent[2].events)]
    assert (status["unusable"], status["refused"], status["state"]) == (1, 1, "shipping")
    aside = [path.name.partition("-")[0] for path in (tmp_path / "s" / "quarantine").iterdir()]
    assert sorted(aside) == ["refused", "unusable"]
