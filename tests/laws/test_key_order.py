"""Laws of keys in order: what sorting and searching say, whatever the keys are and whoever chose them."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from replay.key_order import Places, by_key

LAST = 2**64 - 1
# Drawn ones, some that share all but their last bits, and the ends of what there is.
numbers = st.one_of(
    st.integers(0, LAST),
    st.integers(0, 40).map(lambda low: (0xABCD << 48) + low),
    st.sampled_from([0, 1, LAST - 1, LAST]),
)
keys = st.lists(numbers, max_size=120).map(lambda found: np.array(found, dtype=np.uint64))
some = keys.filter(lambda found: found.size > 0)


@given(keys)
def test_rows_are_in_the_order_of_their_keys_and_then_in_their_own(found):
    rows, ordered = by_key(found)
    assert rows.tolist() == np.argsort(found, kind="stable").tolist()
    assert ordered.tolist() == sorted(found.tolist())


@given(some, keys)
def test_a_key_stands_where_a_search_finds_it(found, asked):
    ordered = np.sort(found)
    asked = np.concatenate([asked, found])
    expected = np.minimum(np.searchsorted(ordered, asked), found.size - 1)
    assert Places(ordered).of(asked).tolist() == expected.tolist()


def test_many_keys_with_one_beginning_are_found_alike():
    ordered = np.arange(1_000, dtype=np.uint64) * np.uint64(3)
    asked = np.arange(3_200, dtype=np.uint64)[::-1]
    expected = np.minimum(np.searchsorted(ordered, asked), 999)
    assert Places(ordered).of(asked).tolist() == expected.tolist()


def test_rows_of_many_keys_are_sorted_by_all_their_bits():
    """Two of these are equal but for the bits that hold their rows, the later one less."""
    found = np.random.default_rng(1).integers(0, 2**64, size=5_000, dtype=np.uint64)
    found[7] = found[4_000] + np.uint64(1 if found[4_000] % 2 == 0 else 0)
    found[4_000] &= np.uint64(LAST - 1)
    assert by_key(found).rows.tolist() == np.argsort(found, kind="stable").tolist()
