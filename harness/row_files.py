"""Rows as files for other tools: Parquet, CSV or JSON lines, a batch at a time, whole or not at all."""

import json
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import IO, Any, Final, Protocol

import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq

from harness.errors import UsageError
from harness.written import refused

_NO_NUMBER: Final = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
_AS_IS: Final = (pa.types.is_boolean, pa.types.is_integer, pa.types.is_floating, pa.types.is_string)
_AS_IS_TOO: Final = (pa.types.is_decimal, pa.types.is_timestamp, pa.types.is_date, pa.types.is_time)


class PathTaken(UsageError):  # noqa: N818 - as in harness.errors
    """Something is where rows should be written."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path} is there already.", "Expected a name that nothing has.", "Name another, or remove it."
        )
        self.path = path


class RowWriter(Protocol):
    """Writes batches of one schema. `close` ends the file and leaves it open for whoever opened it."""

    def write(self, batch: pa.RecordBatch) -> None:
        """Write the rows of a batch."""

    def close(self) -> None:
        """Write what comes after the last row."""


class ParquetRows(RowWriter):
    """Parquet with zstd."""

    def __init__(self, file: IO[bytes], schema: pa.Schema) -> None:
        for field in schema:
            if pa.types.is_interval(field.type) or pa.types.is_null(field.type):
                raise UsageError(
                    f'Column "{field.name}" is of type {field.type}, which Parquet has not.',
                    "Expected numbers, texts, times and lists of them.",
                    "Cast it, such as column::varchar.",
                )
        self._writer = pq.ParquetWriter(file, schema, compression="zstd")

    def write(self, batch: pa.RecordBatch) -> None:
        """Write the rows as a row group."""
        self._writer.write_batch(batch)

    def close(self) -> None:
        """Write the footer."""
        self._writer.close()


class CsvRows(RowWriter):
    """CSV with a header. Lists, structs and bytes are JSON text; nothing between two commas is null."""

    def __init__(self, file: IO[bytes], schema: pa.Schema) -> None:
        self._schema = pa.schema([(field.name, _csv_type(field.type)) for field in schema])
        self._writer = pc.CSVWriter(file, self._schema)

    def write(self, batch: pa.RecordBatch) -> None:
        """Write the rows."""
        columns = [
            column if column.type == field.type else pa.array(_texts(column), field.type)
            for column, field in zip(batch.columns, self._schema, strict=True)
        ]
        self._writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=self._schema))

    def close(self) -> None:
        """End the file."""
        self._writer.close()


class JsonRows(RowWriter):
    """One JSON object a line."""

    def __init__(self, file: IO[bytes], _schema: pa.Schema) -> None:
        self._file = file

    def write(self, batch: pa.RecordBatch) -> None:
        """Write the rows."""
        self._file.write("".join(f"{line}\n" for line in json_rows(batch)).encode())

    def close(self) -> None:
        """Nothing comes after the last row."""


FORMATS: Final[Mapping[str, Callable[[IO[bytes], pa.Schema], RowWriter]]] = {
    "parquet": ParquetRows,
    "csv": CsvRows,
    "jsonl": JsonRows,
}


def json_rows(batch: pa.RecordBatch) -> Iterator[str]:
    """Yield each row as one JSON object.

    >>> list(json_rows(pa.record_batch({"a": [float("nan"), 1.5], "b": [bytes([255]), None]})))
    ['{"a": "NaN", "b": "ff"}', '{"a": 1.5, "b": null}']
    """
    for row in batch.to_pylist():
        yield json.dumps(plain(row), ensure_ascii=False, allow_nan=False)


def plain(value: Any) -> Any:
    """Return a value of a row in JSON's own types: times as ISO 8601, bytes as hexadecimal."""
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, float):
        return value if math.isfinite(value) else _NO_NUMBER[repr(value)]
    return _number(value) if isinstance(value, Decimal) else _text(value)


def _number(value: Decimal) -> int | float | str:
    """Return a decimal as a number of JSON where it is one, else as text."""
    if value == value.to_integral_value():
        return int(value)
    return float(value) if Decimal(repr(float(value))) == value else str(value)


def _text(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return value.hex() if isinstance(value, bytes) else str(value)


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """Yield a file that is at `path` once the block ends, synced, and nowhere if it does not.

    Raises:
        PathTaken: something is there. NoRoom: the disk is full. FileUnwritable: anything else.
    """
    if path.exists():
        raise PathTaken(path)
    with _written(path), tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as beside:
        partial = Path(beside) / "rows"
        with partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.rename(path)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yield a folder that is at `path` once the block ends, and nowhere if it does not. As `whole_file`."""
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise PathTaken(path)
    with _written(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
        try:
            yield partial
            partial.chmod(0o755)  # mkdtemp keeps it to the owner; rows are for their readers
            if path.exists():
                path.rmdir()
            partial.rename(path)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def _written(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise refused(path, error) from error


def _csv_type(type_: pa.DataType) -> pa.DataType:
    return type_ if any(fits(type_) for fits in (*_AS_IS, *_AS_IS_TOO)) else pa.string()


def _texts(column: pa.Array) -> list[str | None]:
    values = (plain(value) for value in column.to_pylist())
    return [
        value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for value in values
    ]
