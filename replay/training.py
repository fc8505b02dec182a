"""Training sets: matured labelled decisions as columns, split by time; pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from replay.columns import FEATURE, INSTANT, instants, mask_of
from replay.errors import ColumnsError
from replay.join import Joined

OWN = ("decision_id", "position", "occurred_at", "label", "split")
TRAIN, TEST = "train", "test"


@dataclass(frozen=True, slots=True)
class Split:
    """A split by time: rows from `test_from` on are the test, rows less than `gap` before it are left out.

    The gap keeps rows apart whose outcomes overlap; it is best no shorter than the label's window.
    """

    test_from: datetime
    gap: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class Assembled:
    """The rows of a training set and how many the gap took: `joined rows == table.num_rows + gap`."""

    table: pa.Table
    gap: int


def assemble(joined: Joined, features: Sequence[str], split: Split | None = None) -> Assembled:
    """Return decision_id, position, occurred_at, the features by plain name, label and split, by position.

    Without a split every row is `train`.

    Raises:
        ColumnsError: a feature has the name of one of the own columns, or is not there.
    """
    taken = [name for name in features if name in OWN]
    if taken:
        raise ColumnsError(
            f"The features {', '.join(taken)} have names of the training set's own columns.",
            f"Expected other names than {', '.join(OWN)}.",
        )
    missing = [name for name in features if FEATURE + name not in joined.table.schema.names]
    if missing:
        raise ColumnsError(f"The decisions lack the features {', '.join(missing)}.", "Expected each of them.")
    table = joined.table
    parts = np.zeros(table.num_rows, dtype=np.int8)
    if split is not None:
        edge = pa.scalar(split.test_from, INSTANT).value
        at = instants(table.column("occurred_at"), "occurred_at")
        parts[at >= edge - split.gap // timedelta(microseconds=1)] = 1
        parts[at >= edge] = 2
    in_gap = parts == 1
    gap = int(np.count_nonzero(in_gap))
    if gap:
        table, parts = table.filter(mask_of(~in_gap)), parts[~in_gap]
    names = pa.array([TRAIN, "", TEST])
    columns = {name: table.column(name) for name in OWN[:3]}
    columns |= {name: table.column(FEATURE + name) for name in features}
    columns |= {"label": table.column("label"), "split": names.take(pa.array(parts))}
    return Assembled(pa.table(columns), gap)


def selected(decisions: pa.Table, where: Mapping[str, Sequence[object]]) -> pa.Array:
    """Return which rows have, in each column of `where`, one of its values; a null is none of them.

    Feature columns are named plainly, `f.` is added.

    Raises:
        ColumnsError: no such column, or a value that its type cannot hold.
    """
    kept = pa.array(np.ones(decisions.num_rows, dtype=np.bool_))
    for name, values in where.items():
        column = FEATURE + name if FEATURE + name in decisions.schema.names else name
        if column not in decisions.schema.names:
            raise ColumnsError(f"There is no column {name!r}.", f"Found {', '.join(decisions.schema.names)}.")
        kind = decisions.schema.field(column).type
        try:
            wanted = pc.cast(pa.array([str(value) for value in values], pa.string()), kind)
        except pa.ArrowException as error:
            raise ColumnsError(
                f"Column {name!r} is {kind}: {error}.", "Expected values of that type."
            ) from error
        found = pc.is_in(decisions.column(column), value_set=wanted).combine_chunks()
        kept = pc.and_(kept, pc.and_(found, decisions.column(column).is_valid().combine_chunks()))
    return kept
