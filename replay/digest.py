"""The canonical digest: one digest for one set of values, whoever wrote the file (docs/adr/0006)."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import msgspec
import pyarrow as pa

from recorders.canonical import canonical_json
from replay import resumable
from replay.cells import Cell
from replay.columns import INSTANT
from replay.errors import ColumnsError, NotOneValue
from replay.resumable import Resumable

FORMAT = "columns/1"
CHUNK_ROWS = 65_536
CELL_BYTES = 32


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

    Whole chunks that are known from elsewhere are taken over with `take`, between two chunks. At the rows of
    `marks`, inside of chunks, the state is kept in `states`, from which `resume` goes on; there are none
    where SHA-256 has no state to be had.
    """

    def __init__(self, schema: pa.Schema, marks: Iterable[int] = ()) -> None:
        names = sorted(schema.names, key=str.encode)
        if len(set(names)) != len(names):
            raise ColumnsError(f"Columns share a name: {', '.join(names)}.", "Expected each name once.")
        self._columns = [(name, tag_of(name, schema.field(name).type)) for name in names]
        self._marks = sorted(marks) if resumable.AVAILABLE else []
        self._filled = 0
        self.rows = 0
        self.chunks: list[bytes] = []
        self.states: dict[int, bytes] = {}
        self._open: list[Cell] = []

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
            if not self._filled:
                self._open = self._chunk()
            take = min(CHUNK_ROWS - self._filled, batch.num_rows - at, self._unmarked())
            for cell, part in zip(self._open, parts, strict=True):
                cell.update(part.slice(at, take))
            at, self._filled, self.rows = at + take, self._filled + take, self.rows + take
            if self._filled == CHUNK_ROWS:
                self._close()
            elif self.rows in self._marks:
                self.states[self.rows] = msgspec.msgpack.encode([cell.state() for cell in self._open])

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

    def resume(self, row: int, states: Mapping[int, bytes]) -> None:
        """Go on at a row inside of a chunk that is begun between two: `states` has its state.

        Raises:
            ValueError: it is none of these columns.
        """
        assert not self._filled, "resumed between two chunks"
        cells = msgspec.msgpack.decode(states[row], type=list[tuple[int, list[bytes]]])
        self._filled = row - self.rows
        self._open = [
            Cell.resumed(tag, self._filled, *cell)
            for (_name, tag), cell in zip(self._columns, cells, strict=True)
        ]
        self.rows = row
        self.states |= {mark: states[mark] for mark in self._marks if mark <= row and mark in states}

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
        self._filled = 0

    def _unmarked(self) -> int:
        """Return how many rows there are to the next mark."""
        return next((mark - self.rows for mark in self._marks if mark > self.rows), CHUNK_ROWS)

    def _chunk(self) -> list[Cell]:
        marked = self._unmarked() < CHUNK_ROWS
        return [Cell.begun(tag, Resumable if marked else hashlib.sha256) for _name, tag in self._columns]


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
# Read as they are, offsets of 32 bits and all: the log holds its texts and bytes so.
_SHORT = {"s": pa.string(), "x": pa.binary()}


def _opened(
    columns: pa.Table | pa.RecordBatchReader | Iterable[pa.RecordBatch],
) -> tuple[pa.Schema, Iterable[pa.RecordBatch]]:
    if isinstance(columns, pa.Table):
        return columns.schema, _chunks(columns)
    if isinstance(columns, pa.RecordBatchReader):
        return columns.schema, columns
    batches = iter(columns)
    first = next(batches, None)
    if first is None:
        return pa.schema([]), []
    return first.schema, _chained(first, batches)


def _chunks(table: pa.Table) -> Iterator[pa.RecordBatch]:
    """Yield the rows a chunk of the digest at a time: a batch costs more than its rows."""
    for at in range(0, table.num_rows, CHUNK_ROWS):
        yield from table.slice(at, CHUNK_ROWS).combine_chunks().to_batches()


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
    if column.type.equals(_PLAIN[tag]) or column.type.equals(_SHORT.get(tag, _PLAIN[tag])):
        return column
    if tag_of(name, column.type) != tag:
        raise ColumnsError(f"Column {name!r} is {column.type} in a later batch.", f"Expected tag {tag}.")
    return column.cast(_PLAIN[tag])
