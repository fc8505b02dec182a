"""Each byte of a stored batch, flipped: its payload, its digests, and every field of its header."""

import uuid
from datetime import timedelta

import msgspec

from harness.log.chain import Header, genesis, link
from harness.log.stored import StoredBatch
from harness.log.verify import fault
from tests.support.batches import START, decisions, stored

PREVIOUS = genesis(uuid.UUID(int=3), "server")


def a_batch() -> StoredBatch:
    given = stored(decisions(40), uuid.UUID(int=9), 1)
    digest = bytes.fromhex(given.digest)
    header = Header(
        1, given.events, given.kind, given.decision_point, bytes.fromhex(given.schema_digest),
        given.writer, 1, given.occurred_min, given.occurred_max, START,
    )  # fmt: skip
    return StoredBatch(header, digest, link(PREVIOUS, header, digest), given.payload)


def flipped(data: bytes, place: int) -> bytes:
    bent = bytearray(data)
    bent[place] ^= 1 << place % 8
    return bytes(bent)


def test_every_flipped_byte_of_a_payload_and_its_digests_is_found() -> None:
    batch = a_batch()
    assert fault(batch, 1, PREVIOUS) == ""
    for name in ("payload", "digest", "chain"):
        data = getattr(batch, name)
        for place in range(len(data)):
            assert fault(msgspec.structs.replace(batch, **{name: flipped(data, place)}), 1, PREVIOUS)


def test_every_flipped_byte_of_a_header_is_found() -> None:
    batch = a_batch()
    header = batch.header
    changes: list[dict[str, object]] = [
        {"schema_digest": flipped(header.schema_digest, place)} for place in range(32)
    ]
    changes += [{"writer": uuid.UUID(bytes=flipped(header.writer.bytes, place))} for place in range(16)]
    for name in ("kind", "decision_point"):
        text = getattr(header, name)
        changes += [{name: text[:at] + chr(ord(text[at]) ^ 1) + text[at + 1 :]} for at in range(len(text))]
    for name, bits in (("events", 31), ("sequence", 63)):
        changes += [{name: getattr(header, name) ^ (1 << bit)} for bit in range(bits)]
    for name in ("occurred_min", "occurred_max", "recorded_at"):
        changes += [{name: getattr(header, name) + timedelta(microseconds=1 << bit)} for bit in range(50)]
        changes += [{name: None}] if name != "recorded_at" else []
    for change in changes:
        bent = msgspec.structs.replace(batch, header=msgspec.structs.replace(header, **change))
        assert fault(bent, 1, PREVIOUS), change
    moved = msgspec.structs.replace(batch, header=msgspec.structs.replace(header, position=2))
    assert fault(moved, 1, PREVIOUS)
