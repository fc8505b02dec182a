import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from harness.integrity.checkpoint import Checkpoint, open_checkpoint
from harness.integrity.errors import KeyUnusable, ProofInvalid
from harness.integrity.note import COSIGNATURE, Note, Signer, cosigned_at, parse_key, parse_note

# The example in the documentation of Go's sumdb/note, which the format is taken from.
PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
SAYING = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "\N{EM DASH} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpR"
    "Zb6KE6RyyBwJnAM=\n"
).encode()
LOG = Signer("log.example/e1", Ed25519PrivateKey.from_private_bytes(bytes(32)))
WITNESS = Signer("w.example", Ed25519PrivateKey.from_private_bytes(bytes(range(32))), COSIGNATURE)
CHECKPOINT = Checkpoint("log.example/e1", 7, bytes(range(32)), 41)


def signed(*signers: Signer) -> bytes:
    text = CHECKPOINT.text()
    return Note(text, tuple(signer.sign(text) for signer in signers)).render().encode()


def test_a_note_of_another_implementation_is_understood() -> None:
    key = parse_key(PETER)
    note = parse_note(SAYING)
    assert key.signed(note) is not None
    assert key.render() == PETER
    assert note.render().encode() == SAYING
    with pytest.raises(ProofInvalid, match="did not sign"):
        key.signed(parse_note(SAYING.replace(b"answer", b"reason")))


def test_a_checkpoint_is_what_its_log_signed() -> None:
    assert open_checkpoint(signed(LOG), [LOG.key])[0] == CHECKPOINT
    other = Signer("log.example/e1", Ed25519PrivateKey.generate())
    with pytest.raises(ProofInvalid, match="not signed by"):
        open_checkpoint(signed(other), [LOG.key])
    assert open_checkpoint(signed(other, LOG), [other.key, LOG.key])[0] == CHECKPOINT
    stranger = Signer("another.example", Ed25519PrivateKey.generate())
    with pytest.raises(ProofInvalid, match="not signed by"):
        open_checkpoint(signed(stranger), [stranger.key])


def test_a_cosignature_holds_for_its_time_alone() -> None:
    text = CHECKPOINT.text()
    note = Note(text, (LOG.sign(text), WITNESS.cosign(text, 1_800_000_000)))
    found = WITNESS.key.signed(parse_note(note.render().encode()))
    assert found is not None
    assert cosigned_at(found) == 1_800_000_000
    later = found._replace(value=(1_800_000_001).to_bytes(8, "big") + found.value[8:])
    with pytest.raises(ProofInvalid, match="did not sign"):
        WITNESS.key.signed(Note(text, (later,)))


def test_every_altered_byte_of_a_checkpoint_is_found() -> None:
    good = signed(LOG)
    for place in range(len(good)):
        bent = bytearray(good)
        bent[place] ^= 1
        with pytest.raises(ProofInvalid):
            open_checkpoint(bytes(bent), [LOG.key])


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\n\n", b"text\n", b"text\n\n", b"text\n\n\xff\n", b"text\n\nname AAAAAA==\n", b"\x00" * 70_000,
        "text\n\n\N{EM DASH} name\n".encode(), "text\n\n\N{EM DASH} name AA==\n".encode(), signed(LOG)[:-1],
        "text\n\n\N{EM DASH} name !!!!\n".encode(), b"t\n\n" + "\N{EM DASH} n AAAAAAAA\n".encode() * 65,
    ],
)  # fmt: skip
def test_what_is_no_note_is_refused(data: bytes) -> None:
    with pytest.raises(ProofInvalid):
        open_checkpoint(data, [LOG.key])


@pytest.mark.parametrize(
    "text",
    [
        "", "a", "a+b", "a+b+!", "a+00000000+AAAA", PETER.replace("c74f20a3", "c74f20a4"), PETER[4:],
        PETER.replace("Peter", "Peter "), "+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    ],
)  # fmt: skip
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(KeyUnusable):
        parse_key(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "o\n1\nAAAA\nposition 1\n",
        CHECKPOINT.text() + "more\n",
        CHECKPOINT.text().replace("\n7\n", "\n07\n"),
    ],
)
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    note = Note(text or "\n", (LOG.sign(text or "\n"),)).render().encode()
    with pytest.raises(ProofInvalid):
        open_checkpoint(note, [LOG.key])
