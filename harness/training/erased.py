"""Erased: what erasures mean for a set that is being cut, and for one that was registered before them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from harness.log.log import Log
from harness.replay_errors import TrainingSetDiffers
from harness.training.errors import ErasedMeanwhile, ErasedSince
from harness.training.kept import ERASURES
from harness.training.rows import Rows
from replay.columns import FEATURE, int64
from replay.differ import differs
from replay.matching import Flags

STATUSES, ERASED = "statuses", "erased"


def refuse_erased(log: Log, core: dict[str, Any], since: int) -> None:
    """Refuse a set that may hold somebody who was erased after the log had told of `since` erasures.

    Raises:
        ErasedMeanwhile: there is a receipt that names its decision point and part of its range.
    """
    columns = _personal(log, core)
    if not columns:
        return
    touching = [one.position for one in log.controls(ERASURES)[since:] if _told_of(one.body, core["cut"])]
    if touching:
        raise ErasedMeanwhile(core["id"], touching[0], len(touching), columns)


def touches(points: Mapping[str, Mapping[str, int]], cut: Mapping[str, Any]) -> bool:
    """Return whether a set's cut meets what a receipt names: `first` and `last` position of each point.

    >>> touches({"shop": {"first": 7, "last": 9}}, {"decision_point": "shop", "start": 1, "stop": 7})
    False
    """
    theirs = points.get(cut["decision_point"])
    return theirs is not None and cut["start"] <= theirs["last"] and theirs["first"] < cut["stop"]


def _told_of(receipt: Mapping[str, Any], cut: Mapping[str, Any]) -> bool:
    points = receipt.get("decision_points")
    return points is None or touches(points, cut)  # what was erased again does not say where it lies


def _personal(log: Log, core: dict[str, Any]) -> list[str]:
    """Return the columns of the set that may come from a field that is kept encrypted."""
    known = log.feature_sets(at_least=int(core["as_of"]["position"])).values()
    sealed = {field.name for one in known if one.label in core["feature_sets"] for field in one.sealed}
    own = [name for name in core["columns"] if name in sealed]
    return sorted(sealed) if sealed and not own and core["cut"].get("changes") else own


def explained(log: Log, name: str, rows: Rows, files: pa.Table | None, digests: tuple[str, str]) -> Flags:
    """Return which rows of a set were erased since, where the rest is what its files have.

    `files` are its rows as they were written, whose digest is the registered one; `digests` are that and the
    one that the log gives now.

    Raises:
        TrainingSetDiffers: something else differs too, or nothing was erased.
        ErasedSince: rows were erased, and there are no files to compare the rest with.
    """
    erased = _erased(log, rows)
    if not any(found.any() for found in erased.values()):
        raise TrainingSetDiffers(name, "The log", *digests)
    if files is None:
        several: Flags = np.logical_or.reduce(list(erased.values()))
        raise ErasedSince(name, int(np.count_nonzero(several)), rows.size)
    now = rows.table()
    same = now.num_rows == files.num_rows and now.schema.names == files.schema.names
    if not same:
        raise TrainingSetDiffers(name, "The log", *digests)
    nothing = np.zeros(rows.size, dtype=np.bool_)
    since = nothing.copy()  # what was erased before the set was cut is not in its files either
    for column in now.schema.names:
        apart = differs(files, now, [column])
        if (apart & ~erased.get(column, nothing)).any():
            raise TrainingSetDiffers(name, "The log", *digests)
        since |= apart
    return since


def _erased(log: Log, rows: Rows) -> dict[str, Flags]:
    """Return for each feature in which rows of the set its value was erased."""
    spec, places = rows.spec, int64(rows.own["position"], "position")
    found: dict[str, Flags] = {}
    for batch in log.read(
        spec.start, spec.stop, kind="decision", decision_point=spec.decision_point, columns=[STATUSES]
    ):
        if STATUSES not in batch.schema.names:
            continue
        column = batch.column(STATUSES)
        parents, entries = pc.list_parent_indices(column), pc.list_flatten(column)
        gone = pc.equal(pc.struct_field(entries, "status"), ERASED)
        at = batch.column("position").take(parents.filter(gone))
        fields = pc.struct_field(entries, "field").filter(gone)
        for field in pc.unique(fields).to_pylist():
            mask = found.setdefault(field, np.zeros(places.size, dtype=np.bool_))
            mask |= np.isin(places, np.asarray(at.filter(pc.equal(fields, field))))
    return _by_name(found, rows)


def _by_name(found: dict[str, Flags], rows: Rows) -> dict[str, Flags]:
    """Return the same by the names that features have in the set."""
    named: dict[str, Flags] = {}
    for mapping in rows.schemas.mappings.values():
        for name in rows.schemas.features:
            field = (mapping.sources[name] or "").removeprefix(FEATURE)
            if field in found:
                named[name] = named.get(name, False) | found[field]
    return named
