"""The last round of parts is cut evenly, so that no worker waits for another longer than it must."""

from hypothesis import given
from hypothesis import strategies as st

from harness.mapped_parts import cells, even_end

POSITIONS = 64


def rounds(parts: list[tuple[int, int]], workers: int) -> int:
    """Return how long workers take who are each given the next part when they are done."""
    busy = [0] * workers
    for start, stop in parts:
        busy.sort()
        busy[0] += stop - start
    return max(busy)


@given(st.integers(1, 200), st.integers(1, 2_000), st.integers(1, 4), st.data())
def test_workers_end_together_and_what_is_kept_stays(
    start: int, length: int, workers: int, data: st.DataObject
) -> None:
    parts = cells(start, start + length, POSITIONS)
    anew = data.draw(st.integers(0, len(parts)))
    found = even_end(parts, anew, workers)
    assert [edge for part in found for edge in part][1:-1:2] == [part[0] for part in found[1:]]
    assert (found[0][0], found[-1][1]) == (start, start + length)
    assert found[: len(parts) - anew] == parts[: len(parts) - anew]
    assert max(b - a for a, b in found) <= POSITIONS
    assert len(found) < len(parts) + workers
    paired = found[len(parts) - anew :]
    if anew:
        assert rounds(paired, workers) <= rounds(parts[len(parts) - anew :], workers)


def test_workers_that_are_not_even_before_the_last_round_are_not_made_later() -> None:
    parts = cells(32, 321, POSITIONS)
    assert even_end(parts, 6, 2) == parts


def test_three_cells_are_no_two_rounds_for_two_workers() -> None:
    parts = cells(1, 2 * POSITIONS + 33, POSITIONS)
    assert rounds(parts, 2) == POSITIONS - 1 + 33
    assert rounds(even_end(parts, 3, 2), 2) == POSITIONS + 17
