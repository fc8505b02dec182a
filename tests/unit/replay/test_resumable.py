"""SHA-256 that is taken up again, and the cells of a digest that are."""

import hashlib

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay import digest, resumable
from replay.digest import Cells, canonical_digest
from replay.resumable import Resumable

needs_state = pytest.mark.skipif(not resumable.AVAILABLE, reason="hashlib's library gives no state")


@needs_state
@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=5))
def test_wherever_it_is_taken_up_it_is_the_digest_of_hashlib(data, cuts):
    found, at = Resumable(), 0
    for cut in sorted(min(cut, len(data)) for cut in cuts):
        found.update(data[at:cut])
        found = Resumable.of(found.state())
        at = cut
    found.update(data[at:])
    assert found.digest() == hashlib.sha256(data).digest()
    assert found.digest() == hashlib.sha256(data).digest(), "to be told twice"


@needs_state
def test_a_length_beyond_32_bits_is_carried():
    of_4_gb = Resumable.of((2**32).to_bytes(8, "big") + bytes(32))
    of_4_gb.update(b"x")
    assert Resumable.of(of_4_gb.state()).state() == of_4_gb.state()
    assert int.from_bytes(of_4_gb.state()[:8], "big") == 2**32 + 1


@needs_state
@pytest.mark.parametrize("state", [b"", bytes(39), bytes(41), (5).to_bytes(8, "big") + bytes(36)])
def test_what_is_no_state_is_refused(state):
    with pytest.raises(ValueError, match=r"are no state|are left of"):
        Resumable.of(state)


def table(rows):
    numbers = np.arange(rows)
    return pa.table(
        {
            "f": pa.array(numbers / 7, mask=numbers % 5 == 0),
            "s": pa.array([None if n % 11 == 0 else "é" * (n % 9) for n in range(rows)]),
            "l": pa.array([None if n % 13 == 0 else [1.0, None] * (n % 3) for n in range(rows)]),
            "b": pa.array(numbers % 2 == 0),
        }
    )


@needs_state
@pytest.mark.parametrize("mark", [65, 70, 127, 131, 140])
def test_cells_go_on_from_a_mark(monkeypatch, mark):
    monkeypatch.setattr(digest, "CHUNK_ROWS", 64)
    whole = table(150)
    first = Cells(whole.schema, [mark])
    for batch in whole.to_batches(max_chunksize=17):
        first.add(batch)
    assert first.digest() == canonical_digest(whole)
    assert list(first.states) == [mark]
    again = Cells(whole.schema, [mark])
    for chunk in first.chunks[: mark // 64]:
        again.take(chunk)
    again.resume(mark, first.states)
    for batch in whole.slice(mark).to_batches():
        again.add(batch)
    assert again.digest() == canonical_digest(whole)
    assert again.states == first.states


def test_without_a_state_to_be_had_there_is_none(monkeypatch):
    monkeypatch.setattr(resumable, "AVAILABLE", False)
    whole = table(100)
    cells = Cells(whole.schema, [50])
    cells.add(whole.to_batches()[0])
    assert not cells.states
    assert cells.digest() == canonical_digest(whole)
