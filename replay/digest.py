"""The canonical digest: one digest for one set of values, whoever wrote the file (docs/adr/0006)."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from recorders.canonical import canonical_json
from replay.columns import INSTANT
from replay.errors import ColumnsError, NotOneValue

FORMAT = "columns/1"
CHUNK_ROWS = 65_536
CELL_BYTES = 32

_NAN = np.frombuffer(b"\x00\x00\x00\x00\x00\x00\xf8\x7f", dtype="<f8")[0]


def canonical_digest(columns: pa.Table | pa.RecordBatchReader | Iterable[pa.RecordBatch]) -> str:
    r"""Return the SHA-256 of the values of `columns` as 64 lower-case hex digits.

    The same names, types and values give the same digest whatever the batches, slices, dictionary or
    large layouts, Parquet writer, thread count or machine; any other cell, null flag or row order gives
    another one. None and NaN differ, -0.0 and 0.0 differ, all NaNs are one.

    Definition `columns/1`. Type tags: float64 `f8`, int64 `i8`, bool `b1`, string `s`, binary `x`,
    timestamp[us, UTC] `t`, list<float64> `lf8`. Columns are ordered by their UTF-8 names. Rows are cut
    by ordinal into chunks of 65,536. A cell digest is made per chunk and column from four streams:

    - nulls: the ordinals in the chunk of the null rows, u32;
    - lengths: for `s` and `x` bytes, for `lf8` elements, of each row, u32; a null row has 0;
    - values: `f8`, `i8`, `t` (microseconds since 1970) as 8 bytes, `b1` as one byte, each row, null
      slots zero; for `s` and `x` the bytes end to end; for `lf8` the elements, 8 bytes each;
    - element nulls: for `lf8` the ordinals in the chunk's elements of null elements, u32.

    cell = sha256(sha256(nulls) + sha256(lengths) + sha256(values) + sha256(element nulls)), and
    digest = sha256(canonical JSON of {"columns": [[name, tag]...], "format", "chunk_rows", "rows"}, then
    a line feed, then the cells, chunk by chunk, columns in order). All integers are little-endian.
    Since no stream crosses a chunk, chunks can be hashed apart and a longer table keeps its full ones.

    Memory: one batch. An iterable without any batch names no columns: pass a table or a reader instead.

    Raises:
        NotOneValue: a column has a type without a tag.
        ColumnsError: two columns share a name, or the batches differ in their columns.

    >>> zeros = pa.table({"x": pa.array([0.0, None])})
    >>> canonical_digest(zeros) == canonical_digest(pa.table({"x": pa.array([-0.0, None])}))
    False
    """
    schema, batches = _opened(columns)
    cells = Cells(schema)
    for batch in batches:
        cells.add(batch)
    return cells.digest()


class Cells:
    """The cells of a table's columns, made while its rows pass: definition `columns/1`, chunk by chunk.

    Whole chunks that are known from elsewhere are taken over with `take`, between two chunks.
    """

    def __init__(self, schema: pa.Schema) -> None:
        names = sorted(schema.names, key=str.encode)
        if len(set(names)) != len(names):
            raise ColumnsError(f"Columns share a name: {', '.join(names)}.", "Expected each name once.")
        self._columns = [(name, tag_of(name, schema.field(name).type)) for name in names]
        self._open = self._chunk()
        self._filled = 0
        self.rows = 0
        self.chunks: list[bytes] = []

    @classmethod
    def of(cls, schema: pa.Schema, rows: int, chunks: Sequence[bytes]) -> "Cells":
        """Return the cells of `rows` rows that are known, to be digested."""
        found = cls(schema)
        found.rows, found.chunks = rows, list(chunks)
        return found

    def add(self, batch: pa.RecordBatch) -> None:
        """Append rows."""
        parts = [_canonical(name, tag, batch) for name, tag in self._columns]
        at = 0
        while at < batch.num_rows:
            take = min(CHUNK_ROWS - self._filled, batch.num_rows - at)
            for cell, part in zip(self._open, parts, strict=True):
                cell.update(part.slice(at, take))
            at, self._filled, self.rows = at + take, self._filled + take, self.rows + take
            if self._filled == CHUNK_ROWS:
                self._close()

    def since(self, rows: int) -> str:
        """Return in hex the cells of the whole chunks that began when there were `rows` rows, or later."""
        return b"".join(self.chunks[-(-rows // CHUNK_ROWS) : self.rows // CHUNK_ROWS]).hex()

    def take_all(self, cells: str) -> None:
        """Append the whole chunks whose cells `since` returned."""
        chunks, width = bytes.fromhex(cells), CELL_BYTES * len(self._columns)
        for at in range(0, len(chunks), width):
            self.take(chunks[at : at + width])

    def take(self, chunk: bytes) -> None:
        """Append a whole chunk by its cells."""
        assert not self._filled, "taken between two chunks"
        assert len(chunk) == CELL_BYTES * len(self._columns), "one cell a column"
        self.chunks.append(chunk)
        self.rows += CHUNK_ROWS

    def through(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield the batches, each when it is counted."""
        for batch in batches:
            self.add(batch)
            yield batch

    def digest(self) -> str:
        """Return the digest of the rows that passed; nothing can be added after it."""
        if self._filled:
            self._close()
        header = {
            "format": FORMAT,
            "chunk_rows": CHUNK_ROWS,
            "columns": [list(pair) for pair in self._columns],
            "rows": self.rows,
        }
        return hashlib.sha256(canonical_json(header) + b"\n" + b"".join(self.chunks)).hexdigest()

    def _close(self) -> None:
        self.chunks.append(b"".join(cell.digest() for cell in self._open))
        self._open, self._filled = self._chunk(), 0

    def _chunk(self) -> list["_Cell"]:
        return [_Cell(tag) for _name, tag in self._columns]


def tag_of(name: str, kind: pa.DataType) -> str:
    """Return the type tag of a column; dictionaries count as their values."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    for tag, fits in _TAGS.items():
        if fits(kind):
            return tag
    raise NotOneValue(name, str(kind))


def _is_list_of_float64(kind: pa.DataType) -> bool:
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    return bool(is_list and pa.types.is_float64(kind.value_type))


_TAGS: dict[str, Callable[[pa.DataType], bool]] = {
    "f8": pa.types.is_float64,
    "i8": pa.types.is_int64,
    "b1": pa.types.is_boolean,
    "s": lambda t: pa.types.is_string(t) or pa.types.is_large_string(t) or pa.types.is_string_view(t),
    "x": lambda t: pa.types.is_binary(t) or pa.types.is_large_binary(t) or pa.types.is_binary_view(t),
    "t": lambda t: t.equals(INSTANT),
    "lf8": _is_list_of_float64,
}
_PLAIN = {
    "f8": pa.float64(),
    "i8": pa.int64(),
    "b1": pa.bool_(),
    "s": pa.large_string(),
    "x": pa.large_binary(),
    "t": INSTANT,
    "lf8": pa.large_list(pa.float64()),
}


def _opened(
    columns: pa.Table | pa.RecordBatchReader | Iterable[pa.RecordBatch],
) -> tuple[pa.Schema, Iterable[pa.RecordBatch]]:
    if isinstance(columns, pa.Table):
        return columns.schema, columns.to_batches()
    if isinstance(columns, pa.RecordBatchReader):
        return columns.schema, columns
    batches = iter(columns)
    first = next(batches, None)
    if first is None:
        return pa.schema([]), []
    return first.schema, _chained(first, batches)


def _chained(first: pa.RecordBatch, rest: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
    yield first
    for batch in rest:
        if sorted(batch.schema.names) != sorted(first.schema.names):
            raise ColumnsError(
                f"A batch has columns {', '.join(batch.schema.names)}.",
                f"Expected those of the first: {', '.join(first.schema.names)}.",
            )
        yield batch


def _canonical(name: str, tag: str, batch: pa.RecordBatch) -> pa.Array:
    """Return the column in the one layout of its tag."""
    column = batch.column(batch.schema.get_field_index(name))
    if tag_of(name, column.type) != tag:
        raise ColumnsError(f"Column {name!r} is {column.type} in a later batch.", f"Expected tag {tag}.")
    return column if column.type.equals(_PLAIN[tag]) else column.cast(_PLAIN[tag])


class _Cell:
    """The four streams of one chunk of one column."""

    def __init__(self, tag: str) -> None:
        self.tag = tag
        self.rows = 0
        self.elements = 0
        self.nulls, self.lengths, self.values, self.element_nulls = (hashlib.sha256() for _ in range(4))

    def update(self, part: pa.Array) -> None:
        """Append the rows of `part`, which is in the plain layout of the tag."""
        if part.null_count:
            self.nulls.update(_u32(_null_rows(part) + self.rows))
        if self.tag in {"s", "x"}:
            self._update_bytes(part)
        elif self.tag == "lf8":
            self._update_list(part)
        else:
            self.values.update(_bytes(_fixed(self.tag, part)))
        self.rows += len(part)

    def digest(self) -> bytes:
        """Return the cell digest, 32 bytes."""
        streams = (self.nulls, self.lengths, self.values, self.element_nulls)
        return hashlib.sha256(b"".join(stream.digest() for stream in streams)).digest()

    def _update_bytes(self, part: pa.Array) -> None:
        if part.null_count:  # a null slot may hide bytes: Arrow leaves them undefined
            part = part.fill_null("" if self.tag == "s" else b"")
        offsets = _offsets(part)
        self.lengths.update(_u32(np.diff(offsets)))
        data = part.buffers()[2]
        if data is not None:
            self.values.update(memoryview(data)[int(offsets[0]) : int(offsets[-1])])

    def _update_list(self, part: pa.Array) -> None:
        lengths = part.value_lengths().fill_null(0)
        self.lengths.update(_u32(lengths.to_numpy(zero_copy_only=False)))
        elements = part.flatten()  # leaves out what null lists hide
        if elements.null_count:
            self.element_nulls.update(_u32(_null_rows(elements) + self.elements))
        self.values.update(_bytes(_fixed("f8", elements)))
        self.elements += len(elements)


def _fixed(tag: str, part: pa.Array) -> npt.NDArray[Any]:
    """Return the values, null slots zero, NaN in its one pattern."""
    if tag == "t":
        part = part.cast(pa.int64())
    if part.null_count:
        part = part.fill_null(False if tag == "b1" else 0)
    values = part.to_numpy(zero_copy_only=False)
    if tag == "f8":
        nan = np.isnan(values)
        if nan.any():
            values = np.where(nan, _NAN, values)
    plain: npt.NDArray[Any] = values.astype({"f8": "<f8", "b1": "u1"}.get(tag, "<i8"), copy=False)
    return plain


def _offsets(part: pa.Array) -> npt.NDArray[np.int64]:
    raw = part.buffers()[1]
    if raw is None or not len(part):
        return np.zeros(1, dtype=np.int64)
    return np.frombuffer(raw, dtype=np.int64)[part.offset : part.offset + len(part) + 1]


def _null_rows(part: pa.Array) -> npt.NDArray[np.int64]:
    return np.flatnonzero(part.is_null().to_numpy(zero_copy_only=False))


def _u32(values: npt.NDArray[Any]) -> memoryview:
    assert not values.size or int(values.max()) < 2**32, "a length beyond the format"
    return _bytes(values.astype("<u4"))


def _bytes(values: npt.NDArray[Any]) -> memoryview:
    return np.ascontiguousarray(values).data.cast("B") if values.size else memoryview(b"")
