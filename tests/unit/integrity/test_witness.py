"""The witness: what it cosigns, and what it does not. Over HTTP where the way matters."""

import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from harness.errors import UsageError
from harness.integrity.checkpoint import Checkpoint, render_hashes
from harness.integrity.errors import KeyUnusable, OutsideUnavailable, WitnessMissing, WitnessRefused
from harness.integrity.note import Note, Signer, cosigned_at, parse_note
from harness.integrity.outside import post
from harness.integrity.witness_book import Refusal, WitnessBook
from harness.integrity.witness_client import Witness
from harness.integrity.witness_server import witness_server
from harness.log.merkle import Tree, leaf_hash

LOG = Signer("log.example/e1", Ed25519PrivateKey.from_private_bytes(bytes(32)))
AT = 1_800_000_000


def tree(size: int, fork_at: int | None = None) -> Tree:
    return Tree(leaf_hash(f"{number}{'x' if number == fork_at else ''}".encode()) for number in range(size))


def note_of(grown: Tree, size: int, signer: Signer = LOG) -> Note:
    text = Checkpoint(signer.key.name, size, grown.root(size), size).text()
    return Note(text, (signer.sign(text),))


def request(
    old: int, grown: Tree, size: int, signer: Signer = LOG, proof: list[bytes] | None = None
) -> bytes:
    path = grown.consistency(old, size) if proof is None else proof
    return f"old {old}\n{render_hashes(path)}\n{note_of(grown, size, signer).render()}".encode()


@pytest.fixture
def book(tmp_path: Path) -> WitnessBook:
    made = WitnessBook.create(tmp_path / "w", "w.example/1", lambda: AT)
    made.trust(LOG.key)
    return made


def refusal(book: WitnessBook, body: bytes) -> tuple[int, int | None]:
    with pytest.raises(Refusal) as found:
        book.add(body)
    return found.value.status, found.value.size


def test_it_cosigns_what_continues(book: WitnessBook) -> None:
    grown = tree(9)
    for old, new in ((0, 3), (3, 3), (3, 7), (7, 9)):
        lines = book.add(request(old, grown, new))
        signature = book.signer.key.signed(parse_note(f"{note_of(grown, new).text}\n{lines}".encode()))
        assert signature is not None
        assert cosigned_at(signature) == AT
    assert [(one.origin, one.size, one.root) for one in book.seen()] == [(LOG.key.name, 9, grown.root())]


def test_it_never_cosigns_a_fork(book: WitnessBook) -> None:
    grown, forked = tree(9), tree(12, fork_at=2)
    book.add(request(0, grown, 7))
    assert refusal(book, request(7, forked, 12)) == (422, None)
    assert refusal(book, request(7, forked, 7)) == (409, 7), "another root of the same size"
    assert refusal(book, request(0, forked, 12)) == (409, 7), "as if nothing had been seen"
    assert refusal(book, request(3, forked, 5)) == (409, 7), "a shorter one"
    assert refusal(book, request(7, grown, 9, proof=[bytes(32)])) == (422, None)
    assert refusal(book, request(8, grown, 9)) == (409, 7)
    assert book.seen()[0].root == grown.root(7)
    again = WitnessBook(book._path.parent, lambda: AT)
    assert refusal(again, request(7, forked, 12)) == (422, None), "it remembers over a restart"
    again.add(request(7, grown, 9))


def test_it_cosigns_for_logs_that_it_knows_alone(book: WitnessBook) -> None:
    stranger = Signer("other.example", Ed25519PrivateKey.generate())
    thief = Signer(LOG.key.name, Ed25519PrivateKey.generate())
    assert refusal(book, request(0, tree(3), 3, stranger)) == (404, None)
    assert refusal(book, request(0, tree(3), 3, thief)) == (403, None)
    book.add(request(0, tree(3), 3))
    book.trust(thief.key)
    assert book.seen()[0].size == 3, "another key forgets nothing"


@pytest.mark.parametrize(
    "body",
    [
        b"", b"old\n\n", b"old x\n\nnote", b"old -1\n\n", b"new 1\n\n", b"old 1\n!\n\nx",
        b"old 9999999999999999999\n\nx", b"old 1\nAAAA\n\nx",
    ],
)  # fmt: skip
def test_what_is_no_request_is_refused(book: WitnessBook, body: bytes) -> None:
    assert refusal(book, body)[0] == 400


def test_it_does_not_begin_without_its_book(book: WitnessBook) -> None:
    book._path.unlink()
    folder = book._path.parent
    with pytest.raises(WitnessMissing, match=r"no witness in .*: it has no witness.db. .* is retired"):
        WitnessBook(folder, lambda: AT)
    with pytest.raises(KeyUnusable, match="exists"):
        WitnessBook.create(folder, "w.example/1", lambda: AT)


@pytest.mark.parametrize("name", ["", "two words", "a+b", "line\n"])
def test_a_name_that_no_key_can_have_leaves_no_key_behind(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="No witness can be called"):
        WitnessBook.create(tmp_path, name, lambda: AT)
    assert WitnessBook.create(tmp_path, "w.example/1", lambda: AT).signer.key.name == "w.example/1"


def test_without_its_key_it_neither_begins_nor_gets_another(book: WitnessBook) -> None:
    folder = book._path.parent
    (folder / "witness.pem").unlink()
    for begin in (WitnessBook, lambda *given: WitnessBook.create(given[0], "w.example/1", given[1])):
        with pytest.raises(WitnessMissing, match=r"it has no witness.pem. .* is retired"):
            begin(folder, lambda: AT)
    assert not (folder / "witness.pem").exists()


@pytest.fixture
def url(book: WitnessBook) -> Iterator[str]:
    with witness_server(book, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def memory(grown: Tree) -> Any:
    return SimpleNamespace(tree=grown)


def test_a_log_is_cosigned_over_http_and_a_fork_is_not(book: WitnessBook, url: str) -> None:
    witness, grown = Witness(url, book.signer.key), tree(30)
    for size in (4, 4, 11, 30):
        checkpoint = Checkpoint(LOG.key.name, size, grown.root(size), size)
        signature = witness.cosign(checkpoint, note_of(grown, size), memory(grown))
        assert cosigned_at(signature) == AT
    forked = tree(40, fork_at=1)
    for size in (30, 40):
        checkpoint = Checkpoint(LOG.key.name, size, forked.root(size), size)
        with pytest.raises(WitnessRefused, match="another history"):
            witness.cosign(checkpoint, note_of(forked, size), memory(forked))
    shorter = Checkpoint(LOG.key.name, 12, grown.root(12), 12)
    with pytest.raises(WitnessRefused, match="30 batches"):
        witness.cosign(shorter, note_of(grown, 12), memory(grown))
    stranger = Signer("w.example/1", Ed25519PrivateKey.generate(), 4)
    with pytest.raises(WitnessRefused, match="another key"):
        Witness(url, stranger.key).cosign(
            Checkpoint(LOG.key.name, 30, grown.root(), 30), note_of(grown, 30), memory(grown)
        )


def test_the_door_takes_one_kind_of_request(url: str) -> None:
    assert post("it", f"{url}/other", b"", "text/plain")[0] == 404
    assert post("it", f"{url}/add-checkpoint", b"x" * 70_000, "text/plain")[0] == 413
    assert post("it", f"{url}/add-checkpoint", b"\xff\x00", "text/plain")[0] == 400


def test_a_witness_that_is_away_is_named(book: WitnessBook) -> None:
    grown = tree(3)
    with pytest.raises(OutsideUnavailable, match=r"w\.example/1"):
        Witness("http://127.0.0.1:9", book.signer.key).cosign(
            Checkpoint(LOG.key.name, 3, grown.root(), 3), note_of(grown, 3), memory(grown)
        )
