"""Somebody sets the clock of the machine that a sidecar runs on, and sets it right again."""

import http.client
from contextlib import closing
from pathlib import Path
from typing import Any

from harness.log.log import Log
from recorders.sidecar import ops
from recorders.socket_link import SocketLink
from tests.process.test_doors_service import half, with_doors
from tests.support.interposed import SetClock
from tests.support.sidecars import FEATURES, decision_ids, decisions, names, new_writer, until

HOUR_S, DAY_S = 3_600, 86_400
SMALL = "retain_s = 3600.0\n[spool]\nsegment_bytes = 65536\nballast_bytes = 0\n"


def test_what_waits_waits_on_and_what_is_kept_stays(fresh_log: Log, tmp_path: Path) -> None:
    clock = SetClock(tmp_path)
    sidecar, port = with_doors(tmp_path, fresh_log.url, SMALL)
    sidecar.config.write_text(sidecar.config.read_text().replace("pair_wait_s = 1.0", "pair_wait_s = 600.0"))
    sidecar._environment |= clock.environment
    link = SocketLink(sidecar.address, [FEATURES])
    writer, sent = new_writer(), []

    def status() -> dict[str, Any]:
        return ops.ask(sidecar.folder / "ops.sock", "GET", "/status")

    def send(frames: int) -> None:
        for _ in range(frames):
            sent.append(decisions(writer, len(sent) + 1, 200, padding=400))
            link.send(sent[-1])
            until(lambda: len(decision_ids(fresh_log)) == 200 * len(sent), 60.0)

    def set_to(seconds: int, said: str) -> None:
        clock.set(seconds)
        until(lambda: f"The machine's clock was set {said}." in sidecar.log.read_text(), 60.0)

    with sidecar, closing(link), closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as doors:
        send(4)
        kept = {path.name for path in sidecar.folder.glob("outbox-*.db")}
        assert len(kept) > 2, "files are closed and shipped, and the log covers none of them"
        assert half(doors, "a", "request")
        set_to(HOUR_S, "forward by 3600 s")
        assert half(doors, "a", "response")
        assert half(doors, "b", "request")
        set_to(-HOUR_S, "back by 7200 s")
        assert half(doors, "b", "response")
        set_to(40 * DAY_S, "forward by 3459600 s")
        asked = status()["ship"]["asked"]
        send(1)
        set_to(0, "back by 3456000 s")
        send(1)
        found = status()
    assert {key: found["doors"]["pairing"].get(key, 0) for key in ("paired", "unmatched_request")} == {
        "paired": 2, "unmatched_request": 0
    }  # fmt: skip
    assert kept <= {path.name for path in sidecar.folder.glob("outbox-*.db")}
    assert found["ship"]["unlinked_uncovered"] == found["ship"]["duplicates"] == found["spool"]["forked"] == 0
    assert found["ship"]["asked"] > asked, "after a step the log is asked before anything is sent"
    assert found["clock"] == {"steps": 4, "set_s": 0.0}
    assert sorted(decision_ids(fresh_log)) == sorted(names(sent))
