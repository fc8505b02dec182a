"""Captures: files that inference servers and platforms leave behind, as documents one after another."""

import base64
import binascii
import csv
import gzip
import io
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

from recorders.doors.bodies import parse_json, rows_of
from recorders.doors.casts import Cell
from recorders.doors.csv_rows import CsvRow, csv_rows
from recorders.doors.errors import FileUnreadable, Unreadable
from recorders.errors import InvalidEvent
from recorders.values import instant_us

LINE_BYTES_MAX: Final = 16 * 2**20
# The forms that files of a source have. What is not named here comes over HTTP.
FORMS: Final[Mapping[str, tuple[str, ...]]] = {
    "lines": ("JSON lines", "CSV", "Parquet"),
    "table": ("CSV", "Parquet", "JSON lines"),
    "sagemaker": ("JSON lines",),
    "bentoml": ("JSON lines",),
    "inference-table": ("Parquet",),
}
_BOM: Final = b"\xef\xbb\xbf"
_ROWS: Final = 4_096
_OK: Final = 200


class Entry(NamedTuple):
    """A document of a file, `row` numbering those of one request, or what was wrong in its place."""

    place: str
    document: dict[str, Any]
    row: int = 0
    error: InvalidEvent | None = None


def read(path: Path, source: str) -> Iterator[Entry]:
    """Yield what a file holds; its form follows from `source` and the name. Gzip is told by `.gz`.

    A line that cannot be read is an entry with its error; the next ones are read all the same.

    Raises:
        FileUnreadable: the file itself cannot be read, or is none of this source.
    """
    form = {".parquet": "Parquet", ".csv": "CSV"}.get(suffix(path), "JSON lines")
    if source not in FORMS:
        raise FileUnreadable(path, f"{source} comes over HTTP; files are of {', '.join(FORMS)}")
    if form not in FORMS[source]:
        raise FileUnreadable(path, f"by its name it is {form}; files of {source} are {FORMS[source][0]}")
    try:
        if form == "Parquet":
            yield from _parquet(path, source)
        elif form == "CSV":
            yield from _csv(path)
        else:
            yield from _lines(path, _LINE_FORMS.get(source, _plain))
    except (OSError, EOFError, zlib.error) as error:
        raise FileUnreadable(path, str(error)) from error


def suffix(path: Path) -> str:
    """Return what a file's name says of its form, unpacked: ".csv", ".parquet"."""
    return path.with_suffix("").suffix.lower() if path.suffix == ".gz" else path.suffix.lower()


def opened(path: Path) -> IO[bytes]:
    """Return the bytes of a file, unpacked."""
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")  # type: ignore[return-value]  # bytes


Form = Callable[[dict[str, Any]], list[tuple[dict[str, Any], int]]]


def _lines(path: Path, make: Callable[[], Form]) -> Iterator[Entry]:
    form = make()
    with opened(path) as stream:
        number = 0
        while line := stream.readline(LINE_BYTES_MAX):
            number += 1
            if len(line) == LINE_BYTES_MAX:
                raise FileUnreadable(path, f"line {number} is longer than {LINE_BYTES_MAX} bytes")
            line = line.removeprefix(_BOM) if number == 1 else line  # as Windows writes it
            if line.strip():
                yield from _entries(f"line {number}", line, form)


def _entries(place: str, line: bytes, form: Form) -> Iterator[Entry]:
    try:
        document = parse_json(line)
        if type(document) is not dict:
            raise Unreadable("a line is an object")
        found = form(document)
    except InvalidEvent as error:
        yield Entry(place, {}, 0, error)
    else:
        for row_document, row in found:
            yield Entry(place, row_document, row)


def _plain() -> Form:
    return lambda document: [(document, 0)]


def _bentoml() -> Form:
    """Number the records of one request: BentoML gives each the request's id, one after the other."""
    last, row = "", 0

    def form(document: dict[str, Any]) -> list[tuple[dict[str, Any], int]]:
        nonlocal last, row
        request = str(document.get("request_id", ""))
        row = row + 1 if request and request == last else 0
        last = request
        return [(document, row)]

    return form


def _sagemaker() -> Form:
    return sagemaker


def sagemaker(line: dict[str, Any]) -> list[tuple[dict[str, Any], int]]:
    """Return the documents of a Data Capture line: `event`, `input`, `output`, `request`, `response`.

    Raises:
        Unreadable: it is no such line, or its halves have different numbers of rows.
    """
    captured, event = line.get("captureData"), line.get("eventMetadata")
    if type(captured) is not dict or type(event) is not dict:
        raise Unreadable("the line has no captureData or no eventMetadata")
    asked, request = _side(captured.get("endpointInput"))
    answered, response = _side(captured.get("endpointOutput"))
    if len(asked) > 1 and len(answered) == 1 and type(answered[0]) is list:
        answered = answered[0]  # built-in algorithms answer many rows in one line
    inputs: list[Any] = asked or [None] * len(answered)
    outputs: list[Any] = answered or [None] * len(inputs)
    if len(inputs) != len(outputs):
        raise Unreadable(f"{len(inputs)} rows were asked, {len(outputs)} answered", reason="rows")
    base = {"event": event, "request": request, "response": response}
    return [
        (base | {"input": given, "output": _single(found)}, row)
        for row, (given, found) in enumerate(zip(inputs, outputs, strict=True))
    ]


def _single(row: Any) -> Any:
    return row[0] if type(row) is list and len(row) == 1 else row


def _side(half: Any) -> tuple[list[Any], Any]:
    if type(half) is not dict or "data" not in half:
        return [], None
    data, encoding = half["data"], half.get("encoding")
    if type(data) is not str:
        return rows_of(data), data
    if encoding == "BASE64":
        try:
            data = base64.b64decode(data, validate=True).decode()
        except (binascii.Error, ValueError) as error:
            raise Unreadable(f"the data is not base64 of text ({error})") from error
    kind = str(half.get("observedContentType", ""))
    if encoding == "CSV" or (encoding == "BASE64" and "csv" in kind):
        rows: list[Any] = [
            [Cell(cell.strip()) for cell in cells] for cells in csv.reader(io.StringIO(data)) if cells
        ]
        return rows, data
    body = parse_json(data.encode())
    return rows_of(body), body


_LINE_FORMS: Final[Mapping[str, Callable[[], Form]]] = {"bentoml": _bentoml, "sagemaker": _sagemaker}


def _csv(path: Path) -> Iterator[Entry]:
    with (
        opened(path) as binary,
        io.TextIOWrapper(binary, encoding="utf-8-sig", errors="surrogateescape", newline="") as stream,
    ):
        rows = csv_rows(stream, path)
        names = _header(next(rows, CsvRow(1, 1)), path)
        for row in rows:
            if not row.cells and not row.fault:
                continue
            fault = row.fault
            if not fault and len(row.cells) != len(names):
                fault = f"it has {len(row.cells)} cells, its header has {len(names)}"
            if fault:
                yield Entry(row.place, {}, 0, Unreadable(fault))
                continue
            # An empty cell is not there: CSV has no other way to say so.
            filled = {name: Cell(cell) for name, cell in zip(names, row.cells, strict=True) if cell}
            yield Entry(row.place, filled)


def _header(row: CsvRow, path: Path) -> list[str]:
    names = row.cells
    if row.fault or not any(names):
        raise FileUnreadable(path, f"its header cannot be used: {row.fault or 'there is none'}")
    if len(names) == 1 and (other := next((mark for mark in ";\t|" if mark in names[0]), "")):
        raise FileUnreadable(
            path, f"its header has one cell with {other!r} in it; cells stand between commas"
        )
    _check_once(names, path)
    return names


def _check_once(names: list[str], path: Path) -> None:
    twice = sorted(name for name, times in Counter(names).items() if times > 1)
    if twice:
        raise FileUnreadable(path, f"more than one column is named {twice[0]!r}")


def _parquet(path: Path, source: str) -> Iterator[Entry]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            _check_once(file.schema_arrow.names, path)
            number = 0
            for batch in file.iter_batches(batch_size=_ROWS, use_threads=False):
                batch.validate(full=True)
                for document in batch.to_pylist():
                    number += 1
                    if source == "inference-table":
                        yield from _inference(f"row {number}", document)
                    else:
                        yield Entry(f"row {number}", document)
    except pa.ArrowException as error:
        raise FileUnreadable(path, f"it is no Parquet that can be read ({error})") from error


def _inference(place: str, row: dict[str, Any]) -> Iterator[Entry]:
    try:
        found = inference_rows(row)
    except InvalidEvent as error:
        yield Entry(place, {}, 0, error)
        return
    for number, document in enumerate(found):
        yield Entry(place, document, number)


def inference_rows(row: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the documents of a row of a Databricks or MLflow inference table.

    Each has the row's columns, with the JSON of `request` and `response` parsed, and `input`, `output`,
    `time_us`, `latency_us`. Both forms of the table are known: `timestamp_ms`, `execution_time_ms`, and since
    the AI gateway `request_time`, `execution_duration_ms`.

    Raises:
        Unreadable: the request failed (reason `failed_request`), JSON that cannot be read, or a response with
            another number of rows than its request.
    """
    status = row.get("status_code")
    if status not in (None, _OK):
        raise Unreadable(f"the request was answered with status {status}", reason="failed_request")
    base = dict(row)
    for key in ("request", "response"):
        if type(base.get(key)) is str:
            base[key] = parse_json(base[key].encode("utf-8", "surrogatepass"))
    asked_at = row.get("request_time")
    if isinstance(asked_at, datetime):
        # Spark writes instants without a zone as UTC.
        base["time_us"] = instant_us(
            "request_time", asked_at if asked_at.tzinfo else asked_at.replace(tzinfo=UTC)
        )
    elif isinstance(row.get("timestamp_ms"), int):
        base["time_us"] = row["timestamp_ms"] * 1000
    took = row.get("execution_duration_ms", row.get("execution_time_ms"))
    if isinstance(took, int | float) and took >= 0:
        base["latency_us"] = round(took * 1000)
    inputs, outputs = rows_of(base.get("request")), rows_of(base.get("response"))
    if len(inputs) != len(outputs):
        raise Unreadable(f"{len(inputs)} rows were asked, {len(outputs)} answered", reason="rows")
    return [base | {"input": given, "output": found} for given, found in zip(inputs, outputs, strict=True)]
