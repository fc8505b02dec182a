"""Files of paired columns: written a piece at a time, and read in columns, or in a few whole rows."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

ROWS = 65_536
COMPRESSED = pa.ipc.IpcWriteOptions(compression="lz4")


def write(path: Path, table: pa.Table) -> None:
    """Write a table as Arrow's file format, in pieces that are read one at a time."""
    with pa.ipc.new_file(str(path), table.schema, options=COMPRESSED) as writer:
        if table.num_rows:
            writer.write_table(table, max_chunksize=ROWS)
        else:
            writer.write_batch(pa.RecordBatch.from_pylist([], schema=table.schema))


def batches_of(path: Path) -> Iterator[pa.RecordBatch]:
    """Yield what `write` wrote, some at a time."""
    with pa.memory_map(str(path)) as file:
        reader = pa.ipc.open_file(file)
        yield from (reader.get_batch(n) for n in range(reader.num_record_batches))


class PairFile:
    """The bytes of a file that `write` wrote. Columns are compressed apart: what nobody reads is not decoded.

    `without`: columns that `table` leaves out, of the `columns` that there are.
    """

    def __init__(self, data: Any, without: Collection[str] = ()) -> None:
        self._data = pa.py_buffer(data)
        self._all = pa.ipc.open_file(self._data)
        names = self._all.schema.names
        self.columns = len(names)
        kept = [n for n, name in enumerate(names) if name not in without]
        self.table = self._opened(kept).read_all()

    def ends(self, lead: int, last: int) -> pa.Table:
        """Return all columns of the rows before `lead`, then those from row `last` on.

        Pieces with none of them are not decoded.
        """
        found, at = [pa.Table.from_batches([], self._all.schema)], 0
        for number, piece in enumerate(self.table.column(0).chunks):
            rows = len(piece)
            if at < lead or at + rows > last:
                whole = pa.Table.from_batches([self._all.get_batch(number)])
                found.append(whole.slice(0, max(0, lead - at)))
                found.append(whole.slice(max(0, lead - at, last - at)))
            at += rows
        return pa.concat_tables(found)

    def _opened(self, columns: list[int]) -> pa.ipc.RecordBatchFileReader:
        return pa.ipc.open_file(self._data, options=pa.ipc.IpcReadOptions(included_fields=columns))
