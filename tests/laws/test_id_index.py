"""Laws of the index of ids: it says what a dictionary of the texts would say, whatever their keys."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

import replay.fingerprints
import replay.id_index
from replay.fingerprints import of_texts
from replay.id_index import NEVER, IdIndex

# Few letters, so that ids repeat; bytes that are no letters, and lengths around those of a word.
texts = st.lists(st.text("ab\x00é", max_size=18) | st.text(max_size=9), max_size=40)


def chunked(names, cut):
    """Return the names as two chunks, the second of which does not begin at its first byte."""
    cut = min(cut, len(names))
    whole = pa.array(["before", *names[cut:]], pa.large_string())
    return pa.chunked_array([pa.array(names[:cut], pa.large_string()), whole.slice(1)])


def lengths(column):
    return pc.binary_length(column).to_numpy().astype(np.uint64)


@given(texts, texts, st.integers(0, 40), st.booleans())
def test_a_name_is_found_where_its_text_stands(ids, names, cut, built):
    ids = list(dict.fromkeys(ids))
    index = IdIndex(chunked(ids, cut))
    if built:  # else few names are told apart by hashing them alone
        index.first_rows()
    rows = {text: row for row, text in enumerate(ids)}
    asked = [*names, *ids[::2]]
    assert index.rows_of(chunked(asked, cut)).tolist() == [rows.get(name, NEVER) for name in asked]


@given(texts, texts, st.booleans(), st.sampled_from([3, 2**20]))
def test_names_that_are_sorted_before_are_found_alike(ids, names, built, keys):
    asked = [*names, *ids[::2]]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replay.id_index, "of_texts", lambda column: lengths(column) % keys)
        index, plain = IdIndex(chunked(ids, 3)), IdIndex(chunked(asked, 3))
        if built:
            index.first_rows()
        before = IdIndex(chunked(asked, 5), IdIndex(chunked(asked, 9)).by_key)
        at, rows = index.matches(before)
        assert at.tolist() == [row for row, name in enumerate(asked) if name in ids]
        assert [ids[row] for row in rows] == [name for name in asked if name in ids]
        assert at.tolist() == index.matches(plain)[0].tolist()


@given(texts, st.integers(0, 40))
def test_the_first_row_of_an_id_is_the_first_with_its_text(ids, cut):
    first = {}
    expected = [first.setdefault(text, row) for row, text in enumerate(ids)]
    assert IdIndex(chunked(ids, cut)).first_rows().tolist() == expected


@given(texts, texts, st.integers(1, 3))
def test_keys_that_are_equal_by_ill_will_cost_time_and_nothing_else(ids, names, keys):
    first, distinct = {}, list(dict.fromkeys(ids))
    rows = {text: row for row, text in enumerate(distinct)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replay.id_index, "of_texts", lambda column: lengths(column) % keys)
        expected = [first.setdefault(text, row) for row, text in enumerate(ids)]
        assert IdIndex(chunked(ids, 3)).first_rows().tolist() == expected
        index = IdIndex(chunked(distinct, 3))
        index.first_rows()
        assert index.rows_of(chunked(names, 3)).tolist() == [rows.get(name, NEVER) for name in names]


@given(texts, texts, st.sampled_from([1, 3, 2**20]))
def test_a_name_of_an_id_that_repeats_is_found_at_one_of_its_rows(ids, names, keys):
    asked = [*names, *ids[::2]]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replay.id_index, "of_texts", lambda column: lengths(column) % keys)
        index = IdIndex(chunked(ids, 3))
        first, rows = index.first_rows().tolist(), index.rows_of(chunked(asked, 3)).tolist()
    found = [row if row == NEVER else first[row] for row in rows]
    assert found == [ids.index(name) if name in ids else NEVER for name in asked]


@given(texts, st.integers(0, 40))
def test_a_key_is_a_function_of_the_text_alone(ids, cut):
    """The words of its neighbours, and where a block of rows begins, are no part of it."""
    alone = [int(of_texts(pa.array([text], pa.large_string()))[0]) for text in ids]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replay.fingerprints, "_ROWS", 3)
        column = chunked(ids, cut)
        found = [int(key) for chunk in column.chunks for key in of_texts(chunk)]
    assert found == alone


def test_keys_of_ids_that_count_are_distinct():
    ids = pa.array([f"decision-{n:010}" for n in range(200_000)], pa.large_string())
    assert np.unique(of_texts(ids)).size == len(ids)
