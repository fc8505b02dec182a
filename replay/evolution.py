"""Evolution: the snapshots of an older feature set in the columns of the chosen one, said field by field."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from recorders.columns import ARROW_TYPES
from recorders.fields import FeatureSet
from replay.columns import FEATURE
from replay.errors import EvolutionUnresolved, RetypeFailed


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """How the snapshots of one other feature set become those of the chosen one.

    `rename`: its field, by the chosen set's name for it. `retype`: chosen fields whose values are cast, and
    only when nothing is lost. `absent`: chosen fields that it did not have, which are null. `drop`: its
    fields that the chosen set no longer has.
    """

    feature_set: str
    rename: dict[str, str] = {}
    retype: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Mapped:
    """Where each wanted feature is in a batch of one feature set: a column's name, or None for null."""

    sources: dict[str, str | None]
    types: dict[str, pa.DataType] = field(default_factory=dict)


def mapped(change: Change, other: FeatureSet, chosen: FeatureSet, features: Sequence[str]) -> Mapped:
    """Return where the wanted features are in snapshots of `other`, when the change says it all.

    Raises:
        EvolutionUnresolved: a field was added, removed, renamed or retyped, and the change does not say so;
            or it says what is not so.
    """
    was = {each.name: each.type for each in other.fields}
    now = {each.name: each.type for each in chosen.fields}
    open_: list[str] = []
    sources: dict[str, str | None] = {}
    for name in features:
        source = change.rename.get(name, name)
        if name in change.absent:
            sources[name] = None
        elif source not in was:
            open_.append(f"{name} is not in {other.label}: add it to absent, or name its field in rename")
        elif not _alike(was[source], now[name]) and name not in change.retype:
            open_.append(f"{name} was {was[source]} and is {now[name]}: add it to retype")
        else:
            sources[name] = FEATURE + source
    open_ += _unsaid(change, was, now)
    if open_:
        raise EvolutionUnresolved(other.label, chosen.label, open_)
    return Mapped(sources, {name: ARROW_TYPES[now[name]] for name in features})


def _alike(was: str, now: str) -> bool:
    return bool(ARROW_TYPES[was] == ARROW_TYPES[now])


def _unsaid(change: Change, was: dict[str, str], now: dict[str, str]) -> list[str]:
    """Return what was removed without a word, and names that neither set has."""
    moved = set(change.rename.values())
    gone = [name for name in was if name not in now and name not in moved and name not in change.drop]
    found = [f"{name} is no longer in the chosen set: add it to drop, or to rename" for name in gone]
    found += [f"drop names {name}, which it did not have" for name in change.drop if name not in was]
    wanted = (*change.rename, *change.retype, *change.absent)
    return found + [f"{name} is no field of the chosen set" for name in wanted if name not in now]


def columns(batch: pa.RecordBatch, names: Sequence[str], mapping: Mapped) -> list[pa.Array]:
    """Return the wanted features of a batch, in their order.

    Raises:
        RetypeFailed: a cast would lose something.
    """
    return [_column(batch, name, mapping) for name in names]


def _column(batch: pa.RecordBatch, name: str, mapping: Mapped) -> pa.Array:
    source, kind = mapping.sources[name], mapping.types[name]
    if source is None:
        return pa.nulls(batch.num_rows, kind)
    column = batch.column(source)
    if column.type == kind:
        return column
    try:
        return pc.cast(column, kind)
    except pa.ArrowException as error:
        raise RetypeFailed(name, str(column.type), str(kind), str(error)) from error
