"""A monitor's plan cut from a range of the log, in memory that does not grow with its rows.

Two passes: what each column shows, then the counts in the cells that its range gives.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from harness.levels import LevelsOnDisk
from harness.watched import SCORE, feature_set_of, kind_of
from policies.columns import Ints
from policies.drift import DriftRule, MonitorPlan
from policies.drift.edges import CELLS, Edges, cut_edges
from policies.drift.plan import Role
from policies.drift.survey import Survey, finite_numbers
from replay.columns import FEATURE


class Surveyed(NamedTuple):
    """What the first pass showed: each column in its newest type, and the feature sets that were served."""

    columns: dict[str, tuple[pa.DataType, Survey]]
    feature_sets: set[str]

    @property
    def features(self) -> list[str]:
        """The names of the features."""
        return sorted(name.removeprefix(FEATURE) for name in self.columns if name.startswith(FEATURE))


def survey(
    batches: Iterable[pa.RecordBatch], most: int, *, longest: float = math.inf, chosen: bool = True
) -> Surveyed:
    """Return what at most `most` decisions show; `longest` and `chosen` are those of `Survey`.

    A feature that some batches lack is missing there. One that changed its type is watched as it is newest:
    what it had before is missing.
    """
    surveys: dict[tuple[str, pa.DataType], Survey] = {}
    newest: dict[str, pa.DataType] = {}
    feature_sets, rows = set(), 0
    for batch in batches:
        rows += batch.num_rows
        feature_sets.add(feature_set_of(batch))
        for name, kind in _watched(batch):
            newest[name] = kind
            if (name, kind) not in surveys:
                levels = LevelsOnDisk()
                surveys[name, kind] = Survey(kind_of(kind), most, levels, longest=longest, chosen=chosen)
            surveys[name, kind].add(batch.column(name))
    found = {name: (kind, surveys[name, kind]) for name, kind in newest.items()}
    for _, each in found.values():
        each.add_missing(rows - each.rows)
    return Surveyed(found, feature_sets)


def cut_plan(
    surveyed: Surveyed,
    batches: Iterable[pa.RecordBatch],
    rule: DriftRule,
    *,
    only: Sequence[str] = (),
    without: Sequence[str] = (),
    score: bool = True,
) -> MonitorPlan | None:
    """Return the plan that the surveyed batches show when they are read once more; None of no column.

    Of its features `without` some, or `only` some, and of its score.
    """
    names = [name for name in surveyed.features if name not in without and (not only or name in only)]
    columns: dict[str, tuple[str, Role]] = {f"{FEATURE}{name}": (name, "feature") for name in names}
    if score and SCORE in surveyed.columns:
        columns[SCORE] = ("(score)", "prediction")
    edges = _edges({column: surveyed.columns[column] for column in columns}, batches)
    features = [
        surveyed.columns[column][1].plan(name, role=role, column=column, edges=edges.get(column))
        for column, (name, role) in columns.items()
    ]
    return MonitorPlan(features=tuple(features), rule=rule) if features else None


def _edges(
    columns: Mapping[str, tuple[pa.DataType, Survey]], batches: Iterable[pa.RecordBatch]
) -> dict[str, Edges]:
    grids = {name: grid for name, (_, each) in columns.items() if (grid := each.grid()) is not None}
    cells: dict[str, Ints] = {name: np.zeros(CELLS + 2, dtype=np.int64) for name in grids}
    for batch in batches if grids else ():
        for name, kind in _watched(batch):
            if name in grids and kind == columns[name][0]:
                cells[name] += grids[name].cells(finite_numbers(batch.column(name)))
    return {name: cut_edges(grid, cells[name]) for name, grid in grids.items()}


def _watched(batch: pa.RecordBatch) -> list[tuple[str, pa.DataType]]:
    return [
        (field.name, field.type)
        for field in batch.schema
        if field.name == SCORE or field.name.startswith(FEATURE)
    ]
