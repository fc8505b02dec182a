"""Checkpoints of a real log outside of it: cosigned, in a file, at a webhook, time-stamped; and receipts."""

import base64
import datetime as dt
import json
import subprocess
import threading
import uuid
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from harness.cli.main import run
from harness.integrity.anchors import anchor
from harness.integrity.checkpoints import CHECKPOINTED, take
from harness.integrity.errors import HistoryForked, OutsideUnavailable, ProofInvalid, WitnessRefused
from harness.integrity.receipts import Receipt, check_receipts
from harness.integrity.rounds import round_of
from harness.integrity.timestamp import check_stamp, stamp
from harness.integrity.witness_book import WitnessBook
from harness.integrity.witness_client import Witness
from harness.integrity.witness_server import witness_server
from harness.log.log import Log
from harness.schedule_file import Schedule
from harness.schedule_jobs import jobs
from harness.scheduler import Runner
from tests.support.batches import decisions, stored
from tests.support.superuser import Rows, rewrite
from tests.support.tsa import authority, make_authority, served


def grow(log: Log, count: int = 3) -> list[Receipt]:
    writer, found = uuid.uuid4(), []
    for sequence in range(1, count + 1):
        receipt = log.append(stored(decisions(4, first=10 * sequence), writer, sequence))
        found.append(Receipt(receipt.epoch, receipt.position, receipt.digest, str(writer), sequence))
    return found


def test_a_rewrite_is_not_cosigned_even_when_this_host_forgot(fresh_log: Log, tmp_path: Path) -> None:
    book = WitnessBook.create(tmp_path / "witness", "w.example/1", lambda: 1_800_000_000)
    with witness_server(book, "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        witness = Witness(f"http://127.0.0.1:{server.server_port}", book.signer.key)
        grow(fresh_log)
        with pytest.raises(WitnessRefused, match="not one that is witnessed"):
            take(fresh_log, tmp_path / "host", [witness])
        assert fresh_log.controls(CHECKPOINTED) == [], "what is not cosigned is not handed on"
        (key_file,) = (tmp_path / "host").glob("*/e1/log.vkey")
        assert run(["witness", "trust", str(tmp_path / "witness"), str(key_file)]) == 0
        taken = take(fresh_log, tmp_path / "host", [witness])
        assert len(taken.note.signatures) == 2
        assert not take(fresh_log, tmp_path / "host", [witness]).made

        def replace_one(rows: Rows) -> None:
            rows[1]["payload"] = rows[0]["payload"]
            del rows[4:]  # the checkpoint as well

        rewrite(fresh_log.url, replace_one)
        for path in (tmp_path / "host").glob("*/e1/batches"):
            path.unlink()  # a colluding owner of the key and of the database
        with Log(fresh_log.url) as rewritten:
            grow(rewritten, 9)
            with pytest.raises(WitnessRefused, match="another history"):
                take(rewritten, tmp_path / "host", [witness])
        server.shutdown()


def test_a_checkpoint_is_anchored_once_in_a_file_and_at_a_webhook(fresh_log: Log, tmp_path: Path) -> None:
    got: list[bytes] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(self.rfile.read(int(self.headers["Content-Length"])))
            status = {"/yes": 204, "/away": 302}.get(self.path.partition("?")[0], 500)
            self.send_response(status)
            self.send_header("Location", "/yes")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with served(Hook) as url:
        (tmp_path / "harness.toml").write_text(
            f'[integrity]\nanchors = ["{tmp_path}/notes", "{url}/yes?token=secret"]\n'
        )
        for _ in range(2):
            taken, anchors = round_of(fresh_log, tmp_path, tmp_path / "host")
        note = taken.note.render()
        assert (tmp_path / "notes").read_text() == f"{note}\n"
        assert got == [note.encode()]
        assert [event.body["kind"] for event in anchors] == ["file", "webhook"]
        assert "secret" not in json.dumps([event.body for event in anchors])
        for path in ("no", "away"):
            with pytest.raises(OutsideUnavailable, match="it answered"):
                anchor(fresh_log, taken.note, f"{url}/{path}")
        assert len(got) == 3, "no redirect is followed"


def test_a_file_that_lost_its_checkpoint_gets_it_again(fresh_log: Log, tmp_path: Path) -> None:
    note, target = take(fresh_log, tmp_path / "host").note, tmp_path / "notes"
    event = anchor(fresh_log, note, str(target))
    target.unlink()
    assert anchor(fresh_log, note, str(target)) == event, "the log says it once"
    assert target.read_text() == f"{note.render()}\n"
    target.write_text("of another log\n\n")
    assert anchor(fresh_log, note, str(target)) == event
    assert target.read_text() == f"of another log\n\n{note.render()}\n"


def test_a_time_stamp_of_a_local_authority_holds(fresh_log: Log, tmp_path: Path) -> None:
    root = make_authority(tmp_path)
    taken = take(fresh_log, tmp_path / "host")
    note = taken.note.render().encode()
    with authority(tmp_path) as url:
        event = anchor(fresh_log, taken.note, f"rfc3161+{url}", root.read_bytes())
        assert anchor(fresh_log, taken.note, f"rfc3161+{url}", root.read_bytes()) == event
        other = tmp_path / "other"
        other.mkdir()
        with pytest.raises(ProofInvalid, match="time-stamp"):
            stamp(note, url, make_authority(other).read_bytes())
    token = base64.b64decode(event.body["token"])
    assert check_stamp(token, note, root.read_bytes()) == event.body["time"]
    with pytest.raises(ProofInvalid):
        check_stamp(token, note + b"\n", root.read_bytes())
    for name, data in (("note", note), ("token.tsr", token)):
        (tmp_path / name).write_bytes(data)
    command = ["openssl", "ts", "-verify", "-data", "note", "-in", "token.tsr", "-CAfile", "root.pem"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    for place in range(len(token) - 60, len(token), 7):  # the signature
        bent = bytearray(token)
        bent[place] ^= 1
        with pytest.raises((ProofInvalid, OutsideUnavailable)):
            check_stamp(bytes(bent), note, root.read_bytes())


def test_a_receipt_finds_what_no_checkpoint_covers(fresh_log: Log, tmp_path: Path) -> None:
    first = grow(fresh_log)
    take(fresh_log, tmp_path / "host")
    after = grow(fresh_log)
    found = check_receipts(fresh_log, tmp_path / "host", [*first, *after])
    assert found == (6, 3, 0, 0)
    with pytest.raises(HistoryForked, match='"harness log recover"'):  # of an epoch to come
        check_receipts(fresh_log, tmp_path / "host", [Receipt(7, 1, "00")])

    def replace_the_last(rows: Rows) -> None:
        rows[-1]["payload"] = rows[-2]["payload"]

    rewrite(fresh_log.url, replace_the_last)
    with Log(fresh_log.url) as rewritten:
        with pytest.raises(HistoryForked, match="another history after batch 3"):
            check_receipts(rewritten, tmp_path / "another host", after)
        lost = Receipt(1, 10_000, "00" * 32, "w", 1)
        with pytest.raises(HistoryForked, match="lost batch 1 of writer w"):
            check_receipts(rewritten, tmp_path / "another host", [lost])


def test_a_schedule_takes_checkpoints_and_none_of_its_own_events(fresh_log: Log, tmp_path: Path) -> None:
    (tmp_path / "harness.toml").write_text(f'[integrity]\nanchors = ["{tmp_path}/notes"]\n')
    grow(fresh_log)
    every = Schedule(name="checkpoints", job="checkpoint", every="10m")
    clock = SlotClock()
    runner = Runner(lambda: Log(fresh_log.url), jobs(tmp_path), clock)
    made = []
    for minutes in (0, 10, 20, 30):
        clock.minutes = minutes
        if minutes == 30:
            grow(fresh_log)
        found = runner.run_due(every)
        assert found.state == "completed", found.detail
        made.append(found.detail["made"])
    assert made == [True, False, False, True]
    assert (tmp_path / "notes").read_text().count("\n\n\N{EM DASH} ") == 2


def test_an_anchor_is_where_the_folder_is_and_not_where_the_scheduler_was_started(
    fresh_log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    home.mkdir()
    elsewhere.mkdir()
    absolute = tmp_path / "absolute"
    (home / "harness.toml").write_text(
        f'[integrity]\nanchors = ["notes", "file:more", "{absolute}"]\ntimestamp_roots = "roots.pem"\n'
    )
    (home / "roots.pem").write_bytes(b"")
    grow(fresh_log)
    monkeypatch.chdir(elsewhere)
    _taken, events = round_of(fresh_log, home, home)
    assert [event.body["target"] for event in events] == [
        str(home / "notes"),
        str(home / "more"),
        str(absolute),
    ]
    assert (home / "notes").read_bytes() == (home / "more").read_bytes() == absolute.read_bytes() != b""
    assert list(elsewhere.iterdir()) == []
    monkeypatch.chdir(home)
    assert round_of(fresh_log, Path(), home)[1] == events, "no second event from another place"


class SlotClock:
    """A clock that stands at a minute of one hour."""

    minutes = 0

    def now(self) -> dt.datetime:
        return dt.datetime(2026, 1, 1, 12, self.minutes, 30, tzinfo=dt.UTC)


def test_a_rewrite_to_what_nobody_can_read_is_a_rewrite(
    fresh_log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It was told as unreadable, as it was appended, though this host remembers another."""
    monkeypatch.setenv("HARNESS_DATABASE_URL", fresh_log.url)
    receipts, where = grow(fresh_log), ["-C", str(tmp_path)]
    assert run(["log", "checkpoint", *where]) == 0

    def garble(rows: Rows) -> None:
        rows[1]["payload"] = b"nothing to read"

    rewrite(fresh_log.url, garble)
    capsys.readouterr()
    assert run(["log", "verify", *where]) == 40
    told = capsys.readouterr()
    assert f"The log was altered (position {receipts[1].position})" in told.err
    assert "as it was appended" not in told.out
