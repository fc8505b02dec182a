"""Edits of history by somebody who may do anything to the database: who finds which."""

import uuid
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from harness.integrity.checkpoint import Checkpoint
from harness.integrity.checkpoints import make_log_key, take
from harness.integrity.compare import compare
from harness.integrity.errors import HistoryForked, KeyUnusable, ProofInvalid
from harness.integrity.log_keys import known_keys
from harness.integrity.memory import open_memory
from harness.integrity.note import Note, Signer
from harness.log.controls import control_batch
from harness.log.log import Log
from recorders.append import Batch
from recorders.canonical import canonical_json, digest
from tests.support.batches import decisions, outcomes, stored
from tests.support.superuser import Rows, edit, rewrite

# Six batches of three decisions, so that the third is at 7; the log's key is at 19, its checkpoint at 20, and
# three outcomes come after it.
THIRD = 7
KEY, CHECKPOINT, AFTER = 19, 20, 21


@pytest.fixture
def history(fresh_log: Log, tmp_path: Path) -> tuple[Log, Path]:
    writer = uuid.uuid4()
    for sequence in range(1, 7):
        fresh_log.append(stored(decisions(3, first=3 * sequence), writer, sequence))
    take(fresh_log, tmp_path / "host")
    fresh_log.append(stored(outcomes(3), writer, 7))
    return fresh_log, tmp_path


THE_THIRD = " where position = 7"
FLIP = "update harness.batch set payload = set_byte(payload, 90, get_byte(payload, 90) # 1)" + THE_THIRD
DIGEST = "update harness.batch set digest = sha256(payload)" + THE_THIRD
LINK = """update harness.batch b set chain = sha256((select p.chain from harness.batch p where p.position = 4)
    || harness.header(b.position, b.events, b.kind, b.decision_point, b.schema_digest, b.writer, b.sequence,
        b.occurred_min, b.occurred_max, b.recorded_at) || b.digest)"""
# What recomputing the chain finds alone, without knowing anything from before: where it says so.
SEEN_BY_THE_CHAIN: dict[str, tuple[tuple[str, ...], int]] = {
    "a byte of a payload": ((FLIP,), THIRD),
    "a payload and its digest": ((FLIP, DIGEST), THIRD),
    "a payload, its digest and its own link": ((FLIP, DIGEST, LINK + THE_THIRD), 10),
    "a batch removed": (("delete from harness.batch where position = 7",), THIRD),
    "two batches swapped": (
        (
            "update harness.batch set position = 100 where position = 7",
            "update harness.batch set position = 7 where position = 10",
            "update harness.batch set position = 10 where position = 100",
        ),
        THIRD,
    ),
    "another writer": (("update harness.batch set writer = gen_random_uuid() where position = 7",), THIRD),
    "an earlier time": (
        ("update harness.batch set recorded_at = recorded_at - interval '1 day' where position = 7",),
        THIRD,
    ),
    "another identity": (("update harness.log set log_id = gen_random_uuid()",), 1),
    "the head moved back": (("update harness.head set position = 20",), AFTER),
}  # fmt: skip


@pytest.mark.parametrize("what", list(SEEN_BY_THE_CHAIN))
def test_the_chain_alone_finds_it_and_names_where(history: tuple[Log, Path], what: str) -> None:
    log, _ = history
    statements, position = SEEN_BY_THE_CHAIN[what]
    edit(log.url, *statements)
    assert log.verify().altered == position


def reprice(rows: Rows) -> None:
    """Replace one batch of decisions by another of the same size, everything else made to fit."""
    rows[2]["payload"] = rows[1]["payload"]


def forget_the_checkpoint(rows: Rows) -> None:
    reprice(rows)
    del rows[6:8]


def cut_the_end(rows: Rows) -> None:
    del rows[5:]


def insert_a_batch(rows: Rows) -> None:
    rows.insert(3, {**rows[2], "writer": uuid.uuid4()})


def sign_again(rows: Rows) -> None:
    """Rewrite, and register a key of one's own with a checkpoint: all that a log can say of itself."""
    reprice(rows)
    origin = str(rows[6]["payload"].decode().split('"subject":"')[1].split('"')[0])
    thief = Signer(origin, Ed25519PrivateKey.generate())
    text = Checkpoint(origin, 7, bytes(32), 19).text()
    note = Note(text, (thief.sign(text),)).render()
    rows[6]["payload"] = control_batch(
        "log.key_registered", origin, {"key": thief.key.render()}, None, None
    ).payload
    body = {"size": 7, "position": 19, "note": note}
    rows[7]["payload"] = control_batch("log.checkpointed", origin, body, None, None).payload


# Consistent in itself, so that no chain can tell: position where the history that somebody remembers ends.
SEEN_FROM_OUTSIDE: dict[str, tuple[Callable[[Rows], None], int]] = {
    "one batch replaced and everything after it linked anew": (reprice, THIRD),
    "the whole history linked anew without its checkpoint": (forget_the_checkpoint, THIRD),
    "the end cut off and the head moved with it": (cut_the_end, 16),
    "a batch inserted and everything after it moved": (insert_a_batch, 10),
    "everything signed anew by another key": (sign_again, THIRD),
}


@pytest.mark.parametrize("what", list(SEEN_FROM_OUTSIDE))
def test_a_consistent_rewrite_is_found_by_who_remembers(history: tuple[Log, Path], what: str) -> None:
    log, folder = history
    note = (open_memory(log, folder / "host").folder / "checkpoint").read_bytes()
    key = Signer(open_memory(log, folder).origin, _private(folder / "host")).key
    change, position = SEEN_FROM_OUTSIDE[what]
    rewrite(log.url, change)
    with Log(log.url) as seen_anew:
        assert seen_anew.verify().holds, "the chain cannot tell"
        with pytest.raises(HistoryForked) as found:  # the host that took the checkpoint
            compare(seen_anew, folder / "host")
        assert found.value.position == position
        with pytest.raises(
            (HistoryForked, ProofInvalid)
        ):  # another host, which kept a checkpoint and the key
            compare(seen_anew, folder / "another", [note], key)
        with pytest.raises((HistoryForked, ProofInvalid)):  # nothing more is signed for this history
            take(seen_anew, folder / "host")


def test_what_came_after_the_last_look_is_for_receipts_alone(history: tuple[Log, Path]) -> None:
    log, folder = history
    note = (open_memory(log, folder / "host").folder / "checkpoint").read_bytes()

    def change_the_end(rows: Rows) -> None:
        rows[8]["payload"] = rows[8]["payload"].replace(b"late", b"lame")

    before = log.rows("batch_at", position=AFTER)[0][2]
    rewrite(log.url, change_the_end)
    with Log(log.url) as seen_anew:
        assert seen_anew.verify().holds
        assert compare(seen_anew, folder / "host", [note]).checkpoints == 2
        assert seen_anew.rows("batch_at", position=AFTER)[0][2] != before, "the writer's receipt tells"


def _private(folder: Path) -> Ed25519PrivateKey:
    from harness.integrity.keys import load_key

    (path,) = folder.glob("*/key.pem")
    return load_key(path)


# Whatever a control event says, its writer could append it: no edit of history, no reason to stop anybody.
UNSIGNED: dict[str, object] = {
    "no note": {},
    "no body at all": "nothing",
    "a note of nobody": {"note": "x\n1\ny\n\n\N{EM DASH} a b\n"},
    "a text that is none": {"note": 7},
}


@pytest.mark.parametrize("what", list(UNSIGNED))
def test_who_may_append_events_cannot_stop_verification(history: tuple[Log, Path], what: str) -> None:
    log, folder = history
    origin = open_memory(log, folder).origin
    for kind in ("log.checkpointed", "log.key_registered"):
        log.append(raw_control({"type": kind, "subject": origin, "body": UNSIGNED[what]}))
    end = log.head().position
    found = compare(log, folder / "host")
    assert (found.checkpoints, found.foreign) == (1, [end - 1, end])
    assert take(log, folder / "host").made
    rewrite(log.url, reprice)  # and they hide nothing
    with Log(log.url) as seen_anew, pytest.raises(HistoryForked) as forked:
        compare(seen_anew, folder / "host")
    assert forked.value.position == THIRD


def test_a_forged_signature_of_a_checkpoint_is_foreign(history: tuple[Log, Path]) -> None:
    log, folder = history
    memory = open_memory(log, folder / "host")
    genuine = (memory.folder / "checkpoint").read_text()
    size = genuine.splitlines()[1]
    forged = genuine.replace(f"\n{size}\n", f"\n{int(size) + 1}\n", 1)
    log.control("log.checkpointed", memory.origin, {"note": forged})
    assert compare(log, folder / "host").foreign == [log.head().position]
    with pytest.raises(ProofInvalid):  # handed over as a checkpoint, it is what somebody vouches for
        compare(log, folder / "host", [forged.encode()])


@pytest.mark.parametrize("said", ["garbage", "another"])
def test_the_rightful_key_is_registered_whatever_was_said_before(
    fresh_log: Log, tmp_path: Path, said: str
) -> None:
    memory = open_memory(fresh_log, tmp_path / "host")
    thief = Signer(memory.origin, Ed25519PrivateKey.generate())
    text = thief.key.render() if said == "another" else "garbage"
    fresh_log.control("log.key_registered", memory.origin, {"key": text}, key=f"log-key:{memory.origin}")
    if said == "another":  # believed at first sight, until the one who runs this host says otherwise
        with pytest.raises(KeyUnusable, match='"harness log key make"'):
            take(fresh_log, tmp_path / "host")
        make_log_key(fresh_log, tmp_path / "host")
    taken = take(fresh_log, tmp_path / "host")
    (key,) = known_keys(fresh_log, memory)
    assert key.signed(taken.note)
    assert compare(fresh_log, tmp_path / "host").foreign == [1]
    with pytest.raises(KeyUnusable, match="signed a checkpoint"):
        make_log_key(fresh_log, tmp_path / "host")


def raw_control(event: dict[str, object]) -> Batch:
    batch = control_batch(str(event["type"]), "", {}, None, None)
    payload = canonical_json(event)
    return msgspec.structs.replace(batch, payload=payload, digest=digest(payload))
