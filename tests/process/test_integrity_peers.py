"""Witnesses, webhooks and time-stamping services that are slow, lie or answer garbage: said, and no harm."""

import base64
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from harness.integrity import outside
from harness.integrity.anchors import ANCHORED, anchor
from harness.integrity.checkpoints import CHECKPOINTED, take
from harness.integrity.errors import OutsideUnavailable, WitnessRefused
from harness.integrity.log_keys import rotate, the_key
from harness.integrity.memory import open_memory
from harness.integrity.note import Note
from harness.integrity.rounds import round_of
from harness.integrity.witness_book import WitnessBook
from harness.integrity.witness_client import Witness
from harness.integrity.witness_server import witness_server
from harness.log.log import Log
from tests.support.tsa import served

STEERS = b"\x1b[2J\x1b]0;owned\x07 no\nway"
# DER: granted, and no token; refused without a word.
GRANTED, REFUSED = bytes([0x30, 5, 0x30, 3, 2, 1, 0]), bytes([0x30, 5, 0x30, 3, 2, 1, 2])
ANSWERS = {
    "ok": (200, b"thanks"),
    "garbage": (200, bytes(range(256))),
    "page": (200, b"<html>log in first</html>"),
    "digits": (409, b"9" * 5_000),
    "steers": (403, STEERS),
    "huge": (200, b"x" * 2**17),
    "granted": (200, GRANTED),
    "refused": (200, REFUSED),
}


class Peer(BaseHTTPRequestHandler):
    """Answers by the first part of the path."""

    logins: list[str | None]

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.logins.append(self.headers["Authorization"])
        mode = self.path.split("/")[1].partition("?")[0]
        if mode == "drips":
            self.send_response(200)
            self.end_headers()
            with suppress(OSError):
                for _ in range(100):
                    self.wfile.write(b"x")
                    time.sleep(0.1)
        elif mode == "speaks%20otherwise":
            self.wfile.write(STEERS + b"\r\n\r\n")
        else:
            status, body = ANSWERS[mode]
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(Peer, "logins", [], raising=False)
    with served(Peer) as url:
        yield url


@pytest.fixture
def note(fresh_log: Log, tmp_path: Path) -> Note:
    return take(fresh_log, tmp_path / "host").note


def test_a_peer_that_answers_byte_by_byte_is_left_in_time(
    fresh_log: Log, note: Note, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each byte began the ten seconds anew: a webhook held a schedule of checkpoints for days."""
    monkeypatch.setattr(outside, "PATIENCE_S", 0.5)
    with pytest.raises(OutsideUnavailable, match=r"not answered in full after 0\.5 s"):
        anchor(fresh_log, note, f"{url}/drips")
    assert not fresh_log.controls(ANCHORED)


def test_the_login_of_a_url_is_sent_and_never_shown(fresh_log: Log, note: Note, url: str) -> None:
    host = url.removeprefix("http://")
    anchor(fresh_log, note, f"http://ada:p%40w@{host}/ok?token=s3cret")
    assert base64.b64decode(Peer.logins[0].removeprefix("Basic ")) == b"ada:p@w"
    for kind in ("", "rfc3161+"):
        with pytest.raises(OutsideUnavailable) as caught:
            anchor(fresh_log, note, f"{kind}http://ada:p%40w@{host}/huge?token=s3cret")
        assert "longer than" in str(caught.value)
        assert not any(secret in str(caught.value) for secret in ("ada:", "p%40w", "s3cret"))


@pytest.mark.parametrize(
    ("mode", "said"),
    [("garbage", "is no time-stamp"), ("granted", "is no time-stamp"), ("refused", "status 2.")],
)
def test_a_service_that_gives_no_time_stamp_is_said(
    fresh_log: Log, note: Note, url: str, mode: str, said: str
) -> None:
    with pytest.raises(OutsideUnavailable, match=said):
        anchor(fresh_log, note, f"rfc3161+{url}/{mode}")


@pytest.mark.parametrize("mode", ["ok", "garbage", "page", "huge", "speaks%20otherwise"])
def test_a_witness_that_answers_with_something_else_is_none(
    fresh_log: Log, tmp_path: Path, url: str, mode: str
) -> None:
    """It ended as a note that does not hold (exit code 40, advice about --key); or steered the terminal."""
    key = WitnessBook.create(tmp_path / "w", "w.example/1", time.time).signer.key
    with pytest.raises(OutsideUnavailable) as caught:
        take(fresh_log, tmp_path / "host", [Witness(f"{url}/{mode}", key)])
    assert (caught.value.exit_code, str(caught.value).isprintable()) == (1, True)
    assert "The log did not get it either" in str(caught.value)
    assert not fresh_log.controls(CHECKPOINTED)


@pytest.mark.parametrize(
    ("mode", "said"), [("digits", "another history"), ("steers", r"owned\\x07 no\\nway")]
)
def test_what_a_witness_refuses_with_is_text(
    fresh_log: Log, tmp_path: Path, url: str, mode: str, said: str
) -> None:
    key = WitnessBook.create(tmp_path / "w", "w.example/1", time.time).signer.key
    with pytest.raises(WitnessRefused, match=said) as caught:
        take(fresh_log, tmp_path / "host", [Witness(f"{url}/{mode}", key)])
    assert str(caught.value).isprintable()


def test_a_witness_that_lost_its_book_while_it_answers_says_so(
    fresh_log: Log, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """It closed the connection, with a traceback on its own host."""
    book = WitnessBook.create(tmp_path / "w", "w.example/1", time.time)
    with witness_server(book, "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        (tmp_path / "w" / "witness.db").unlink()
        witness = Witness(f"http://127.0.0.1:{server.server_port}", book.signer.key)
        with pytest.raises(OutsideUnavailable, match="it answered 503"):
            take(fresh_log, tmp_path / "host", [witness])
        server.shutdown()
    said = capfd.readouterr().err
    assert "unable to open database file" in said
    assert "Traceback" not in said


def test_a_witness_is_told_of_a_new_key(fresh_log: Log, tmp_path: Path) -> None:
    book = WitnessBook.create(tmp_path / "w", "w.example/1", time.time)
    home = tmp_path / "host"
    take(fresh_log, home)
    memory = open_memory(fresh_log, home)
    memory.advance(fresh_log)
    book.trust(the_key(fresh_log, memory))
    with witness_server(book, "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        witness = Witness(f"http://127.0.0.1:{server.server_port}", book.signer.key)
        take(fresh_log, home, [witness])
        new = rotate(fresh_log, home)
        with pytest.raises(WitnessRefused, match=r"not signed by.*harness witness trust"):
            take(fresh_log, home, [witness])
        book.trust(new)
        assert len(take(fresh_log, home, [witness]).note.signatures) == 2
        server.shutdown()


def test_an_anchor_that_is_down_keeps_a_checkpoint_from_no_other(
    fresh_log: Log, tmp_path: Path, url: str
) -> None:
    """The first one that failed was the last one tried, round after round."""
    targets = f'"http://127.0.0.1:9/down", "{tmp_path}/notes", "{url}/steers", "{url}/ok"'
    (tmp_path / "harness.toml").write_text(f"[integrity]\nanchors = [{targets}]\n")
    with pytest.raises(OutsideUnavailable, match="down did not take"):
        round_of(fresh_log, tmp_path, tmp_path / "host")
    assert {event.body["kind"] for event in fresh_log.controls(ANCHORED)} == {"file", "webhook"}
    assert (tmp_path / "notes").exists()
