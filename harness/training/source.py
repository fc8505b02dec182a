"""The decisions of a range: their keys at once, their features in a second pass or from memory."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import pyarrow as pa

from harness.errors import NotFound
from harness.log.log import Log
from harness.log.predicate import Wanted
from harness.replay_errors import (
    FeatureSetUnregistered,
    FeatureUnknown,
    MixedFeatureSets,
    NothingToScore,
)
from harness.training.errors import MemoryReached
from harness.training.spec import Spec
from recorders.columns import ARROW_TYPES, DECISION_ENVELOPE
from recorders.fields import FeatureSet
from replay import evolution
from replay.columns import FEATURE
from replay.evolution import Mapped

# Ranges up to the first size are read once and kept; of longer ones only the keys are, up to the second.
KEEP_BYTES = 128 * 2**20
KEYS_BYTES = 2**30

_OWN = ("decision_id", "occurred_at")
_ENVELOPE = {column.name: column.type for column in DECISION_ENVELOPE}


@dataclass
class Source:
    """The decisions of a range from `begin` on, read once for their keys.

    `batches` holds the key columns of each stored batch; `kept` all columns, while they fit. `progress` is
    called with how many positions from `begin` on are read, and on through the range a second time. `whole`:
    no batch of the log reaches beyond `begin` from before it.
    `feature_sets` are those of the log by digest, where they were asked for already.
    """

    log: Log
    spec: Spec
    keep_bytes: int = KEEP_BYTES
    keys_bytes: int = KEYS_BYTES
    begin: int = 0
    batches: list[pa.RecordBatch] = field(default_factory=list)
    kept: list[pa.RecordBatch] | None = field(default_factory=list)
    progress: Callable[[int], None] | None = None
    feature_sets: dict[str, FeatureSet] | None = None
    whole: bool = False

    def read(self) -> "Source":
        """Read the keys of the range.

        Raises:
            MemoryReached: they take more than `keys_bytes`.
        """
        names, whole = self._key_columns(), self._all_columns()
        self.begin = at = max(self.begin, self.spec.start)
        held = size = 0
        while at < self.spec.stop:
            restart = False
            for batch in self._stream(at, whole if self.kept is not None else names):
                if not batch.num_rows:
                    continue
                own = batch.select([name for name in ("position", *names) if name in batch.schema.names])
                self.batches.append(own)
                held += own.nbytes
                at = batch.column("position")[-1].as_py() + 1
                if self.progress is not None:
                    self.progress(at - self.begin)
                if held > self.keys_bytes:
                    raise MemoryReached(held, self.keys_bytes, at - 1)
                if self.kept is not None:
                    self.kept.append(batch)
                    size += batch.nbytes
                    if size > self.keep_bytes:
                        self.kept, restart = None, True
                        break
            if not restart:
                break
        return self

    @cached_property
    def known(self) -> dict[str, FeatureSet]:
        """The registered feature sets by digest, asked for once."""
        return self.log.feature_sets() if self.feature_sets is None else self.feature_sets

    def stream(self, columns: Sequence[str], start: int, stop: int) -> Iterator[pa.RecordBatch]:
        """Yield the decisions of [start, stop) again, with these columns at least where they have them."""
        if self.kept is None or start < self.begin:
            end = stop if self.kept is None else min(stop, self.begin)
            for batch in self._stream(start, columns, end):
                if batch.num_rows:
                    yield batch
                    self._tell(batch)
        for batch in self.kept or ():
            places = batch.column("position").to_numpy()
            low, high = (int(place) for place in places.searchsorted([start, stop]))
            if low < high:
                yield batch.slice(low, high - low)
                self._tell(batch)

    def _tell(self, batch: pa.RecordBatch) -> None:
        """Say how far the second reading is; of what lies before `begin`, nothing."""
        if self.progress is not None:
            read = batch.column("position")[-1].as_py() + 1 - self.begin
            self.progress(self.spec.stop - self.begin + max(read, 0))

    def _stream(
        self, start: int, columns: Sequence[str] | None, stop: int | None = None
    ) -> Iterator[pa.RecordBatch]:
        wanted = Wanted(
            "decision",
            self.spec.decision_point,
            None if columns is None else tuple(columns),
            recent=self.begin > self.spec.start,
            begins=self.whole and start == self.begin,
        )
        # Where no field is kept encrypted there is nothing to open, and the log need not look for it again.
        closed = not any(one.sealed for one in self.known.values())
        return self.log.scan(start, self.spec.stop if stop is None else stop, wanted, closed=closed)

    def _key_columns(self) -> list[str]:
        """Return the columns by which rows are chosen, split and weighed; each perhaps a feature's."""
        spec = self.spec
        names = [*_OWN]
        if spec.split is not None and spec.split.by in {"unit", "unit_folds"}:
            names.append("unit")
        if spec.weights is not None:
            names += ["inclusion", "propensity", "decision"]
        renamed = [change.rename.get(name, name) for change in spec.changes for name in spec.where]
        for name in (*spec.where, *renamed):
            names += [name, FEATURE + name]
        return list(dict.fromkeys(names))

    def _all_columns(self) -> list[str]:
        """Return the key columns and what may be a feature of the set, whatever the range has."""
        spec = self.spec
        names = spec.features
        if names is None:
            fields = [field for each in self.known.values() for field in each.fields]
            names = tuple(field.name for field in fields if field.role == "feature")
        renamed = [change.rename.get(name, name) for change in spec.changes for name in names]
        features = [FEATURE + name for name in (*names, *renamed)]
        return list(dict.fromkeys((*self._key_columns(), *features)))


@dataclass(frozen=True, slots=True)
class Schemas:
    """The feature sets of a range: the chosen one, and how each other that belongs becomes it."""

    chosen: FeatureSet
    rows: dict[str, int]
    mappings: dict[str, Mapped]
    features: tuple[str, ...]

    def mapping(self, batch: pa.RecordBatch) -> Mapped | None:
        """Return how a batch's features become the chosen ones; None for one that is foreign to the set."""
        return self.mappings.get(digest_of(batch))


def schemas_of(source: Source, before: Mapping[str, int] | None = None) -> Schemas:
    """Return the feature sets of what `source` has read: see `schemas_in`.

    `before` are those of decisions before it: how many rows each label has.
    """
    known, counted = source.known, before or {}
    rows = {name: counted[each.label] for name, each in known.items() if each.label in counted}
    for batch in source.batches:
        rows[digest_of(batch)] = rows.get(digest_of(batch), 0) + batch.num_rows
    return schemas_in(source.spec, known, rows)


def schemas_in(spec: Spec, known: Mapping[str, FeatureSet], rows: Mapping[str, int]) -> Schemas:
    """Return the feature sets of a range, by digest with their rows, and what each wanted feature is in each.

    Raises:
        FeatureSetUnregistered, NothingToScore, NotFound, MixedFeatureSets, FeatureUnknown,
        EvolutionUnresolved: see there.
    """
    for name, count in rows.items():
        if name not in known:
            raise FeatureSetUnregistered(spec.decision_point, name, count)
    present = {known[name].label: known[name] for name in rows}
    chosen = _chosen(spec, present, {known[name].label: count for name, count in rows.items()})
    features = _features(spec, chosen)
    plain = Mapped(
        {each.name: FEATURE + each.name for each in chosen.fields},
        {each.name: ARROW_TYPES[each.type] for each in chosen.fields},
    )
    mappings = {chosen.digest: plain}
    for change in spec.changes:
        if change.feature_set not in present:
            raise NotFound("feature set", change.feature_set, present)
        other = present[change.feature_set]
        wanted = list(dict.fromkeys((*features, *(name for name in spec.where if name in plain.types))))
        mappings[other.digest] = evolution.mapped(change, other, chosen, wanted)
    return Schemas(chosen, {known[name].label: count for name, count in rows.items()}, mappings, features)


def digest_of(batch: pa.RecordBatch) -> str:
    """Return the digest of the feature set that a batch of decisions names."""
    return str((batch.schema.metadata or {}).get(b"schema_digest", b"").decode())


def keys_of(source: Source, schemas: Schemas) -> tuple[pa.Table, pa.ChunkedArray]:
    """Return the key columns of the range in the words of the chosen set, and which rows are foreign to it.

    Rows of foreign sets stay, without features: they are decisions too, and a later one may repeat their id.
    """
    wanted = [name for name in source.spec.where if name in schemas.mappings[schemas.chosen.digest].types]
    types = {name: schemas.mappings[schemas.chosen.digest].types[name] for name in wanted}
    envelope = [name for name in source._key_columns() if name in _ENVELOPE]  # noqa: SLF001  its own pair
    schema = pa.schema(
        [("position", pa.int64()), *((n, _ENVELOPE[n]) for n in envelope)]
        + [(FEATURE + name, kind) for name, kind in types.items()]
    )
    alike, foreign = [], []
    for batch in source.batches:
        mapping = schemas.mapping(batch)
        arrays = [batch.column(name) for name in ("position", *envelope)]
        if mapping is None:
            arrays += [pa.nulls(batch.num_rows, kind) for kind in types.values()]
        else:
            arrays += evolution.columns(batch, wanted, mapping)
        alike.append(pa.RecordBatch.from_arrays(arrays, schema=schema))
        foreign.append(pa.repeat(pa.scalar(mapping is None), batch.num_rows))
    return pa.Table.from_batches(alike, schema=schema), pa.chunked_array(foreign, pa.bool_())


def _chosen(spec: Spec, present: dict[str, FeatureSet], rows: dict[str, int]) -> FeatureSet:
    if not present:
        raise NothingToScore(spec.decision_point, spec.start, spec.stop)
    if spec.feature_set is not None:
        if spec.feature_set not in present:
            raise NotFound("feature set", spec.feature_set, present)
        return present[spec.feature_set]
    if len(present) > 1:
        raise MixedFeatureSets(rows)
    return next(iter(present.values()))


def _features(spec: Spec, chosen: FeatureSet) -> tuple[str, ...]:
    known = [each.name for each in chosen.fields]
    if spec.features is None:
        return tuple(each.name for each in chosen.fields if each.role == "feature")
    unknown = [name for name in spec.features if name not in known]
    if unknown:
        raise FeatureUnknown(unknown, known)
    return tuple(dict.fromkeys(spec.features))  # a feature named twice is one column
