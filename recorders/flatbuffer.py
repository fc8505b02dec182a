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
_BATCH_NODES: Final = 1
_BATCH_BUFFERS: Final = 2
_BATCH_COMPRESSION: Final = 3
_BUFFER_BYTES: Final = 16
_NODE_BYTES: Final = 16
_ZSTD: Final = 1
_LENGTH = struct.Struct("<q")
_BUFFER = struct.Struct("<qq")
_COUNT, _BACK, _SIZES = struct.Struct("<I"), struct.Struct("<i"), struct.Struct("<HH")
_CONTINUES: Final = b"\xff\xff\xff\xff"
_PREFIX: Final = struct.Struct("<4si")
# How a buffer begins that zstd kept as it was, up to 255 bytes (RFC 8878): what it claims to hold; the magic
# number, a frame of one segment without a checksum, its size; the only block, which is raw, and its size.
_KEPT: Final = struct.Struct("<qIBBHB")
_MAGIC, _ONE_SEGMENT, _LAST_AND_RAW = 0xFD2FB528, 0x20, 1
_AS_IT_IS: Final = _LENGTH.pack(-1)


def uncompressed_bytes(metadata: bytes, body: bytes, *, limit: int) -> int:
    """Return the bytes that a record batch message claims to decompress to, or more than `limit`.

    Rows are counted as one byte each, so that a column without buffers cannot claim 2**62 of them.

    Raises:
        struct.error: an offset points outside the header or the body.
        ValueError: a negative length.
    """
    header = memoryview(metadata)
    batch = _batch(header)
    view = memoryview(body)
    compressed = _field(header, batch, _BATCH_COMPRESSION) != 0
    rows_at = _field(header, batch, _BATCH_ROWS)
    total = _LENGTH.unpack_from(header, rows_at)[0] if rows_at else 0
    if total < 0:
        raise ValueError(f"{total} rows")
    (vector, count), end = _buffers(header, batch), len(body)
    for offset, length in _BUFFER.iter_unpack(header[vector:][: count * _BUFFER_BYTES]):
        if offset < 0 or length < 0 or offset + length > end:
            raise ValueError(f"a buffer of {length} bytes at {offset} of {end}")
        total += _claimed(view, offset, length) if compressed and length else length
        if total > limit:
            break
    return total


def unwrapped(message: bytes) -> bytes:
    """Return a record batch message with the same values; what zstd kept as it was is out of its frames.

    `message` is encapsulated: a marker, the header's length, header and body. Arrow makes a decompressor for
    each buffer: for a batch of one event they take ten times as long as all else (docs/adr/0097). Buffers of
    any other form stay as they are. So does a whole message whose list of buffers holds something else too,
    or whose buffers do not follow each other: only ill will writes one.
    """
    marker, size = _PREFIX.unpack_from(message)
    found, start, end = bytearray(message), _PREFIX.size + size, 0
    header = memoryview(found)[_PREFIX.size : start]
    if marker != _CONTINUES or not _is_zstd(header):
        return message
    vector, count = _buffers(header, _batch(header))
    if not _is_apart(header, vector, vector + count * _BUFFER_BYTES):
        return message
    for number in range(count):
        entry = vector + number * _BUFFER_BYTES
        offset, length = _BUFFER.unpack_from(header, entry)
        if offset < end:
            return message
        end, at = offset + length, start + offset
        if length < _KEPT.size:
            continue
        claim, magic, frame, content, block, rest = _KEPT.unpack_from(message, at)
        kept = (magic, frame, block, rest) == (_MAGIC, _ONE_SEGMENT, content << 3 | _LAST_AND_RAW, 0)
        if kept and claim == content == length - _KEPT.size:
            found[at : at + _LENGTH.size + content] = _AS_IT_IS + message[at + _KEPT.size : start + end]
            _BUFFER.pack_into(header, entry, offset, _LENGTH.size + content)
    return bytes(found)


def _is_apart(header: memoryview, low: int, high: int) -> bool:
    """Return whether bytes `low` to `high` of a header hold nothing else that is read of it."""
    batch = _batch(header)
    nodes = _field(header, batch, _BATCH_NODES)
    vector = _table(header, nodes) if nodes else 0
    count = _COUNT.unpack_from(header, vector)[0] if nodes else 0
    spans = [(0, _COUNT.size), (vector, vector + _COUNT.size + count * _NODE_BYTES)]
    compression = _table(header, _field(header, batch, _BATCH_COMPRESSION))
    for table in (_offset(header, 0), batch, compression):
        layout = table - int(_BACK.unpack_from(header, table)[0])
        size, own = _SIZES.unpack_from(header, layout)
        spans += [(layout, layout + size), (table, table + own)]
    return not any(start < high and low < stop for start, stop in spans)


def _is_zstd(header: memoryview) -> bool:
    """Return whether each buffer of a batch is compressed by zstd."""
    at = _field(header, _batch(header), _BATCH_COMPRESSION)
    if not at:
        return False
    codec, method = (_field(header, _table(header, at), n) for n in range(2))
    return bool(codec and header[codec] == _ZSTD and not (method and header[method]))


def _batch(header: memoryview) -> int:
    """Return where the record batch of a message is."""
    return _table(header, _field(header, _offset(header, 0), _MESSAGE_HEADER))


def _buffers(header: memoryview, batch: int) -> tuple[int, int]:
    """Return where the list of a record batch's buffers begins, and how many there are."""
    first = _field(header, batch, _BATCH_BUFFERS)
    if not first:
        return 0, 0
    vector = _table(header, first)
    count = int(_COUNT.unpack_from(header, vector)[0])
    room = len(header) - vector - 4
    if room < count * _BUFFER_BYTES:
        raise ValueError(f"a list of {count} buffers in {room} bytes")
    return vector + 4, count


def _claimed(body: memoryview, offset: int, length: int) -> int:
    if length < _LENGTH.size:
        raise ValueError(f"a compressed buffer of {length} bytes")
    claim: int = _LENGTH.unpack_from(body, offset)[0]
    if claim < -1:
        raise ValueError(f"a buffer of {claim} bytes")
    return length if claim == -1 else claim  # -1: this buffer was left as it was


def _offset(data: memoryview, at: int) -> int:
    return at + int(_COUNT.unpack_from(data, at)[0])


def _table(data: memoryview, at: int) -> int:
    if not at:
        raise ValueError("a header without a record batch")
    return _offset(data, at)


def _field(data: memoryview, table: int, index: int) -> int:
    """Return where field `index` of a table lies, 0 when it is absent."""
    vtable = table - int(_BACK.unpack_from(data, table)[0])
    if vtable < 0:
        raise ValueError("a table without a layout")
    size = struct.unpack_from("<H", data, vtable)[0]
    slot = 4 + 2 * index
    if slot + 2 > size:
        return 0
    relative = int(struct.unpack_from("<H", data, vtable + slot)[0])
    return table + relative if relative else 0
