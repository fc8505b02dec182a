"""Unsealing: encrypted fields as their feature set declares them, erased where a key was destroyed."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import pyarrow as pa

from harness.errors import UsageError
from harness.log.predicate import PLACES
from recorders.columns import ARROW_TYPES, SEALED, STATUSES
from recorders.errors import CorruptBatch
from recorders.fields import FeatureSet
from recorders.sealing import Keys, unseal

# What must be read to open a sealed value, and to say which were erased.
NEEDED: Final = ("decision_id", SEALED, "statuses")
ERASED: Final = "erased"


class Unsealer:
    """Opens the sealed fields of one log. `open_keys` is called when the first sealed batch comes."""

    def __init__(self, feature_sets: Mapping[str, FeatureSet], open_keys: Callable[[], Keys]) -> None:
        self._sets = {digest: one for digest, one in feature_sets.items() if one.sealed}
        self._open_keys = open_keys
        self._keys: Keys | None = None

    @property
    def names(self) -> frozenset[str]:
        """The columns of sealed fields, in any feature set of the log."""
        return frozenset(f"f.{field.name}" for one in self._sets.values() for field in one.sealed)

    def needed(self, columns: Sequence[str] | None) -> Sequence[str] | None:
        """Return the columns to read so that `columns` can be given: more, if sealed ones are among them."""
        if columns is None or not {*self.names, "statuses"} & {*columns}:
            return columns
        return [*columns, *(name for name in NEEDED if name not in columns)]

    def check_conditions(self, names: Sequence[str]) -> None:
        """Refuse conditions on what is encrypted: no row could meet them.

        Raises:
            UsageError: there is one.
        """
        sealed = sorted(self.names & {*names})
        if sealed:
            raise UsageError(
                f"{sealed[0]} is kept encrypted: no condition on it can be met where it is stored.",
                "Expected conditions on fields that are neither subject nor sensitive.",
                "Read the rows, and filter them.",
            )

    def opened(
        self, batches: Iterator[pa.RecordBatch], columns: Sequence[str] | None
    ) -> Iterator[pa.RecordBatch]:
        """Yield the batches with their sealed fields in place, or those of `columns` alone.

        Raises:
            LinkUnavailable, FeatureSetError: the keys cannot be had.
            CorruptBatch: a sealed value is not what was sealed.
        """
        for batch in batches:
            found = self._open(batch, columns) if SEALED in batch.schema.names else batch
            if columns is not None:
                found = found.select(
                    [name for name in dict.fromkeys((*PLACES, *columns)) if name in found.schema.names]
                )
            yield found

    def _open(self, batch: pa.RecordBatch, columns: Sequence[str] | None) -> pa.RecordBatch:
        digest = (batch.schema.metadata or {}).get(b"schema_digest", b"").decode()
        feature_set = self._sets.get(digest)
        if feature_set is None:
            raise CorruptBatch(f"sealed values of feature set {digest[:12]}, which is not registered")
        asked = {f"f.{field.name}" for field in feature_set.sealed}
        if columns is not None and not asked & {*columns} and "statuses" not in columns:
            return batch
        self._keys = self._keys or self._open_keys()
        blobs, identifiers = batch.column(SEALED).to_pylist(), batch.column("decision_id").to_pylist()
        rows = unseal(blobs, identifiers, feature_set, self._keys)
        made = {
            f"f.{field.name}": pa.array(
                [None if row is None else row[place] for row in rows], ARROW_TYPES[field.type]
            )
            for place, field in enumerate(feature_set.sealed)
        }
        return _in_order(batch, feature_set, made, _statuses(batch.column("statuses"), feature_set, rows))


def _in_order(
    batch: pa.RecordBatch, feature_set: FeatureSet, made: Mapping[str, pa.Array], statuses: pa.Array
) -> pa.RecordBatch:
    """Return the batch with the opened fields where the feature set has them, and without what was sealed."""
    features = [f"f.{field.name}" for field in feature_set.fields]
    names = [name for name in batch.schema.names if not name.startswith("f.") and name not in NEEDED[1:]]
    names += [name for name in features if name in made or name in batch.schema.names] + ["statuses"]
    columns = {**{name: batch.column(name) for name in batch.schema.names}, **made, "statuses": statuses}
    fields = [
        batch.schema.field(name) if name in batch.schema.names else pa.field(name, made[name].type)
        for name in names
    ]
    schema = pa.schema(fields, metadata=batch.schema.metadata)
    return pa.RecordBatch.from_arrays([columns[name] for name in names], schema=schema)


def _statuses(column: pa.Array, feature_set: FeatureSet, rows: Sequence[list[Any] | None]) -> pa.Array:
    """Return the statuses, with `erased` for every sealed field of a row whose key is gone."""
    if all(row is not None for row in rows):
        return column
    gone = [{"field": field.name, "status": ERASED} for field in feature_set.sealed]
    names = {field.name for field in feature_set.sealed}
    told = [
        found if row is not None else [*(one for one in found or () if one["field"] not in names), *gone]
        for found, row in zip(column.to_pylist(), rows, strict=True)
    ]
    return pa.array(told, STATUSES)
