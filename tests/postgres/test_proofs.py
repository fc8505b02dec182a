"""Checkpoints and proofs of a real log, made and checked."""

import stat
import uuid
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from harness.errors import NotFound, UnknownPosition
from harness.integrity.checkpoints import take
from harness.integrity.compare import compare
from harness.integrity.errors import HistoryForked, IdAmbiguous, KeyUnusable, MemoryDamaged, NotCovered
from harness.integrity.log_keys import key_path, known_keys, rotate, the_key
from harness.integrity.memory import Memory, open_memory
from harness.integrity.note import PublicKey
from harness.integrity.proof import check_proof, parse_proof
from harness.integrity.prove import find, prove, row_digest, row_values
from harness.log.log import Log
from tests.support.batches import decisions, outcomes, raw, stored
from tests.support.proofs import second_verifier


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.delenv("HARNESS_LOG_KEY", raising=False)
    return tmp_path / "host"


def filled(log: Log) -> Log:
    writer = uuid.uuid4()
    log.append(stored(decisions(300), writer, 1))
    log.append(stored(outcomes(300), writer, 2))
    log.append(stored(decisions(5, first=300), writer, 3))
    log.append(raw(writer, 4, events=2))  # no reader knows it; the chain holds it all the same
    return log


def test_every_event_is_proven_with_its_row(fresh_log: Log, host: Path) -> None:
    log = filled(fresh_log)
    taken = take(log, host)
    key, verifier = taken_key(log, host), second_verifier()
    for position in (1, 150, 300, 301, 600, 601, 605, 608):
        made = prove(log, host, position)
        data = made.proof.render()
        assert len(data) < 1024
        assert check_proof(parse_proof(data), key) == taken.checkpoint
        assert f"is at position {position} of" in verifier.check(data, key.render())
        assert row_digest(made.row) == made.proof.row
    assert row_values(prove(log, host, 150).row)["decision_id"] == "flights.late/149"
    assert row_values(prove(log, host, 608).row)["type"] == "log.key_registered"


def taken_key(log: Log, host: Path) -> PublicKey:
    return the_key(log, open_memory(log, host))


def test_an_event_is_found_by_its_id(fresh_log: Log) -> None:
    log = filled(fresh_log)
    again = uuid.uuid4()
    log.append(stored(decisions(1, first=7), again, 1))
    log.append(stored(outcomes(1, first=7), again, 2))
    assert find(log, "flights.late/7") == 8, "of a decision that was sent twice the first counts"
    assert find(log, "flights.late/7", "late") == log.head().position, "of its outcomes the last"
    assert find(log, "17") == 17
    with pytest.raises(NotFound):
        find(log, "flights.late/9999")
    with pytest.raises(NotFound):
        find(log, "flights.late/7", "another label")


def test_an_id_that_is_a_number_or_not_alone_is_never_taken_for_another_event(fresh_log: Log) -> None:
    log, writer, named = filled(fresh_log), uuid.uuid4(), pa.array(["17", "flights.late/7"])
    for sequence, rows in enumerate((decisions(2), outcomes(2)), 1):
        at = rows.schema.get_field_index("decision_id")
        renamed = rows.set_column(at, rows.schema.field(at), named)
        log.append(stored(renamed, writer, sequence, point="fraud"))
    assert log.head().position == 611
    assert find(log, "17") == 17
    assert find(log, "17", decision_point="fraud") == 608
    assert find(log, "17", "late") == 610, "a label is of a decision, whatever its id looks like"
    with pytest.raises(IdAmbiguous) as told:
        find(log, "flights.late/7")
    assert told.value.places == {"flights.late": 8, "fraud": 609}
    assert find(log, "flights.late/7", decision_point="flights.late") == 8
    with pytest.raises(NotFound, match="decision point"):
        find(log, "17", decision_point="frode")
    with pytest.raises(NotFound):
        find(log, "9" * 5_000)


def test_what_no_checkpoint_covers_is_not_proven(fresh_log: Log, host: Path) -> None:
    with pytest.raises(UnknownPosition):
        prove(fresh_log, host, 1)
    fresh_log.control("told", "nobody", {})
    with pytest.raises(NotCovered):
        prove(fresh_log, host, 1)
    take(fresh_log, host)
    prove(fresh_log, host, 1)
    with pytest.raises(NotCovered):
        prove(fresh_log, host, 3)
    for position in (0, 10**9):  # no checkpoint will ever cover these
        with pytest.raises(UnknownPosition):
            prove(fresh_log, host, position)


def test_a_checkpoint_of_nothing_new_is_the_last_one(fresh_log: Log, host: Path) -> None:
    first, again = take(fresh_log, host), take(fresh_log, host)
    assert (first.made, again.made, again.note) == (True, False, first.note)
    filled(fresh_log)
    third = take(fresh_log, host)
    assert third.checkpoint.size == first.checkpoint.size + 5
    memory = open_memory(fresh_log, host)
    sizes = first.checkpoint.size, third.checkpoint.size
    assert memory.tree.root(sizes[0]) == first.checkpoint.root
    assert memory.tree.consistency(*sizes)


def test_the_key_is_made_once_and_ours_alone(fresh_log: Log, host: Path) -> None:
    take(fresh_log, host)
    path = key_path(fresh_log, host)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o640)
    filled(fresh_log)
    with pytest.raises(KeyUnusable, match="others may read it"):
        take(fresh_log, host)
    path.chmod(0o600)
    with pytest.raises(KeyUnusable):  # another host without the key does not make a second one
        take(fresh_log, host.with_name("other"))
    path.unlink()
    path.write_text("no key")
    path.chmod(0o600)
    with pytest.raises(KeyUnusable, match="no PEM"):
        take(fresh_log, host)


def test_a_rotated_key_is_followed_and_a_stranger_is_not(fresh_log: Log, host: Path) -> None:
    take(fresh_log, host)
    other = host.with_name("other")
    old = compare(fresh_log, other) and taken_key(fresh_log, other)
    new = rotate(fresh_log, host)
    assert new != old
    assert known_keys(fresh_log, open_memory(fresh_log, other)) == [old, new]
    stranger = new.render().replace("harness.log", "harness.log")[:-4] + "AAAA"
    memory = open_memory(fresh_log, other)
    fresh_log.control("log.key_registered", memory.origin, {"key": old.render(), "note": stranger})
    assert known_keys(fresh_log, memory)[-1] == new
    for text in ("garbage", new.render()[:-4] + "AAAA"):
        fresh_log.control("log.key_registered", memory.origin, {"key": text, "note": text})
        fresh_log.control("log.checkpointed", "elsewhere", {"note": text})
    taken = take(fresh_log, host)
    assert taken.made
    assert new.signed(taken.note)
    assert compare(fresh_log, other).checkpoints == 2
    check_proof(prove(fresh_log, host, 1).proof, new)


def test_a_memory_that_was_cut_by_a_crash_is_verified_anew(fresh_log: Log, host: Path) -> None:
    filled(fresh_log)
    assert compare(fresh_log, host).added == 4
    memory = open_memory(fresh_log, host)
    path = memory.folder / "batches"
    whole = path.read_bytes()
    path.write_bytes(whole[: 3 * 72 + 11])
    assert compare(fresh_log, host).added == 1
    assert path.read_bytes() == whole
    assert compare(fresh_log, host).added == 0


def test_every_altered_byte_of_a_memory_is_found(fresh_log: Log, host: Path) -> None:
    filled(fresh_log)
    taken = take(fresh_log, host)
    memory = open_memory(fresh_log, host)
    path = memory.folder / "batches"
    whole = path.read_bytes()
    for place in range(0, taken.checkpoint.size * 72, 5):
        bent = bytearray(whole)
        bent[place] ^= 1
        path.write_bytes(bytes(bent))
        with pytest.raises((HistoryForked, MemoryDamaged)):
            compare(fresh_log, host)


def test_two_that_remember_at_once_write_each_batch_once(fresh_log: Log, host: Path) -> None:
    filled(fresh_log)
    one, two = (Memory(open_memory(fresh_log, host).folder, "o") for _ in range(2))
    assert (one.advance(fresh_log), two.advance(fresh_log)) == (4, 4)
    assert len(Memory(one.folder, "o")) == len(one) == len(two) == 4
    assert one.tree.root() == two.tree.root()


def test_a_checkpoint_that_nobody_signed_is_passed_over_and_told(fresh_log: Log, host: Path) -> None:
    first = take(fresh_log, host)
    memory = open_memory(fresh_log, host)
    forged = first.note.render().replace("position 1", "position 2")
    fresh_log.control("log.checkpointed", memory.origin, {"note": forged})
    prove(fresh_log, host, 1)
    assert take(fresh_log, host).note == first.note
    found = compare(fresh_log, host)
    assert (found.checkpoints, found.foreign) == (1, [fresh_log.head().position])
