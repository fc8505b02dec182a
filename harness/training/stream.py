"""Stream: chosen rows with their features, read from the log while they pass, cut as their digest is."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from harness.training.source import Schemas, Source
from replay import evolution
from replay.columns import int64, mask_of
from replay.digest import CHUNK_ROWS

Own = dict[str, pa.Array | pa.ChunkedArray]


@dataclass(frozen=True, slots=True)
class Stream:
    """Rows of a set by position: `own` are all their columns but the served features, which the log has."""

    source: Source
    schemas: Schemas
    own: Own

    @property
    def schema(self) -> pa.Schema:
        """The columns, in order."""
        return schema_of(self.schemas, pa.schema([(name, column.type) for name, column in self.own.items()]))

    def batches(self, first: int, last: int) -> Iterator[pa.RecordBatch]:
        """Yield the rows [first, last), cut where the whole is: each CHUNK_ROWS.

        Each call reads that part of the range again.
        """
        at, schema = first, self.schema
        own = {name: _whole(column.slice(first, last - first)) for name, column in self.own.items()}
        for part in _chunks(self._features(own["position"]), first):
            arrays = [
                own[name].slice(at - first, part.num_rows) if name in own else part.column(name)
                for name in schema.names
            ]
            yield pa.RecordBatch.from_arrays(arrays, schema=schema)
            at += part.num_rows
        assert at == last, "the log gives the same rows twice"

    def _features(self, positions: pa.Array) -> Iterator[pa.RecordBatch]:
        """Yield the served features of the rows at these positions, as they are stored."""
        if not len(positions):
            return
        names, mappings = self.schemas.features, self.schemas.mappings.values()
        read = [column for each in mappings for name in names if (column := each.sources[name]) is not None]
        places = int64(pa.chunked_array([positions]), "position")
        columns = list(dict.fromkeys(read))
        for batch in self.source.stream(columns, int(places[0]), int(places[-1]) + 1):
            stored = batch.column("position").to_numpy()
            low, high = np.searchsorted(places, [stored[0], stored[-1] + 1])
            mapping = self.schemas.mapping(batch)
            if mapping is None or low == high:
                continue
            arrays = [batch.column("position"), *evolution.columns(batch, names, mapping)]
            part = pa.RecordBatch.from_arrays(arrays, names=["position", *names])
            if high - low < batch.num_rows:
                chosen = np.zeros(batch.num_rows, dtype=np.bool_)
                chosen[np.searchsorted(stored, places[low:high])] = True
                part = part.filter(mask_of(chosen))
            yield part


def schema_of(schemas: Schemas, own: pa.Schema) -> pa.Schema:
    """Return the columns of a set: id, position and time, the features, then labels, split and weights."""
    types = schemas.mappings[schemas.chosen.digest].types
    served = [pa.field(name, types[name]) for name in schemas.features]
    return pa.schema([*list(own)[:3], *served, *list(own)[3:]])


def _whole(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    if not isinstance(column, pa.ChunkedArray):
        return column
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def _chunks(batches: Iterable[pa.RecordBatch], first: int) -> Iterator[pa.RecordBatch]:
    """Yield the same rows, of which the first is number `first`, in batches that end at each CHUNK_ROWS."""
    rest: list[pa.RecordBatch] = []
    held, room = 0, CHUNK_ROWS - first % CHUNK_ROWS
    for batch in batches:
        rest.append(batch)
        held += batch.num_rows
        while held >= room:
            table = pa.Table.from_batches(rest)
            yield whole_batch(table.slice(0, room).to_batches())
            rest = table.slice(room).to_batches()
            held, room = held - room, CHUNK_ROWS
    if held:
        yield whole_batch(rest)


def whole_batch(batches: Iterable[pa.RecordBatch]) -> pa.RecordBatch:
    """Return the rows of some batches as one; a single one is not copied."""
    return pa.Table.from_batches(batches).combine_chunks().to_batches()[0]
