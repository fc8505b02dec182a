"""The tree of RFC 6962: one root over many leaves, short proofs of what is in it and that it only grew."""

from collections.abc import Iterable, Sequence
from hashlib import sha256

EMPTY_ROOT = sha256(b"").digest()


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of a leaf that holds `data`.

    >>> leaf_hash(b"").hex()[:16]
    '6e340b9cffb37a98'
    """
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of the node above two hashes; no leaf can be taken for one, for it begins otherwise."""
    return sha256(b"\x01" + left + right).digest()


def root_of(leaves: Sequence[bytes]) -> bytes:
    """Return the root over leaf hashes, without keeping the tree.

    >>> root_of([]) == EMPTY_ROOT
    True
    """
    if not leaves:
        return EMPTY_ROOT
    level = list(leaves)
    while len(level) > 1:
        above = [
            sha256(b"\x01" + left + right).digest()
            for left, right in zip(level[::2], level[1::2], strict=False)
        ]
        if len(level) % 2:
            above.append(level[-1])
        level = above
    return level[0]


class Tree:
    """A tree that grows: roots and proofs of any size that it has had, each in time logarithmic in it."""

    def __init__(self, leaves: Iterable[bytes] = ()) -> None:
        # levels[k] holds the roots of the complete subtrees of 2**k leaves, which never change.
        self._levels: list[list[bytes]] = [[]]
        for leaf in leaves:
            self.append(leaf)

    def __len__(self) -> int:
        return len(self._levels[0])

    def append(self, leaf: bytes) -> None:
        """Add a leaf hash at the end."""
        self._levels[0].append(leaf)
        height = 0
        while len(self._levels[height]) % 2 == 0:
            left, right = self._levels[height][-2:]
            height += 1
            if height == len(self._levels):
                self._levels.append([])
            self._levels[height].append(node_hash(left, right))

    def leaf(self, index: int) -> bytes:
        """Return the leaf hash at an index from 0."""
        return self._levels[0][index]

    def root(self, size: int | None = None) -> bytes:
        """Return the root of the first `size` leaves, of all without it."""
        size = len(self) if size is None else size
        assert 0 <= size <= len(self), (size, len(self))
        return self._hash(0, size) if size else EMPTY_ROOT

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """Return the proof that the leaf at `index` is in the tree of `size`: the hashes beside its path."""
        assert 0 <= index < size <= len(self), (index, size, len(self))
        path: list[bytes] = []
        start, stop = 0, size
        while stop - start > 1:
            middle = start + _split(stop - start)
            if index < middle:
                path.append(self._hash(middle, stop))
                stop = middle
            else:
                path.append(self._hash(start, middle))
                start = middle
        return path[::-1]

    def consistency(self, old: int, new: int) -> list[bytes]:
        """Return the proof that the tree of `new` leaves begins with that of `old`; empty if one is empty."""
        assert 0 <= old <= new <= len(self), (old, new, len(self))
        if old in {0, new}:
            return []
        path: list[bytes] = []
        start, stop = 0, new
        while old < stop:
            middle = start + _split(stop - start)
            if old <= middle:
                path.append(self._hash(middle, stop))
                stop = middle
            else:
                path.append(self._hash(start, middle))
                start = middle
        if start:
            path.append(self._hash(start, stop))
        return path[::-1]

    def _hash(self, start: int, stop: int) -> bytes:
        size = stop - start
        height = size.bit_length() - 1
        if size == 1 << height:
            return self._levels[height][start >> height]
        middle = start + _split(size)
        return node_hash(self._hash(start, middle), self._hash(middle, stop))


def _split(size: int) -> int:
    """Return the largest power of two below `size`."""
    return 1 << ((size - 1).bit_length() - 1)


def root_from_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """Return the root that an inclusion proof leads to, None when no tree of `size` has such a proof.

    The proof holds if that is the root that somebody trustworthy signed.
    """
    if not 0 <= index < size:
        return None
    found, last = leaf, size - 1
    for beside in path:
        if last == 0:
            return None
        if index % 2 or index == last:
            found = node_hash(beside, found)
            while index % 2 == 0 and index:
                index, last = index >> 1, last >> 1
        else:
            found = node_hash(found, beside)
        index, last = index >> 1, last >> 1
    return found if last == 0 else None


def is_consistent(old: int, old_root: bytes, new: int, new_root: bytes, path: Sequence[bytes]) -> bool:
    """Return whether a consistency proof shows that the newer tree begins with the older one."""
    if old == 0:
        return not path and old_root == EMPTY_ROOT and new >= 0
    if old >= new:
        return old == new and not path and old_root == new_root
    hashes = list(path)
    if old & (old - 1) == 0:
        hashes.insert(0, old_root)
    if not hashes:
        return False
    index, last = old - 1, new - 1
    while index % 2:
        index, last = index >> 1, last >> 1
    first = second = hashes[0]
    for beside in hashes[1:]:
        if last == 0:
            return False
        if index % 2 or index == last:
            first, second = node_hash(beside, first), node_hash(beside, second)
            while index % 2 == 0 and index:
                index, last = index >> 1, last >> 1
        else:
            second = node_hash(second, beside)
        index, last = index >> 1, last >> 1
    return first == old_root and second == new_root and last == 0
