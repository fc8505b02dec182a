"""Splits: which rows train and which test, by time with a gap, by unit, or in folds."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from replay.columns import INSTANT
from replay.errors import SplitUnusable
from replay.matching import MICROSECOND, Flags, Integers

TRAIN, TEST = "train", "test"
_WHOLE = 2**64


class Split(msgspec.Struct, frozen=True, kw_only=True):
    """How rows are told apart.

    `time`: from `test_from` on they are the test, those less than `gap` before it are left out. `unit`: a
    share of `test` of all units, chosen by a hash of `seed` and the unit (the decision's id where it has
    none). `rolling`: `folds` tests of length `every` one after the other from `test_from` on; a fold trains
    on what lies before its test by `gap` at least. `unit_folds`: `folds` groups of units, each the test of
    one fold. The gap keeps rows apart whose outcomes overlap; it is best no shorter than the label's window.
    """

    by: Literal["time", "unit", "rolling", "unit_folds"]
    test_from: datetime | None = None
    gap: timedelta = timedelta(0)
    test: float | None = None
    folds: int | None = None
    every: timedelta | None = None
    seed: str = ""

    def __post_init__(self) -> None:
        """Refuse a split that lacks what its kind needs."""
        if self.by in {"time", "rolling"} and (self.test_from is None or self.test_from.tzinfo is None):
            raise SplitUnusable(self.by, f"test_from {self.test_from}", "an instant with its offset")
        if self.by == "unit" and not (self.test is not None and 0.0 < self.test < 1.0):
            raise SplitUnusable(self.by, f"test {self.test}", "a share above 0 and below 1")
        if self.by in {"rolling", "unit_folds"} and not (self.folds is not None and self.folds > 1):
            raise SplitUnusable(self.by, f"folds {self.folds}", "2 or more")
        if self.by == "rolling" and not (self.every is not None and self.every > timedelta(0)):
            raise SplitUnusable(self.by, f"every {self.every}", "the length of one test, above 0")
        if self.gap < timedelta(0):
            raise SplitUnusable(self.by, f"gap {self.gap}", "0 or more")


@dataclass(frozen=True, slots=True)
class Parted:
    """Per row: whether it stays, whether it is of the test, and its fold (0 is before the first test)."""

    stays: Flags
    test: Flags
    fold: Integers | None = None


def parted(
    split: Split | None, occurred_us: Integers, units: pa.ChunkedArray, ids: pa.ChunkedArray
) -> Parted:
    """Return where each row belongs; `units` and `ids` are read only by a split by unit."""
    rows = occurred_us.size
    everything, nothing = np.ones(rows, dtype=np.bool_), np.zeros(rows, dtype=np.bool_)
    if split is None:
        return Parted(everything, nothing)
    if split.by == "time":
        edge = _microseconds(split)
        test = occurred_us >= edge
        return Parted(test | (occurred_us < edge - split.gap // MICROSECOND), test)
    if split.by == "rolling":
        assert split.every is not None and split.folds is not None, "checked when made"  # noqa: PT018
        fold = (occurred_us - _microseconds(split)) // (split.every // MICROSECOND) + 1
        return Parted(fold <= split.folds, nothing, np.maximum(fold, 0))
    keys = _hashed(units, ids, split.seed)
    if split.by == "unit":
        assert split.test is not None, "checked when made"
        return Parted(everything, keys < np.uint64(split.test * _WHOLE))
    return Parted(everything, nothing, (keys % np.uint64(split.folds or 1)).astype(np.int64) + 1)


def edges(split: Split) -> list[dict[str, datetime]]:
    """Return for each rolling fold up to where it trains, and where its test begins and ends."""
    assert split.test_from is not None and split.every is not None, "of a rolling split"  # noqa: PT018
    starts = [split.test_from + number * split.every for number in range(split.folds or 0)]
    return [{"train_until": at - split.gap, "test_from": at, "test_until": at + split.every} for at in starts]


def _microseconds(split: Split) -> int:
    return int(pa.scalar(split.test_from, INSTANT).value)


def _hashed(units: pa.ChunkedArray, ids: pa.ChunkedArray, seed: str) -> npt.NDArray[np.uint64]:
    """Return 64 bits a row, even over units and the same for ever: BLAKE2b of the name under the seed."""
    named = pc.coalesce(units.cast(pa.large_string()), ids.cast(pa.large_string())).combine_chunks()
    encoded = named.dictionary_encode()
    key = hashlib.sha256(seed.encode()).digest()
    digests = b"".join(
        hashlib.blake2b(str(name).encode(), digest_size=8, key=key).digest()
        for name in encoded.dictionary.to_pylist()
    )
    return np.asarray(np.frombuffer(digests, dtype="<u8")[encoded.indices.to_numpy()], dtype=np.uint64)
