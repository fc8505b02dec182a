"""Training sets: which decisions are rows, with which labels and own columns; pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from replay.columns import FEATURE
from replay.errors import ColumnsError
from replay.join import DUPLICATE, EXCLUDED, REASONS, USED, Codes, account, reasons
from replay.labels import Labelled, LabelRule, labelled
from replay.matching import Flags, Latest
from replay.ranges import AsOf
from replay.splits import TEST, TRAIN, Parted

OWN = ("decision_id", "position", "occurred_at", "label", "split")


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which decision rows are rows of the set, by label, and where all the others went.

    Law: decisions == rows + the counts of the reasons. Of several labels a row needs all; it is counted under
    the first that it lacks, as `<label>.<reason>`.
    """

    labels: tuple[tuple[LabelRule, Labelled], ...]
    codes: Codes
    used: Flags
    counts: dict[str, int]
    outcomes: dict[str, int]


def chosen(latest: Sequence[tuple[LabelRule, Latest]], excluded: Flags, as_of: AsOf) -> Chosen:
    """Return the rows that have every label."""
    found = [(rule, labelled(each, excluded, as_of, rule.immature)) for rule, each in latest]
    if len(found) == 1:
        codes = found[0][1].codes
        counts = {"decisions": codes.size, **reasons(codes)}
        return Chosen(tuple(found), codes, codes == USED, counts, account(latest[0][1], codes))
    first = found[0][1].codes
    shared = np.isin(first, (DUPLICATE, EXCLUDED))
    counts = {"decisions": first.size}
    counts |= {REASONS[code - 1]: int(np.count_nonzero(first == code)) for code in (DUPLICATE, EXCLUDED)}
    used, codes = ~shared, first
    outcomes: dict[str, int] = {}
    for (rule, found_), (_rule, each) in zip(found, latest, strict=True):
        lacking = np.where(used, found_.codes, USED)
        counts |= {f"{rule.name}.{name}": rows for name, rows in reasons(lacking).items() if rows}
        outcomes |= {f"{rule.name}.{name}": rows for name, rows in account(each, found_.codes).items()}
        codes = np.where(used, found_.codes, codes).astype(np.int8)
        used = used & (found_.codes == USED)
    return Chosen(tuple(found), codes, used, counts, outcomes)


def label_columns(found: Chosen, rows: Flags) -> dict[str, pa.Array]:
    """Return the label columns of `rows`: `label`, or `label.<name>` of several, and what censoring adds."""
    several = len(found.labels) > 1
    columns: dict[str, pa.Array] = {}
    for rule, each in found.labels:
        suffix = f".{rule.name}" if several else ""
        value = each.value[rows]
        columns["label" + suffix] = pa.array(value, mask=np.isnan(value))
        if each.censored is not None and each.followed_us is not None:
            columns["censored" + suffix] = pa.array(each.censored[rows])
            columns["followed_us" + suffix] = pa.array(each.followed_us[rows])
    return columns


def split_columns(where: Parted, rows: Flags) -> dict[str, pa.Array]:
    """Return `split` and, of a split in folds, `fold`."""
    names = pa.array([TRAIN, TEST])
    columns = {"split": names.take(pa.array(where.test[rows].astype(np.int8)))}
    if where.fold is not None:
        columns["fold"] = pa.array(where.fold[rows])
    return columns


def check_names(features: Sequence[str], own: Sequence[str]) -> None:
    """Raise ColumnsError where a feature has the name of one of the set's own columns, or of another."""
    taken = [name for name in features if name in own]
    twice = sorted({name for name in features if features.count(name) > 1})
    if taken or twice:
        raise ColumnsError(
            f"The features {', '.join(taken or twice)} have names of other columns of the training set.",
            f"Expected each once, and other names than {', '.join(own)}.",
            "Name the features to take (`--features`, or `features` of the specification), or record it "
            "under another name in the next version of the feature set.",
        )


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
            raise ColumnsError(
                f"There is no column {name!r}.",
                f"Found {', '.join(decisions.schema.names)}.",
                "Name one of them in `where`.",
            )
        kind = decisions.schema.field(column).type
        try:
            wanted = pc.cast(pa.array([str(value) for value in values], pa.string()), kind)
        except pa.ArrowException as error:
            raise ColumnsError(
                f"Column {name!r} is {kind}: {error}.",
                "Expected values of that type.",
                "Correct it in `where`.",
            ) from error
        found = pc.is_in(decisions.column(column), value_set=wanted).combine_chunks()
        kept = pc.and_(kept, pc.and_(found, decisions.column(column).is_valid().combine_chunks()))
    return kept
