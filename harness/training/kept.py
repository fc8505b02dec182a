"""Kept: what a set's folder keeps of its candidates, so that it can be continued without reading them again.

It is derived from the log and can be deleted: the set is then built anew. It holds ids, times, places and
labels, no feature. Every byte is checked against its digest, and the cells against the log.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa

from harness.log.log import Log
from harness.training.candidates import Candidates
from harness.training.parts import sha256_of
from harness.training.rows import Rows
from harness.training.spec import Spec
from recorders.canonical import canonical_json, digest
from replay.columns import instants, mask_of
from replay.digest import Cells
from replay.id_index import NEVER, IdIndex
from replay.matching import Decided, Latest
from replay.ranges import AsOf
from replay.splits import Parted

FOLDER: Final = "kept"
FORMAT: Final = "kept/1"
# What destroys values of the log, whatever place it is read at.
ERASURES: Final = "subject.*"
_INDEX, _DECISIONS, _ROWS, _ORPHANS = "kept.json", "decisions.arrow", "rows.arrow", "orphans.arrow"
_STILL = ("decision_id", "position", "occurred_at", "split", "fold")


class Unusable(Exception):  # noqa: N818  it never reaches a user: the set is built anew, and the reason is told
    """What is kept cannot be used; `reason` says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Index(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept beside the columns. `totals` are within, late and orphan of each label."""

    format: str
    set: str
    as_of: AsOf
    rows_per_part: int
    erasures: int
    outcomes: dict[str, int]
    feature_sets: dict[str, int]
    totals: tuple[tuple[int, int, int], ...]
    unique: bool
    chunks: tuple[str, ...]
    files: dict[str, str]


class Kept(msgspec.Struct, frozen=True):
    """What a set was cut from: its candidates, its own columns that can change, the cells of its digest."""

    index: Index
    candidates: Candidates
    own: pa.Table


def erasures(log: Log) -> int:
    """Return how often the log says that somebody was erased."""
    return len(log.controls(ERASURES))


def keep(partial: Path, name: str, rows: Rows, cells: Cells, rows_per_part: int, erased: int) -> None:
    """Write what is kept of a set into its folder; `erased`: the erasures known before it was read."""
    of, folder = rows.candidates, partial / FOLDER
    folder.mkdir()
    tables = {_DECISIONS: _decisions(of), _ROWS: variable(rows)}
    if of.orphans is not None:
        tables[_ORPHANS] = of.orphans.sort_by("position")
    for file, table in tables.items():
        with pa.OSFile(str(folder / file), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table.combine_chunks())
    index = Index(
        format=FORMAT,
        set=name,
        as_of=rows.as_of,
        rows_per_part=rows_per_part,
        erasures=erased,
        outcomes=of.outcomes,
        feature_sets=rows.schemas.rows,
        totals=tuple((each.within, each.late, each.orphan) for _rule, each in of.latest),
        unique=bool(of.decided.first.all()),
        chunks=tuple(chunk.hex() for chunk in cells.chunks),
        files={file: sha256_of(folder / file) for file in tables},
    )
    body = msgspec.to_builtins(index)
    (folder / _INDEX).write_bytes(canonical_json({"sha256": digest(canonical_json(body)), "kept": body}))


def read_kept(folder: Path, name: str, spec: Spec) -> Kept:
    """Return what a set's folder keeps.

    Raises:
        Unusable: nothing, or not what was written.
    """
    place = folder / FOLDER
    try:
        found = msgspec.json.decode((place / _INDEX).read_bytes())
        if digest(canonical_json(found["kept"])) != found["sha256"]:
            raise Unusable("what its folder keeps is damaged")
        index = msgspec.convert(found["kept"], Index)
        tables = {file: _table(place / file, sha256) for file, sha256 in index.files.items()}
    except FileNotFoundError as error:
        raise Unusable("no folder of it is here that keeps what it was cut from") from error
    except (OSError, KeyError, TypeError, ValueError, msgspec.MsgspecError, pa.ArrowException) as error:
        raise Unusable("what its folder keeps is damaged") from error
    if index.format != FORMAT or index.set != name:
        raise Unusable(f"its folder keeps {index.format} of {index.set}")
    return Kept(index, _candidates(tables[_DECISIONS], tables.get(_ORPHANS), index, spec), tables[_ROWS])


def variable(rows: Rows) -> pa.Table:
    """Return the own columns of a set that can change for the same decisions, and the places of its rows."""
    names = ["position", *(name for name in rows.own if name not in _STILL)]
    return pa.table({name: rows.own[name] for name in names})


def _decisions(of: Candidates) -> pa.Table:
    """Return one row a decision: ids, places, times, flags, and what is known of each label."""
    keys, columns = of.keys, dict[str, Any]()
    for name in keys.schema.names:
        columns[name] = keys.column(name)
    columns |= {".excluded": of.excluded, ".stays": of.parted.stays, ".test": of.parted.test}
    if of.parted.fold is not None:
        columns[".fold"] = of.parted.fold
    if not of.decided.first.all():
        columns |= {".first": of.decided.first, ".code": of.decided.codes}
    for number, (rule, each) in enumerate(of.latest):
        columns |= {
            f".has.{number}": each.rows(each.position) != NEVER,
            f".late.{number}": each.rows(each.came_late),
            f".value.{number}": each.rows(each.value),
        }
        if rule.immature == "censor":
            columns[f".happened.{number}"] = each.rows(each.happened)
        if rule.immature == "weight":
            columns[f".known.{number}"] = each.rows(each.known)
    return pa.table(columns)


def _candidates(table: pa.Table, orphans: pa.Table | None, index: Index, spec: Spec) -> Candidates:
    own = [name for name in table.schema.names if not name.startswith(".")]
    flags = {
        name: np.asarray(table.column(name).to_numpy()) for name in table.schema.names if name.startswith(".")
    }
    keys = table.select(own)
    occurred = instants(keys.column("occurred_at"), "occurred_at")
    ids = keys.column("decision_id").cast(pa.large_string())
    rows = table.num_rows
    if index.unique:
        first = np.ones(rows, dtype=np.bool_)
        decided = Decided(IdIndex(ids), np.arange(rows, dtype=np.int64), occurred, first, occurred)
    else:
        first = flags[".first"]
        decided = Decided(
            IdIndex(ids.filter(mask_of(first))), flags[".code"], occurred, first, occurred[first]
        )
    latest = []
    for number, rule in enumerate(spec.labels):
        each = Latest(decided, rule.window)
        pick = slice(None) if index.unique else first
        each.position = np.where(flags[f".has.{number}"][pick], np.int64(0), NEVER)
        each.came_late = flags[f".late.{number}"][pick].copy()
        each.value = flags[f".value.{number}"][pick]
        if f".happened.{number}" in flags:
            each.happened = flags[f".happened.{number}"][pick]
        if f".known.{number}" in flags:
            each.known = flags[f".known.{number}"][pick]
        each.within, each.late, each.orphan = index.totals[number]
        latest.append((rule, each))
    parted = Parted(flags[".stays"], flags[".test"], flags.get(".fold"))
    return Candidates(keys, flags[".excluded"], parted, decided, tuple(latest), dict(index.outcomes), orphans)


def _table(path: Path, sha256: str) -> pa.Table:
    """Return a table whose bytes are those that were written, mapped from the disk."""
    with pa.memory_map(str(path)) as source:
        data = source.read_buffer()
    if hashlib.sha256(data).hexdigest() != sha256:
        raise Unusable("what its folder keeps is damaged")
    return pa.ipc.open_file(data).read_all()


def cells_of(index: Index) -> Sequence[bytes]:
    """Return the cells of each chunk of the set's digest."""
    return [bytes.fromhex(chunk) for chunk in index.chunks]
