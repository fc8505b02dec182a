"""Blocks: the decisions of a set as its folder keeps them, cut by their number as parts are cut by rows.

A block is two files: its decisions with all that decides which of them are rows, and the sorted fingerprints
of their ids, by which it is told that no new event is about any of them.
"""

import hashlib
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from harness.training.candidates import Candidates
from harness.training.files import linked
from harness.training.news import Ends, ends_of
from harness.training.parts import Entry, cuts
from harness.training.spec import Spec
from replay.columns import instants, mask_of
from replay.fingerprints import Fingerprints, fingerprints
from replay.id_index import NEVER, IdIndex
from replay.labels import LabelRule
from replay.matching import Decided, Latest
from replay.splits import Parted

FOLDER: Final = "kept"
DECISIONS: Final = 2**18
NOT_REGISTERED: Final = "what its folder keeps is not what was registered"


class Unusable(Exception):  # noqa: N818  it never reaches a user: the set is built anew, and the reason is told
    """What is kept cannot be used; `reason` says why."""

    def __init__(self, reason: str = "what its folder keeps is damaged") -> None:
        super().__init__(reason)
        self.reason = reason


class File(msgspec.Struct, frozen=True):
    """The size and the digest of a file."""

    bytes: int
    sha256: str


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """Decisions from number `first` on. `fresh` of them are the first with their id.

    `newest`: when the last of them to occur occurred, in microseconds since 1970. `ends`: between which ids
    theirs are.
    """

    first: int
    decisions: int
    fresh: int
    newest: int
    ends: Ends | None
    columns: File
    ids: File

    def entry(self, kind: str) -> Entry:
        """Return what `linked` takes: the `columns` or the `ids`."""
        file: File = getattr(self, kind)
        return {"file": _name(kind, self.first), "bytes": file.bytes, "sha256": file.sha256}


def edges_of(decisions: int) -> list[int]:
    """Return where the blocks of so many decisions begin, and where the last one ends."""
    return cuts(decisions, DECISIONS)


def write_blocks(folder: Path, of: Candidates, first: int) -> list[Block]:
    """Write decisions, of which the first is number `first` and begins a block; return their blocks."""
    flags, found = _flags(of), []
    prints = fingerprints(of.keys.column("decision_id"))
    edges = edges_of(first + of.excluded.size)
    for begin, end in pairwise(edges[edges.index(first) :]):
        here = slice(begin - first, end - first)
        sink = pa.BufferOutputStream()
        table = _table(of.keys.slice(begin - first, end - begin), {n: v[here] for n, v in flags.items()})
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        block = Block(
            first=begin,
            decisions=end - begin,
            fresh=int(np.count_nonzero(of.decided.first[here])),
            newest=int(of.decided.occurred_us[here].max()),
            ends=ends_of(table.column("decision_id")),
            columns=write_file(folder / _name("columns", begin), sink.getvalue()),
            ids=write_file(folder / _name("ids", begin), np.sort(prints[here]).astype("<u8").data),
        )
        found.append(block)
    return found


def link_blocks(base: Path, partial: Path, blocks: Iterable[Block]) -> None:
    """Put blocks of another set into a folder, as second names of the same files.

    Raises:
        Unusable: one is gone.
    """
    for block in blocks:
        if not all(linked(base, partial, block.entry(kind)) for kind in ("columns", "ids")):
            raise Unusable


def read_ids(folder: Path, block: Block) -> Fingerprints:
    """Return the sorted fingerprints of a block's ids.

    Raises:
        Unusable: they are not what was written.
    """
    return np.frombuffer(_bytes(folder, block, "ids"), dtype="<u8")


def read_blocks(folder: Path, blocks: Sequence[Block], spec: Spec, counted: "Counted") -> Candidates:
    """Return the candidates of these blocks, which follow one another; `counted` is of the whole set.

    Raises:
        Unusable: a block is not what was written.
    """
    try:
        tables = [pa.ipc.open_file(_bytes(folder, block, "columns")).read_all() for block in blocks]
        unique = all(block.fresh == block.decisions for block in blocks)
        table = pa.concat_tables(tables if unique else [_with_first(each) for each in tables])
        return _candidates(table, spec, counted)
    except (KeyError, ValueError, pa.ArrowException) as error:
        raise Unusable from error


def write_file(path: Path, data: Any) -> File:
    """Write a file, and return its size and digest."""
    path.write_bytes(data)
    return File(len(memoryview(data).cast("B")), hashlib.sha256(data).hexdigest())


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """What is counted over all decisions of a set: outcomes by label, and those without a decision.

    `totals` are within, late and orphan of each label of the set.
    """

    outcomes: dict[str, int]
    totals: tuple[tuple[int, int, int], ...]
    orphans: pa.Table | None


def _flags(of: Candidates) -> dict[str, npt.NDArray[Any]]:
    """Return for each decision its flags and what is known of each label.

    A decision that repeats an id has no label: what is known is its first one's.
    """
    first = of.decided.first
    found: dict[str, npt.NDArray[Any]] = {}
    found |= {".first": first, ".excluded": of.excluded, ".stays": of.parted.stays, ".test": of.parted.test}
    if of.parted.fold is not None:
        found[".fold"] = of.parted.fold
    for number, (rule, each) in enumerate(of.latest):
        kept = {"has": each.position != NEVER, "late": each.came_late, "value": each.value}
        kept |= {name: getattr(each, name) for name in _more(rule)}
        for name, values in kept.items():
            own = each.rows(values)
            found[f".{name}.{number}"] = own if first.all() else np.where(first, own, values.dtype.type(0))
    return found


def _table(keys: pa.Table, flags: dict[str, npt.NDArray[Any]]) -> pa.Table:
    """Return one row a decision, in memory of its own: its bytes say nothing of what it was cut from."""
    own = np.arange(keys.num_rows)
    columns = {
        name: keys.column(name).take(own) if keys.column(name).null_count else keys.column(name)
        for name in keys.schema.names
    }
    if flags[".first"].all():
        flags = {name: values for name, values in flags.items() if name != ".first"}
    return pa.table(columns | {name: pa.array(values) for name, values in flags.items()}).combine_chunks()


def _more(rule: LabelRule) -> tuple[str, ...]:
    """Return which further instants are kept of a label, by how its immature decisions are treated."""
    return {"censor": ("happened",), "weight": ("known",)}.get(rule.immature, ())


def _with_first(table: pa.Table) -> pa.Table:
    """Return a block's table with its `.first`, which is left out where all are."""
    if ".first" in table.schema.names:
        return table
    at = table.schema.get_field_index(".excluded")
    return table.add_column(at, ".first", pa.array(np.ones(table.num_rows, dtype=np.bool_)))


def _candidates(table: pa.Table, spec: Spec, counted: Counted) -> Candidates:
    own = [name for name in table.schema.names if not name.startswith(".")]
    flags = {
        name: np.asarray(table.column(name).to_numpy()) for name in table.schema.names if name.startswith(".")
    }
    keys = table.select(own)
    occurred = instants(keys.column("occurred_at"), "occurred_at")
    first = flags.get(".first", np.ones(table.num_rows, dtype=np.bool_))
    names = keys.column("decision_id").cast(pa.large_string())
    # A repeated id may have its first decision in an earlier block. No label is read for it: any code does.
    codes = np.maximum(np.cumsum(first) - 1, 0)
    ids = names if first.all() else names.filter(mask_of(first))
    decided = Decided(IdIndex(ids), codes, occurred, first, occurred[first])
    latest = []
    for number, (rule, totals) in enumerate(zip(spec.labels, counted.totals, strict=True)):
        each = Latest(decided, rule.window)
        each.position = np.where(flags[f".has.{number}"][first], np.int64(0), NEVER)
        each.came_late = flags[f".late.{number}"][first]
        each.value = flags[f".value.{number}"][first]
        for name in _more(rule):
            setattr(each, name, flags[f".{name}.{number}"][first])
        each.within, each.late, each.orphan = totals
        latest.append((rule, each))
    parted = Parted(flags[".stays"], flags[".test"], flags.get(".fold"))
    return Candidates(
        keys, flags[".excluded"], parted, decided, tuple(latest), dict(counted.outcomes), counted.orphans
    )


def _name(kind: str, first: int) -> str:
    return f"{FOLDER}/{kind}-{first:012d}"


def _bytes(folder: Path, block: Block, kind: str) -> pa.Buffer:
    """Return the bytes of a file that are those that were written, mapped from the disk."""
    entry = block.entry(kind)
    try:
        with pa.memory_map(str(folder / entry["file"])) as source:
            data = source.read_buffer()
    except OSError as error:
        raise Unusable from error
    if hashlib.sha256(data).hexdigest() != entry["sha256"]:
        raise Unusable
    return data
