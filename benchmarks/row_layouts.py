"""The same decisions as rows of a table: what appending batches is measured by.

Bare COPY in one transaction is the bound; the layouts with a unique id do what a log must do, one durable
commit for each batch of as many events.
"""

import time
from collections.abc import Sequence

import msgspec
import psycopg
import pyarrow as pa

BLOCK = 1_000
KINDS = {pa.float64(): "float8", pa.int64(): "int8", pa.string(): "text"}


def names_of(whole: pa.RecordBatch) -> list[str]:
    """Return the columns that a table has: the event's own ones first."""
    names = [name for name in whole.schema.names if name != "statuses"]
    return sorted(names, key=lambda name: name.startswith("f."))


def tuples(whole: pa.RecordBatch) -> list[bytes]:
    """Return the rows as COPY takes them, encoded beforehand, a thousand to a block."""
    values = [whole.column(name).to_pylist() for name in names_of(whole)]
    rows = [
        "\t".join("\\N" if cell is None else str(cell) for cell in cells) + "\n"
        for cells in zip(*values, strict=True)
    ]
    return ["".join(rows[at : at + BLOCK]).encode() for at in range(0, len(rows), BLOCK)]


def documents(whole: pa.RecordBatch) -> list[bytes]:
    """Return the rows as COPY takes an id and a JSON document, encoded beforehand, a thousand to a block."""
    encode = msgspec.json.Encoder().encode
    rows = [
        f"{row['decision_id']}\t{encode(row).decode()}\n".encode()
        for row in whole.select(names_of(whole)).to_pylist()
    ]
    return [b"".join(rows[at : at + BLOCK]) for at in range(0, len(rows), BLOCK)]


def typed(whole: pa.RecordBatch, unique: str = "") -> str:
    """Return the definition of a table with a column of its type for each of the rows'."""
    kinds = {name: KINDS.get(whole.schema.field(name).type, "timestamptz") for name in names_of(whole)}
    return ", ".join(
        f'"{name}" {kind}{" primary key" if name == unique else ""}' for name, kind in kinds.items()
    )


def copy(url: str, columns: str, blocks: Sequence[bytes], rows: int) -> float:
    """Return the rows per second of a bare COPY into an unlogged table without index, in one transaction."""
    return _rate(url, f"unlogged table public.bound ({columns})", [blocks], rows)


def copy_batches(url: str, columns: str, blocks: Sequence[bytes], rows: int, size: int) -> float:
    """Return the rows per second of COPY into a logged table, one durable commit for each `size` rows."""
    each = size // BLOCK
    batches = [blocks[at : at + each] for at in range(0, len(blocks), each)]
    return _rate(url, f"table public.bound ({columns})", batches, rows)


def _rate(url: str, definition: str, batches: Sequence[Sequence[bytes]], rows: int) -> float:
    with psycopg.connect(url) as connection:
        connection.execute("drop table if exists public.bound")
        connection.execute(f"create {definition}")
        connection.commit()
        began = time.perf_counter()
        for blocks in batches:
            with connection.cursor() as cursor, cursor.copy("copy public.bound from stdin") as door:
                for block in blocks:
                    door.write(block)
            connection.commit()
        return rows / (time.perf_counter() - began)


def copied(url: str, blocks: Sequence[bytes], rows: int) -> float:
    """Return the rows per second of COPY of one value a row: the cheapest form that a row can have."""
    with psycopg.connect(url) as connection:
        connection.execute("drop table if exists public.opaque")
        connection.execute("create unlogged table public.opaque (features bytea)")
        connection.commit()
        began = time.perf_counter()
        with (
            connection.cursor() as cursor,
            cursor.copy("copy public.opaque from stdin (format binary)") as door,
        ):
            door.write(b"PGCOPY\n\xff\r\n\0" + bytes(8))
            for block in blocks:
                door.write(block)
            door.write(b"\xff\xff")
        connection.commit()
        return rows / (time.perf_counter() - began)


def opaque(blocks: Sequence[bytes]) -> list[bytes]:
    """Return the rows of `tuples` in COPY's binary form, one bytea a row."""
    head = (1).to_bytes(2, "big")
    made = []
    for block in blocks:
        lines = block.splitlines()
        made.append(b"".join(head + len(line).to_bytes(4, "big") + line for line in lines))
    return made
