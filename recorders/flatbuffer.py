"""The few fields of an Arrow message header that say how large its buffers become.

pyarrow allocates what a compressed buffer claims to hold before it reads a byte of it: 12 kB claimed
400 MB. The claims stand in the message, so they are added up first. The header was verified by Arrow
when the message was read; every access here is bounds-checked all the same.
Source: format/Message.fbs of Apache Arrow, and the FlatBuffers internals page.
"""

import struct
from typing import Final

_MESSAGE_HEADER: Final = 2
_BATCH_ROWS: Final = 0
_BATCH_BUFFERS: Final = 2
_BATCH_COMPRESSION: Final = 3
_BUFFER_BYTES: Final = 16
_LENGTH = struct.Struct("<q")
_BUFFER = struct.Struct("<qq")


def uncompressed_bytes(metadata: bytes, body: bytes, *, limit: int) -> int:
    """Return the bytes that a record batch message claims to decompress to, or more than `limit`.

    Rows are counted as one byte each, so that a column without buffers cannot claim 2**62 of them.

    Raises:
        struct.error: an offset points outside the header or the body.
        ValueError: a negative length.
    """
    header = memoryview(metadata)
    batch = _table(header, _field(header, _offset(header, 0), _MESSAGE_HEADER))
    view = memoryview(body)
    compressed = _field(header, batch, _BATCH_COMPRESSION) != 0
    rows_at = _field(header, batch, _BATCH_ROWS)
    total = _LENGTH.unpack_from(header, rows_at)[0] if rows_at else 0
    if total < 0:
        raise ValueError(f"{total} rows")
    first = _field(header, batch, _BATCH_BUFFERS)
    if not first:
        return total
    vector = _table(header, first)
    count, end = struct.unpack_from("<I", header, vector)[0], len(body)
    buffers = header[vector + 4 :][: count * _BUFFER_BYTES]
    if len(buffers) < count * _BUFFER_BYTES:
        raise ValueError(f"a list of {count} buffers in {len(buffers)} bytes")
    for offset, length in _BUFFER.iter_unpack(buffers):
        if offset < 0 or length < 0 or offset + length > end:
            raise ValueError(f"a buffer of {length} bytes at {offset} of {end}")
        total += _claimed(view, offset, length) if compressed and length else length
        if total > limit:
            break
    return total


def _claimed(body: memoryview, offset: int, length: int) -> int:
    if length < _LENGTH.size:
        raise ValueError(f"a compressed buffer of {length} bytes")
    claim: int = _LENGTH.unpack_from(body, offset)[0]
    if claim < -1:
        raise ValueError(f"a buffer of {claim} bytes")
    return length if claim == -1 else claim  # -1: this buffer was left as it was


def _offset(data: memoryview, at: int) -> int:
    return at + int(struct.unpack_from("<I", data, at)[0])


def _table(data: memoryview, at: int) -> int:
    if not at:
        raise ValueError("a header without a record batch")
    return _offset(data, at)


def _field(data: memoryview, table: int, index: int) -> int:
    """Return where field `index` of a table lies, 0 when it is absent."""
    vtable = table - int(struct.unpack_from("<i", data, table)[0])
    if vtable < 0:
        raise ValueError("a table without a layout")
    size = struct.unpack_from("<H", data, vtable)[0]
    slot = 4 + 2 * index
    if slot + 2 > size:
        return 0
    relative = int(struct.unpack_from("<H", data, vtable + slot)[0])
    return table + relative if relative else 0
