"""A sidecar before a real log of the event clock, and a service whose clock is a year ahead."""

import time
from pathlib import Path

import msgspec

from harness.log.gaps import find
from harness.log.log import Log
from recorders.canonical import digest
from recorders.frame import Frame
from recorders.sidecar.house import House, ship_all
from tests.support.sidecars import FEATURES, arrived, decision_ids, decisions, names, new_writer, settings_in

YEAR_US = 365 * 86_400 * 1_000_000


def a_year_ahead(frame: Frame, place: int) -> Frame:
    rows = msgspec.msgpack.decode(frame.payload)
    rows[place][1] = time.time_ns() // 1_000 + YEAR_US
    payload = msgspec.msgpack.encode(rows)
    return msgspec.structs.replace(frame, payload=payload, digest=digest(payload))


def test_one_event_of_next_year_holds_nothing_up(event_log: Log, tmp_path: Path) -> None:
    house = House(settings_in(tmp_path / "s", event_log.url))
    house.shipper.draining = True
    writer = new_writer()
    schema = (bytes.fromhex(FEATURES.digest), FEATURES.canonical())
    sent = [decisions(writer, 1), a_year_ahead(decisions(writer, 2), 1), decisions(writer, 3)]
    for frame in sent:
        house.spool.commit([arrived(frame)], [schema])
        house.shipper._rounds.compose()
    assert ship_all(house, timeout_s=60)
    sent += [a_year_ahead(decisions(writer, 4), 2), decisions(writer, 5)]
    house.spool.commit([arrived(frame) for frame in sent[3:]])
    assert ship_all(house, timeout_s=60)
    ahead = {f"{writer}/2/1", f"{writer}/4/2"}
    assert decision_ids(event_log) == [name for name in names(sent) if name not in ahead]
    gaps = find(event_log.controls(), 1, event_log.head().position + 1)
    assert [(gap.reason, gap.count) for gap in gaps.gaps] == [("ahead", 1)] * 2
    assert house.status()["ship"]["ahead"] == 2
    assert len(list((tmp_path / "s" / "quarantine").glob("ahead-*.arrow"))) == 2
    house.close()
