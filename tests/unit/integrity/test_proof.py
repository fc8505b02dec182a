import os
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from harness.integrity.errors import ProofInvalid
from harness.integrity.proof import Sealed, check_proof, parse_proof
from tests.support.proofs import SIGNER, a_proof, number, second_verifier

KEY = SIGNER.key
VERIFIER = second_verifier()
SCRIPT = Path(str(VERIFIER.__file__))


def holds_here(data: bytes) -> bool:
    try:
        check_proof(parse_proof(data), KEY)
    except ProofInvalid:
        return False
    return True


def holds_there(data: bytes) -> bool:
    try:
        VERIFIER.check(data, KEY.render())
    except (VERIFIER.Invalid, ValueError):
        return False
    return True


@pytest.mark.parametrize(
    "shape", [(0, 1, 0, 1), (0, 2, 0, 1), (9, 21, 5, 11), (20, 21, 10, 11), (6, 7, 0, 5), (63, 64, 15, 16)]
)
@pytest.mark.parametrize("full", [False, True])
def test_both_verifiers_accept_what_is_there(shape: tuple[int, int, int, int], *, full: bool) -> None:
    proof = a_proof(*shape, full=full)
    data = proof.render()
    assert parse_proof(data) == proof
    assert check_proof(proof, KEY).size == shape[1]
    assert holds_there(data)


@pytest.mark.parametrize("full", [False, True])
def test_both_verifiers_refuse_every_altered_byte(*, full: bool) -> None:
    data = a_proof(full=full).render()
    assert len(data) < 1024
    for place in range(len(data)):
        bent = bytearray(data)
        bent[place] ^= 1 << place % 8
        assert not holds_here(bytes(bent)), place
        if place % 3 == 0:
            assert not holds_there(bytes(bent)), place


@pytest.mark.parametrize("full", [False, True])
def test_both_verifiers_refuse_what_is_cut_or_longer(*, full: bool) -> None:
    data = a_proof(full=full).render()
    for size in range(0, len(data), 7):
        assert not holds_here(data[:size])
        assert not holds_there(data[:size])
    assert not holds_here(data + b"\x00")
    assert not holds_there(data + b"\x00")


@pytest.mark.parametrize(
    "change", [{"position": 106}, {"identifier": "d6"}, {"event": 6}, {"batch": 8}, {"events": 12}]
)
@pytest.mark.parametrize("full", [False, True])
def test_a_proof_of_one_event_is_none_of_another(change: dict[str, object], *, full: bool) -> None:
    data = a_proof(full=full)._replace(**change).render()  # type: ignore[arg-type]
    assert not holds_here(data)
    assert not holds_there(data)


def test_no_two_byte_strings_are_one_proof() -> None:
    data = a_proof().render()
    longer = data[:84] + bytes([data[84] | 128, 0]) + data[85:]  # the same number, in two bytes
    assert not holds_here(longer)
    assert not holds_there(longer)


def test_a_proof_in_a_log_of_fifty_million_events_fits_a_kilobyte() -> None:
    depth = tuple(number(index) for index in range(14))
    proof = a_proof()._replace(
        checkpoint=Sealed(bytes(4), bytes(64), 12_500, 50_000_000),
        batch=12_499,
        event=3_999,
        events=4_000,
        position=50_000_000,
        identifier="f0e7b1a2-4c7d-4b7e",
        event_path=depth[:12],
        batch_path=depth,
    )
    assert len(proof.render()) <= 1024


def test_another_key_is_refused_by_both() -> None:
    other = type(KEY)(KEY.name, 1, Ed25519PrivateKey.generate().public_key().public_bytes_raw())
    with pytest.raises(ProofInvalid, match="not signed by"):
        check_proof(a_proof(), other)
    with pytest.raises(VERIFIER.Invalid):
        VERIFIER.check(a_proof().render(), other.render())


def test_signatures_in_plain_python_are_those_of_the_library() -> None:
    for place in range(12):
        private = Ed25519PrivateKey.from_private_bytes(bytes([place]) * 32)
        message, public = b"m" * place, private.public_key().public_bytes_raw()
        signature = private.sign(message)
        assert VERIFIER.signed(public, message, signature)
        assert not VERIFIER.signed(public, message + b".", signature)
        high = int.from_bytes(signature[32:], "little") + VERIFIER.ORDER
        assert not VERIFIER.signed(public, message, signature[:32] + high.to_bytes(32, "little"))


def test_the_second_verifier_is_short_and_runs_alone(tmp_path: Path) -> None:
    assert len(SCRIPT.read_text().splitlines()) <= 200
    proof = tmp_path / "17.proof"
    proof.write_bytes(a_proof().render())
    command = [sys.executable, "-I", "-S", str(SCRIPT), str(proof), KEY.render()]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={"PATH": os.defpath})
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(
        "d5 is at position 105 of log.example/e1, under its checkpoint of 21 batches."
    )
    proof.write_bytes(proof.read_bytes()[:-1] + b"\x00")
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={"PATH": os.defpath})
    assert done.returncode == 40
    assert "does not hold" in done.stderr


def test_the_second_verifier_says_apart_what_it_cannot_read(tmp_path: Path) -> None:
    """A key that is none, or a file that is not there, is no finding about the proof."""
    proof, key = tmp_path / "17.proof", tmp_path / "log.vkey"
    proof.write_bytes(a_proof().render())
    key.write_text(f"{KEY.render()}\n")

    def told(*arguments: object) -> tuple[int, str]:
        command = [sys.executable, "-I", "-S", str(SCRIPT), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert "Traceback" not in done.stderr
        return done.returncode, done.stdout + done.stderr

    assert told(proof, key)[0] == 0
    assert told(proof, KEY.render())[0] == 0
    for given in (proof, tmp_path, tmp_path / "none", "bla", f"{KEY.render()}AAAA", "k" * 5000, ""):
        code, text = told(proof, given)
        assert code == 2, text
        assert text.startswith("Nothing was checked: ")
    code, text = told(tmp_path / "none", key)
    assert (code, "No such file" in text) == (2, True)
    code, text = told(key, key)
    assert (code, text) == (40, "The proof does not hold: it does not begin as one.\n")
