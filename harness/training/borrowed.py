"""Columns that the snapshots do not hold: a challenger's scores, and features recomputed outside."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from harness.log.log import Log
from harness.models import get_model
from harness.replays import read_scores
from harness.training.errors import BackfillUnusable
from harness.training.spec import Backfill, Spec
from replay.columns import ids
from replay.digest import canonical_digest
from replay.matching import Flags, Floats
from replay.ranges import AsOf

SERVED, SHADOW_SERVED, BACKFILL = "served", "shadow_served", "backfill"


@dataclass(frozen=True, slots=True)
class Scores:
    """A model's scores and decisions, one a decision row; null where it gave none by then."""

    score: pa.Array
    decision: pa.Array

    def values(self) -> Floats:
        """Return the scores, NaN where there is none."""
        return np.asarray(self.score.to_numpy(zero_copy_only=False), dtype=np.float64)


def scores_of(log: Log, spec: Spec, as_of: AsOf, model: str, keys: pa.Table) -> Scores:
    """Return what a registered model scored in shadow on each decision of the range, as known at `as_of`."""
    found = read_scores(
        log, get_model(log, model).digest, spec.decision_point, spec.start, spec.stop, up_to=as_of.position
    )
    at = pc.index_in(keys.column("position"), value_set=found.column("decision_position").combine_chunks())
    rows = at.combine_chunks()
    return Scores(
        found.column("score").combine_chunks().take(rows),
        found.column("decision").combine_chunks().take(rows),
    )


def born_columns(log: Log, spec: Spec, as_of: AsOf, keys: pa.Table, rows: Flags) -> dict[str, pa.Array]:
    """Return the features born in shadow for `rows`; null where the challenger gave no score."""
    wanted = pa.array(rows)
    return {
        each.name: scores_of(log, spec, as_of, each.model, keys).score.filter(wanted) for each in spec.born
    }


def backfill_columns(spec: Spec, table: pa.Table | None, keys: pa.Table, rows: Flags) -> dict[str, pa.Array]:
    """Return the recomputed features for `rows`; null where the table has no such decision.

    Raises:
        BackfillUnusable: no table, another one than was declared, or an id twice.
    """
    declared = spec.backfill
    if declared is None:
        return {}
    if table is None:
        raise BackfillUnusable(
            f"The recomputed features {', '.join(declared.features)} are not in the log.",
            f"Expected the table with digest {declared.digest[:16]}.",
        )
    found = backfill_digest(table, declared.features)
    if found != declared.digest:
        raise BackfillUnusable(
            f"The table of recomputed features has digest {found[:16]}.", f"Expected {declared.digest[:16]}."
        )
    known = ids(table.column("decision_id"), "decision_id").combine_chunks()
    if len(known.unique()) < len(known):
        raise BackfillUnusable(
            "The table of recomputed features names a decision twice.", "Expected each id once."
        )
    own = ids(keys.column("decision_id"), "decision_id").filter(pa.array(rows))
    at = pc.index_in(own, value_set=known).combine_chunks()
    return {name: table.column(name).combine_chunks().take(at) for name in declared.features}


def backfill_digest(table: pa.Table, features: tuple[str, ...]) -> str:
    """Return the canonical digest of the ids and features of a table; its other columns do not count.

    Raises:
        BackfillUnusable: it lacks one of them.
    """
    wanted = ["decision_id", *features]
    missing = [name for name in wanted if name not in table.schema.names]
    if missing:
        raise BackfillUnusable(
            f"The table of recomputed features lacks {', '.join(missing)}.",
            f"Expected decision_id and {', '.join(features)}.",
        )
    return canonical_digest(table.select(wanted))


def read_backfill(path: Path, features: tuple[str, ...]) -> tuple[pa.Table, Backfill]:
    """Return a Parquet file of recomputed features, and what a specification says of it.

    Raises:
        BackfillUnusable: it cannot be read, or lacks a column.
    """
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise BackfillUnusable(f"The file {path} cannot be read: {error}.", "Expected Parquet.") from error
    return table, Backfill(features=features, digest=backfill_digest(table, features))


def provenance(spec: Spec, served: tuple[str, ...], columns: Mapping[str, pa.Array]) -> dict[str, Any]:
    """Return where each feature comes from, and how many rows of each borrowed one have none.

    Empty when every feature was served: that is what a set is unless it says otherwise.
    """
    if not spec.born and spec.backfill is None:
        return {}
    origin = dict.fromkeys(served, SERVED) | {each.name: SHADOW_SERVED for each in spec.born}
    origin |= dict.fromkeys(spec.backfill.features if spec.backfill else (), BACKFILL)
    return {
        "provenance": origin,
        "absent": {name: int(column.null_count) for name, column in columns.items()},
    }
