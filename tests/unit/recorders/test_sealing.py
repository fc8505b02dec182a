"""Sealed fields: what is stored shows nothing, is the same again, and opens for its own event alone."""

import hashlib
from typing import Any

import msgspec
import pytest

from recorders import hotpath
from recorders.columns import TRANSPOSED_MIN, decision_schema, to_batch
from recorders.errors import CorruptBatch, FeatureSetError
from recorders.fields import FeatureSet, Field
from recorders.frame import Frame, payload_of
from recorders.sealing import key_id, seal, unseal
from recorders.sidecar.compose import compose
from recorders.sidecar.salvage import Stored
from recorders.sidecar.sealed_frames import FrameSealer, proven
from recorders.subject_keys import SubjectKeys
from recorders.transpose import transpose
from recorders.wrapping import wrappers
from tests.support.recording import MemoryLink, StillRecorder
from tests.support.sidecars import arrived
from tests.support.subjects import PERSON, SECRET, SHOP, HeldKeys, snapshot

DIGEST = bytes.fromhex(SHOP.digest)


def frames(*customers: str | None, seed: int = 1) -> list[Frame]:
    link = MemoryLink()
    recorder = StillRecorder("shop.checkout", SHOP, link, model="m", model_version="1", seed=seed)
    for number, customer in enumerate(customers):
        recorder.record(snapshot(customer, number), statuses={"born": "missing"})
    recorder.carry_all()
    return link.frames


def announced(digest: bytes) -> bytes | None:
    return SHOP.canonical() if digest == DIGEST else None


@pytest.mark.parametrize("count", [3, TRANSPOSED_MIN])  # decoded one by one, and by columns
def test_a_batch_has_one_sealed_value_an_event_and_nothing_in_clear(count: int) -> None:
    keys, (frame,) = HeldKeys(), frames(*[f"person-{n % 7}" for n in range(count)])
    payload = seal(frame.payload, SHOP, keys)
    assert b"person" not in payload
    assert b"confidential" not in payload
    batch = to_batch(msgspec.structs.replace(frame, payload=payload), SHOP)
    assert batch.schema.equals(decision_schema(SHOP))
    assert [name for name in batch.schema.names if name.startswith("f.")] == ["f.amount", "f.country"]
    blobs, ids = batch.column("sealed").to_pylist(), batch.column("decision_id").to_pylist()
    opened = unseal(blobs, ids, SHOP, keys)
    assert opened == [
        [1_000.5 + n, f"person-{n % 7}", f"confidential-person-{n % 7}-{n}", None] for n in range(count)
    ]
    keys.destroyed.add(keys.by_subject["person-1"].id)
    gone = unseal(blobs, ids, SHOP, keys)
    assert [n for n, row in enumerate(gone) if row is None] == [n for n in range(count) if n % 7 == 1]


def test_the_same_frame_is_the_same_bytes_again() -> None:
    keys, (frame,) = HeldKeys(), frames("ada", "ada", "bob", None)
    assert seal(frame.payload, SHOP, keys) == seal(frame.payload, SHOP, keys)
    blobs = [row[-2] for row in msgspec.msgpack.decode(seal(frame.payload, SHOP, keys))]
    assert len({blob[17:29] for blob in blobs}) == 4, "no two events share a nonce"
    assert [key_id(blob) for blob in blobs] == [
        keys.by_subject[name].id for name in ("ada", "ada", "bob", "")
    ]


# What version 1 made of PERSON before there was a compiled cut.
SEALED = bytes.fromhex(
    "dd000000019fa3642d31cf00060a24181e4000c0a16da131cb3fe0000000000000a5616c6c6f77c0cb3ff000000000000007"
    "c0cb4004000000000000a24e5ac453010000000000000000000000000000000185e4aa80245c287cd47cb94c24c3c32af6a6"
    "c1bc9bf75d3c10a07bfa931a2e3122c5b17b5beb948aed099a30bfd3b06dcf1ef95434284cde3d226f4919809007f4fa9192"
    "a4626f726ea57374616c65"
)


@pytest.mark.parametrize("which", ["compiled", "python"])
def test_an_event_is_sealed_as_ever(which: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if which == "python":
        monkeypatch.setattr(hotpath, "cut", None)
    assert seal(payload_of([msgspec.msgpack.encode(PERSON)]), SHOP, HeldKeys()) == SEALED


def test_sealed_events_become_columns_without_an_object_a_value() -> None:
    keys, (frame,) = HeldKeys(), frames("ada", "bob")
    assert transpose(seal(frame.payload, SHOP, keys), frame.events, decision_schema(SHOP)) is not None


class Remembered(dict[Any, Any]):
    """Keys that are looked up, and never gone through."""

    def __iter__(self) -> Any:
        raise AssertionError("all that is remembered was gone through")

    keys = items = values = __iter__


def test_a_frame_asks_for_its_own_persons_and_goes_through_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each frame once went through all 200,000 keys that a process may remember."""
    monkeypatch.setenv("HARNESS_SUBJECT_SECRET", SECRET)
    held, keys = HeldKeys(), SubjectKeys("nowhere", wrappers())
    ada = held.of(["ada"])["ada"]
    keys._by_subject, keys._by_id = Remembered(ada=ada), Remembered({ada.id: ada})
    assert keys.of(["ada"]) == {"ada": ada}
    assert keys.by_id([ada.id]) == {ada.id: ada}


def test_a_sealed_value_opens_for_its_own_event_alone() -> None:
    keys, (frame,) = HeldKeys(), frames("ada", "ada")
    rows = msgspec.msgpack.decode(seal(frame.payload, SHOP, keys))
    (one, two), (first, second) = [row[0] for row in rows], [row[-2] for row in rows]
    assert unseal([first, second], [one, two], SHOP, keys)[1] is not None
    other = FeatureSet("shop", 2, SHOP.fields)
    for blobs, ids, declared in (([second], [one], SHOP), ([first], [one], other)):
        with pytest.raises(CorruptBatch, match="another event"):
            unseal(blobs, ids, declared, keys)
    for place in range(17, len(first)):
        bent = bytearray(first)
        bent[place] ^= 1
        with pytest.raises(CorruptBatch):
            unseal([bytes(bent)], [one], SHOP, keys)
    for blob in (b"", b"\x02" + first[1:], first[:20]):
        with pytest.raises(CorruptBatch, match="form"):
            unseal([blob], [one], SHOP, keys)


@pytest.mark.parametrize(
    "rows",
    [b"\xc1", b"\x01", [1], [[1]], [[0] * 18], [["id"] + [None] * 12 + [7] + [None] * 4], b"\x91\xa1\xff"],
)
def test_what_is_no_such_event_is_refused_without_its_values(rows: Any) -> None:
    payload = rows if isinstance(rows, bytes) else msgspec.msgpack.encode(rows)
    with pytest.raises(CorruptBatch) as found:
        seal(payload, SHOP, HeldKeys())
    assert "7" not in str(found.value)


def test_a_frame_keeps_its_digest_and_proves_itself() -> None:
    keys, (frame,) = HeldKeys(), frames("ada")
    (sealed,) = FrameSealer(lambda: keys).seal([arrived(frame)], announced)
    assert not isinstance(sealed, str)
    assert sealed.digest.hex() == frame.digest
    assert b"ada" not in sealed.payload
    assert proven(sealed.payload, sealed.digest)
    for place in range(1, len(sealed.payload)):
        bent = bytearray(sealed.payload)
        bent[place] ^= 1
        assert not proven(bytes(bent), sealed.digest)
    stored = [Stored(1, n, one, 0.0) for n, one in enumerate([sealed, sealed], 1)]
    drafts, unusable = compose(stored, announced, target_events=10)
    assert (len(drafts), drafts[0].events, unusable) == (1, 2, [])


def test_without_keys_a_frame_is_held_and_those_behind_it() -> None:
    keys = HeldKeys()
    sealer = FrameSealer(lambda: keys)
    (first,), (other,) = frames("ada", seed=1), frames("bob", seed=2)
    plain = arrived(first)._replace(kind=1, sequence=2)
    elsewhere = arrived(other)._replace(kind=1)
    keys.away = True
    found = sealer.seal([arrived(first), plain, elsewhere], announced)
    assert [isinstance(one, str) for one in found] == [True, True, False]
    assert "away" in str(found[0])
    keys.away = False
    assert not any(isinstance(one, str) for one in sealer.seal([arrived(first), plain], announced))


def test_a_sidecar_without_a_secret_holds_what_is_sensitive() -> None:
    def none() -> Any:
        raise FeatureSetError("no secret", "Expected one.", "Set it.")

    (frame,) = frames("ada")
    (found,) = FrameSealer(none).seal([arrived(frame)], announced)
    assert "no secret" in str(found)


def test_a_frame_that_cannot_be_sealed_leaves_nothing_in_clear() -> None:
    (frame,) = frames("ada")
    altered = arrived(frame)._replace(payload=frame.payload.replace(b"ada", b"eve"))
    rows = msgspec.msgpack.encode([["ada"]])
    short = arrived(frame)._replace(payload=rows, digest=hashlib.sha256(rows).digest())
    # What the decoder says of a text that is no UTF-8 was once caught by nobody.
    rows = frame.payload.replace(b"confidential", b"confident\xff\xff\xff")
    garbled = arrived(frame)._replace(payload=rows, digest=hashlib.sha256(rows).digest())
    for given in (altered, short, garbled):
        (sealed,) = FrameSealer(HeldKeys).seal([given], announced)
        assert not isinstance(sealed, str)
        assert len(sealed.payload) == 33
        _, unusable = compose([Stored(1, 1, sealed, 0.0)], announced, target_events=10)
        assert len(unusable) == 1


def test_a_set_has_one_subject_where_something_is_sensitive() -> None:
    with pytest.raises(FeatureSetError, match="0 subjects"):
        FeatureSet("s", 1, (Field("income", "float64", sensitive=True),))
    with pytest.raises(FeatureSetError, match="2 subjects"):
        FeatureSet("s", 1, (Field("a", "string", subject=True), Field("b", "string", subject=True)))
    with pytest.raises(FeatureSetError, match="subject True"):
        Field("a", "float64", subject=True)
    assert FeatureSet.from_toml(SHOP.to_toml()) == SHOP
    assert FeatureSet.from_json(SHOP.canonical()) == SHOP
    assert b"sensitive" not in FeatureSet("s", 1, (Field("a", "int64"),)).canonical()
