"""The bytes of a part, in memory of Arrow's own: no thread of Arrow asks for Python to give it back.

Arrow decodes on threads of its own. Such a thread hands over its result, then lets go of what it read from,
and nobody waits for that. Of Python's memory, an `mmap` say, it needs the interpreter's lock to do so; where
the process ended meanwhile, it ended by an abort (docs/adr/0110).
"""

from typing import Final

import pyarrow as pa


class Mapped:
    """A file on a disk of this machine; what is not read is not loaded."""

    def __init__(self, file: pa.MemoryMappedFile) -> None:
        self._file = file
        self.size: Final[int] = file.size()

    def source(self) -> pa.NativeFile:
        """Return what Parquet reads from."""
        return self._file

    def of(self, start: int, stop: int) -> pa.Buffer:
        """Return the bytes [start, stop)."""
        self._file.seek(start)
        return self._file.read_buffer(stop - start)


class Fetched:
    """As much memory as a file has bytes; what was never `put` holds nothing that is meant."""

    def __init__(self, size: int) -> None:
        # Untouched pages take no memory when they come from the system: it is as large as what is fetched.
        self._whole = pa.allocate_buffer(size, memory_pool=pa.system_memory_pool())
        self.size: Final = size

    def source(self) -> pa.NativeFile:
        """Return what Parquet reads from."""
        return pa.BufferReader(self._whole)

    def of(self, start: int, stop: int) -> pa.Buffer:
        """Return the bytes [start, stop)."""
        return self._whole.slice(start, stop - start)

    def put(self, start: int, data: bytes) -> None:
        """Have these bytes from `start` on."""
        with memoryview(self._whole) as whole, whole.cast("B") as view:
            view[start : start + len(data)] = data
