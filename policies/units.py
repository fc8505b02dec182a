"""Units: which decisions are one independent observation, and their sums (docs/adr/0009)."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from policies.columns import Ints
from policies.errors import EvidenceOverflow
from policies.fixed import divide_half_even, group_sums

Words = npt.NDArray[np.uint64]

SKETCH_SIZE = 1024
_HOUR_US = 3_600_000_000
_DAY_US = 24 * _HOUR_US
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DENSE_KEYS = 2**20
# So many names are mixed at once: they and their words stay in the cache.
_TOGETHER = 2**12
# The keys of so many units say which can be among the smallest of all.
_SOME = 2**16


def unit_keys(units: Any) -> Ints:
    """Return a 64-bit key per unit name, shape (rows,); equal names have equal keys, nulls get any.

    The key is a fixed function of the name's UTF-8 bytes (words of 8 bytes through the SplitMix64
    finaliser), so it is the same for ever and everywhere, and evidence holds no names of users.
    """
    text = units.cast(pa.large_string())
    keys: Words = np.empty(len(text), dtype=np.uint64)
    if not keys.size:
        return keys.view(np.int64)
    _, offsets, data = text.buffers()
    ends = np.frombuffer(offsets, dtype=np.int64)[text.offset : text.offset + len(text) + 1]
    names = np.frombuffer(data or b"", dtype=np.uint8)
    for at in range(0, keys.size, _TOGETHER):
        own = ends[at : at + _TOGETHER + 1]
        padded = np.zeros(int(own[-1] - own[0]) + 8, dtype=np.uint8)
        padded[:-8] = names[own[0] : own[-1]]
        words: Words = np.ndarray(shape=(padded.size - 7,), dtype="<u8", buffer=padded.data, strides=(1,))
        keys[at : at + _TOGETHER] = _keys(words, own[:-1] - own[0], np.diff(own))
    return keys.view(np.int64)


def _keys(words: Words, starts: Ints, lengths: Ints) -> Words:
    """Return the keys of the names that begin at `starts`; `words` holds the 8 bytes from each byte on."""
    keys = _mixed(lengths.astype(np.uint64))
    shortest = int(lengths.min())
    even = shortest == lengths.max() and shortest > 0
    for done in range(0, int(lengths.max()), 8):
        # While all names go on, rows are taken as they lie: gathering them costs more than the arithmetic.
        active: Any = slice(None) if shortest > done else np.flatnonzero(lengths > done)
        word = words[done::shortest][: keys.size].copy() if even else words[starts[active] + done]
        if shortest < done + 8:
            left = np.minimum(lengths[active] - done, 8).astype(np.uint64)
            word &= np.uint64(2**64 - 1) >> (np.uint64(64) - np.uint64(8) * left)
        keys[active] = _mixed(keys[active] ^ word)
    return keys


def _mixed(x: Words) -> Words:
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x ^= x >> np.uint64(30)
    x *= np.uint64(0xBF58476D1CE4E5B9)
    x ^= x >> np.uint64(27)
    x *= np.uint64(0x94D049BB133111EB)
    x ^= x >> np.uint64(31)
    return x


def local_days(instants_us: Ints, timezone: str) -> Ints:
    """Return the local calendar day of each instant, as days since 1970-01-01, shape kept.

    The offset is looked up once per UTC hour; an hour in which the clock changes is looked up per row.

    >>> local_days(np.array([0]), "America/New_York").tolist()
    [-1]
    """
    zone = ZoneInfo(timezone)
    hours, codes = _coded(instants_us // _HOUR_US)
    first, last = (np.zeros(hours.size, dtype=np.int64) for _ in range(2))
    for code in np.flatnonzero(np.bincount(codes, minlength=hours.size)):
        start_us = int(hours[code]) * _HOUR_US
        first[code], last[code] = _offset_us(start_us, zone), _offset_us(start_us + _HOUR_US - 1, zone)
    offsets = first[codes]
    changing = first != last
    for row in np.flatnonzero(changing[codes]) if bool(changing.any()) else ():
        offsets[row] = _offset_us(int(instants_us[row]), zone)
    days: Ints = (instants_us + offsets) // _DAY_US
    return days


def _offset_us(instant_us: int, zone: ZoneInfo) -> int:
    local = (_EPOCH + timedelta(microseconds=instant_us)).astimezone(zone)
    offset = local.utcoffset()
    assert offset is not None  # the zone is set one line above
    return offset // timedelta(microseconds=1)


def day_name(key: int) -> str:
    """Return the calendar day of a day key.

    >>> day_name(-1)
    '1969-12-31'
    """
    return (date(1970, 1, 1) + timedelta(days=key)).isoformat()


class PerUnit:
    """Sums per unit: how many decisions, and the fixed-point values of champion and challenger.

    Arrays of one length, ordered by key. Immutable; merging adds by key.
    """

    __slots__ = ("challenger", "champion", "counts", "keys")

    def __init__(self, keys: Ints, counts: Ints, champion: Ints, challenger: Ints) -> None:
        assert keys.size == counts.size == champion.size == challenger.size
        self.keys, self.counts, self.champion, self.challenger = keys, counts, champion, challenger

    @classmethod
    def empty(cls) -> "PerUnit":
        """Return no unit."""
        none = np.zeros(0, dtype=np.int64)
        return cls(none, none, none, none)

    @classmethod
    def of(cls, keys: Ints, champion: Ints, challenger: Ints) -> "PerUnit":
        """Return the sums of these decisions, `keys` naming the unit of each."""
        units, codes = _coded(keys)
        counts = np.bincount(codes, minlength=units.size).astype(np.int64)
        seen = np.flatnonzero(counts)
        sums = [group_sums(codes, values, units.size)[seen] for values in (champion, challenger)]
        return cls(units[seen], counts[seen], *sums)

    def merge(self, other: "PerUnit") -> "PerUnit":
        """Return the units of both, those with the same key added up.

        Raises:
            EvidenceOverflow: a sum does not fit 64 bits.
        """
        keys, codes = np.unique(np.concatenate([self.keys, other.keys]), return_inverse=True)
        sums = []
        for name in ("counts", "champion", "challenger"):
            mine, theirs = getattr(self, name), getattr(other, name)
            reach = int(np.abs(mine).max(initial=0)) + int(np.abs(theirs).max(initial=0))
            if reach >= 2**63:
                raise EvidenceOverflow(name, reach)
            total = np.zeros(keys.size, dtype=np.int64)
            np.add.at(total, codes, np.concatenate([mine, theirs]))
            sums.append(total)
        return PerUnit(keys, *sums)

    def means(self, sign: int, clip: int) -> tuple[Ints, int]:
        """Return each unit's mean paired difference, clipped to [-clip, clip], and how many were clipped.

        `sign` is 1 where larger values are better, -1 where smaller ones are. The mean is the rational
        sum/count, rounded half to even: the same integer however the unit's decisions were split.
        """
        means = divide_half_even(sign * (self.challenger - self.champion), self.counts)
        clipped: Ints = np.clip(means, -clip, clip)
        return clipped, int(np.count_nonzero(clipped != means))

    def to_builtins(self) -> dict[str, list[int]]:
        """Return plain lists for JSON."""
        return {name: getattr(self, name).tolist() for name in ("keys", "counts", "champion", "challenger")}

    @classmethod
    def from_builtins(cls, data: dict[str, list[int]]) -> "PerUnit":
        """Return the units that `to_builtins` wrote."""
        names = ("keys", "counts", "champion", "challenger")
        return cls(*(np.array(data[name], dtype=np.int64) for name in names))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PerUnit) and self.to_builtins() == other.to_builtins()

    def __hash__(self) -> int:
        return hash(self.keys.tobytes())


def _coded(keys: Ints) -> tuple[Ints, Ints]:
    """Return candidate units in order and each row's index among them; some may have no row."""
    if not keys.size:
        return keys, keys
    low, high = int(keys.min()), int(keys.max())
    if high - low < _DENSE_KEYS:
        return np.arange(low, high + 1, dtype=np.int64), keys - low
    units, codes = np.unique(keys, return_inverse=True)
    return units, codes


def group_codes(keys: Ints) -> tuple[Ints, Ints]:
    """Return the units that have rows, in order, and each row's index among them."""
    units, codes = _coded(keys)
    seen = np.bincount(codes, minlength=units.size) > 0
    if seen.all():
        return units, codes
    return units[seen], (np.cumsum(seen) - 1)[codes]


class RepeatSketch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How often units repeat, from the units with the smallest keys and their exact counts.

    Up to 1,024 units the share is exact; beyond, it is that of a fixed sample of 1,024 units. A unit
    among the smallest of the whole is among the smallest of every part, so merging is exact.
    """

    keys: tuple[int, ...]
    counts: tuple[int, ...]

    @classmethod
    def empty(cls) -> "RepeatSketch":
        """Return the sketch of no units."""
        return cls((), ())

    @classmethod
    def of(cls, units: Any) -> "RepeatSketch":
        """Return the sketch of a column of unit names; rows without a name are left out."""
        named = units.drop_null()
        if not len(named):
            return cls.empty()
        keys = unit_keys(named)
        some, _ = np.unique(keys[:_SOME], return_counts=True)
        if (
            some.size >= SKETCH_SIZE
        ):  # what is larger than so many of the first is not among the smallest of all
            keys = keys[keys <= some[SKETCH_SIZE - 1]]
        keys, counts = np.unique(keys, return_counts=True)
        return cls(tuple(keys[:SKETCH_SIZE].tolist()), tuple(counts[:SKETCH_SIZE].tolist()))

    def merge(self, *others: "RepeatSketch") -> "RepeatSketch":
        """Return the sketch of all columns together."""
        all_of_them = (self, *others)
        keys = np.array([key for each in all_of_them for key in each.keys], dtype=np.int64)
        counts = np.array([count for each in all_of_them for count in each.counts], dtype=np.int64)
        distinct, places = np.unique(keys, return_inverse=True)
        together = np.zeros(distinct.size, dtype=np.int64)
        np.add.at(together, places, counts)
        return RepeatSketch(tuple(distinct[:SKETCH_SIZE].tolist()), tuple(together[:SKETCH_SIZE].tolist()))

    @property
    def share(self) -> float:
        """Return the share of decisions whose unit had another decision before; 0 of nothing."""
        total = sum(self.counts)
        return (total - len(self.counts)) / total if total else 0.0
