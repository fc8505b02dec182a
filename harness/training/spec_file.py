"""A training set's specification as a TOML file: the words of Spec, times and durations as people do."""

from pathlib import Path
from typing import Annotated, Literal

import msgspec
import pyarrow as pa
from msgspec import Meta

from harness.experiment_file import Duration, Instant, Position, Text, duration
from harness.log.log import Log
from harness.log.places import edge_at
from harness.strict_toml import TomlFileError, check_table, read_toml
from harness.training.borrowed import read_backfill
from harness.training.spec import Born, DriftGate, Gate, Spec
from replay.errors import SplitUnusable
from replay.evolution import Change
from replay.labels import LabelRule
from replay.ranges import AsOf
from replay.splits import Split
from replay.weights import Weights

# Which keys each kind of split reads.
_READ = {
    "time": {"test_from", "gap"},
    "unit": {"test", "seed"},
    "rolling": {"test_from", "every", "folds", "gap"},
    "unit_folds": {"folds", "seed"},
}
_ALL = set[str]().union(*_READ.values())


class LabelTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A label to learn, and what its immature decisions are."""

    name: Text
    window: Duration
    immature: Literal["exclude", "censor", "weight"] = "exclude"


class SplitTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How rows are told apart; see replay.splits.Split."""

    by: Literal["time", "unit", "rolling", "unit_folds"]
    test_from: Instant | None = None
    gap: Duration | None = None
    test: float | None = None
    folds: int | None = None
    every: Duration | None = None
    seed: str = ""


class BackfillTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A Parquet file with decision_id and features that were recomputed, beside the specification."""

    file: Text
    features: Annotated[tuple[str, ...], Meta(min_length=1)]


class SpecTables(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    decision_point: Text
    labels: tuple[LabelTable, ...]
    start: Annotated[Position | Instant, Meta(description="First position or time.")] = msgspec.field(
        name="from", default=1
    )
    stop: Position | Instant | None = msgspec.field(name="to", default=None)
    as_of: Position | Instant | None = None
    features: tuple[str, ...] | None = None
    feature_set: str | None = None
    allow_backfill: bool = False
    where: dict[str, list[str | int | float | bool]] = {}
    split: SplitTable | None = None
    weights: Weights | None = None
    changes: tuple[Change, ...] = ()
    born: tuple[Born, ...] = ()
    backfill: BackfillTable | None = None
    gates: tuple[Gate, ...] = ()
    drift: DriftGate | None = None


def read_spec(path: Path, log: Log) -> tuple[Spec, AsOf, pa.Table | None]:
    """Return the specification that a file holds, its place in the log, and its recomputed features.

    A time means the first position recorded then or later; without `to` the range ends with the place.

    Raises:
        TomlFileError: the file cannot be used; it names every fault.
        SpecUnusable, SplitUnusable, WeightsUnusable, BackfillUnusable: what it says does not fit together.
    """
    raw = read_toml(path)
    problems = list(check_table(raw, SpecTables, root=SpecTables))
    if problems:
        raise TomlFileError(path.name, problems)
    tables = msgspec.convert(raw, SpecTables)
    place = log.as_of(tables.as_of)
    table, backfill = None, None
    if tables.backfill is not None:
        table, backfill = read_backfill(path.parent / tables.backfill.file, tables.backfill.features)
    spec = Spec(
        decision_point=tables.decision_point,
        start=edge_at(log.as_of, tables.start),
        stop=place.position + 1 if tables.stop is None else edge_at(log.as_of, tables.stop),
        labels=tuple(
            LabelRule(name=each.name, window=duration(each.window), immature=each.immature)
            for each in tables.labels
        ),
        features=tables.features,
        feature_set=tables.feature_set,
        split=None if tables.split is None else _split(tables.split),
        where=tables.where,
        changes=tables.changes,
        weights=tables.weights,
        born=tables.born,
        backfill=backfill,
        allow_backfill=tables.allow_backfill,
        gates=tables.gates,
        drift=tables.drift,
    )
    return spec, place, table


def _split(table: SplitTable) -> Split:
    """Return the split; what its kind does not read is refused, for it would count for nothing.

    Raises:
        SplitUnusable: a key of another kind of split, or one that is lacking.
    """
    given = {name for name in _READ[table.by] ^ _ALL if getattr(table, name) not in {None, ""}}
    if given:
        found = f"the key {', '.join(sorted(given))}, which it does not read"
        raise SplitUnusable(table.by, found, f"only {', '.join(sorted(_READ[table.by]))}")
    more = {"gap": duration(table.gap)} if table.gap else {}
    return Split(
        by=table.by,
        test_from=table.test_from,
        test=table.test,
        folds=table.folds,
        every=None if table.every is None else duration(table.every),
        seed=table.seed,
        **more,
    )
