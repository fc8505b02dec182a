"""Fingerprints are stored: plain integers give the same by their definition, whatever holds the ids."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import replay.fingerprints
from replay.fingerprints import Sought, fingerprints

BITS = 2**64


def by_definition(text: str) -> int:
    data = text.encode()
    found = len(data) * 0x9E3779B97F4A7C15 % BITS
    ends = [data[:64], data[-64:]] if len(data) > 64 else [data]
    for end in ends:
        for at in range(0, len(end), 8):
            mixed = (found ^ int.from_bytes(end[at : at + 8], "little")) * 0xD6E8FEB86659FD93 % BITS
            found = mixed ^ mixed >> 32
    return found


@given(
    st.lists(st.text(max_size=150), min_size=1),
    st.integers(0, 3),
    st.sampled_from([pa.string(), pa.large_string()]),
)
def test_they_are_what_is_defined(texts: list[str], skipped: int, kind: pa.DataType) -> None:
    chunks = [pa.array(texts, kind), pa.array(texts, kind).slice(skipped)]
    expected = [by_definition(text) for text in [*texts, *texts[skipped:]]]
    assert fingerprints(pa.chunked_array(chunks, kind)).tolist() == expected


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 63, 64, 65, 128, 129])
def test_the_edges_of_words_and_ends_are_taken_in(size: int) -> None:
    text = "".join(chr(33 + at % 90) for at in range(size))
    assert fingerprints(pa.chunked_array([[text]])).tolist() == [by_definition(text)]


@given(
    st.lists(st.integers(0, 3) | st.integers(0, BITS - 1)),
    st.lists(st.integers(0, 3) | st.integers(0, BITS - 1)),
    st.sampled_from([0, 1, 1000]),
)
def test_news_are_found_among_others_however_many_each_are(
    news: list[int], others: list[int], fewer: int
) -> None:
    """Few are searched for one by one; of many the beginnings are looked up first."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replay.fingerprints, "_FEWER", fewer)
        known = Sought(np.array([*news, *news], dtype=np.uint64))
        found = known.any_among(np.sort(np.array(others, dtype=np.uint64)))
    assert found is bool(set(news) & set(others))
