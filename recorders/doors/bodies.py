"""Bodies: what inference servers take and answer, cut into one row a decision.

A row is a dict where the protocol has names, otherwise a list or a single value, as it was sent.
"""

import json
import math
from typing import Any, Final

import msgspec

from recorders.doors.errors import Unreadable

ROWS_MAX: Final = 65_536
DEPTH_MAX: Final = 500


def parse_json(data: bytes) -> Any:
    """Return the JSON value of a body. NaN and infinities are taken too: Python servers write them.

    Raises:
        Unreadable: it is not JSON, or nested too deep.
    """
    try:
        found = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        found = _with_infinities(data, error)
    if len(data) > DEPTH_MAX and data.count(b"[") + data.count(b"{") > DEPTH_MAX and _too_deep(found):
        raise Unreadable(f"it is not JSON that is taken (nested more than {DEPTH_MAX} deep)")
    return found


def opened_text(text: str) -> Any:
    """Return the JSON value that a text is; the text as it is where it is none that is taken.

    >>> opened_text('{"a":1}'), opened_text("{a}"), opened_text("[" * 501 + "]" * 501)[:2]
    ({'a': 1}, '{a}', '[[')
    """
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return text
    return text if text.count("[") + text.count("{") > DEPTH_MAX and _too_deep(found) else found


def _with_infinities(data: bytes, refused: Exception) -> Any:
    """Return the value of JSON with NaN or infinities, for which it was refused."""
    if b"NaN" not in data and b"Infinity" not in data:
        raise Unreadable(f"it is not JSON ({refused})") from refused
    try:
        found = json.loads(data.decode())
        if b"\\u" in data:  # half of a surrogate pair passes here, and nothing that comes later can write it
            json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"it is not JSON ({error})") from error
    return found


def _too_deep(value: Any) -> bool:
    """Whether a value is nested more than DEPTH_MAX deep. Where its text opens fewer brackets, it is not.

    How deep a parser goes depends on the Python: 3.13 reads what nothing that comes later can walk through.
    """
    level = [value]
    for _ in range(DEPTH_MAX):
        inside = (one.values() if type(one) is dict else one for one in level if type(one) in (dict, list))
        level = [child for children in inside for child in children if type(child) in (dict, list)]
        if not level:
            return False
    return True


def rows_of(body: Any) -> list[Any]:
    """Return the rows of a request or a response, by its shape.

    Known are the V1 protocol (`instances`, `predictions`), V2 / Open Inference (`inputs`, `outputs` of
    tensors), Seldon's `data`, `jsonData` and `strData`, MLflow's `dataframe_split` and `dataframe_records`.
    Any other list is rows, anything else is one row.

    Raises:
        Unreadable: a tensor that is not of its shape, or more than 65,536 rows.

    >>> rows_of({"outputs": [{"name": "p", "shape": [2, 1], "datatype": "FP32", "data": [0.1, 0.9]}]})
    [{'p': 0.1}, {'p': 0.9}]
    >>> rows_of({"amount": 3})
    [{'amount': 3}]
    """
    rows = _named_rows(body) if type(body) is dict else None
    while rows is None and type(body) is dict and "jsonData" in body:  # as often as a stranger likes
        body = body["jsonData"]
        rows = _named_rows(body) if type(body) is dict else None
    if rows is None:
        rows = body if type(body) is list else [body]
    if len(rows) > ROWS_MAX:
        raise Unreadable(f"it holds {len(rows)} rows, {ROWS_MAX} are taken", reason="size")
    return rows


def _named_rows(body: dict[str, Any]) -> list[Any] | None:
    for key in ("instances", "predictions", "dataframe_records"):
        if key in body:
            return body[key] if type(body[key]) is list else [body[key]]
    for key in ("inputs", "outputs"):
        if key in body:
            return _v2(body[key]) if _tensors(body[key]) else _columns(body[key])
    if type(body.get("dataframe_split")) is dict:
        split = body["dataframe_split"]
        return _named(split.get("columns"), split.get("data"))
    return _seldon(body)


def _tensors(value: Any) -> bool:
    return type(value) is list and bool(value) and all(type(t) is dict and "shape" in t for t in value)


def _v2(tensors: list[dict[str, Any]]) -> list[Any]:
    columns = [(tensor.get("name"), _split(tensor)) for tensor in tensors]
    sizes = {len(values) for _, values in columns}
    if len(sizes) != 1 or not all(type(name) is str for name, _ in columns):
        raise Unreadable("its tensors have no names, or differ in their first dimension")
    return [dict(zip([name for name, _ in columns], row, strict=True)) for row in _transposed(columns)]


def _transposed(columns: list[tuple[Any, list[Any]]]) -> Any:
    return zip(*(values for _, values in columns), strict=True)


def _split(tensor: dict[str, Any]) -> list[Any]:
    """Return the tensor's values by its first dimension; one value alone stands without a list."""
    shape, data = tensor["shape"], tensor.get("data")
    if type(shape) is not list or not shape or type(data) is not list:
        raise Unreadable("a tensor has no shape or no data")
    if not all(type(size) is int and size >= 0 for size in shape):
        raise Unreadable(f"a tensor has the shape {str(shape)[:60]}")
    flat = _flat(data)
    each = math.prod(shape[1:])
    if shape[0] * each != len(flat) or shape[0] > ROWS_MAX:
        raise Unreadable(f"a tensor of shape {str(shape)[:60]} holds {len(flat)} values")
    if each == 1:
        return flat
    return [flat[start : start + each] for start in range(0, len(flat), each)] if each else [[]] * shape[0]


def _flat(data: list[Any]) -> list[Any]:
    while data and type(data[0]) is list:
        if not all(type(row) is list for row in data):
            raise Unreadable("a tensor's data is ragged")
        data = [value for row in data for value in row]
    return data


def _columns(value: Any) -> list[Any]:
    """Return the rows of TensorFlow's and MLflow's column form: one list, or lists by name."""
    if type(value) is not dict:
        return value if type(value) is list else [value]
    columns = [(name, values if type(values) is list else [values]) for name, values in value.items()]
    if len({len(values) for _, values in columns}) > 1:
        raise Unreadable("its columns differ in length")
    return [dict(zip(value, row, strict=True)) for row in _transposed(columns)]


def _seldon(message: dict[str, Any]) -> list[Any] | None:
    if "jsonData" in message:
        return None
    if type(message.get("strData")) is str:
        return [message["strData"]]
    data = message.get("data")
    if type(data) is not dict:
        return None
    if type(data.get("tensor")) is dict:
        tensor = data["tensor"]
        matrix = _split({"shape": tensor.get("shape"), "data": tensor.get("values")})
        return _named(data.get("names"), [row if type(row) is list else [row] for row in matrix])
    if "ndarray" in data:
        return _named(data.get("names"), data["ndarray"])
    raise Unreadable("Seldon's data is neither an ndarray nor a tensor")


def _named(names: Any, rows: Any) -> list[Any]:
    """Return each row as a dict where there are as many names as values, else as it is."""
    if type(rows) is not list:
        raise Unreadable("its rows are no list")
    if type(names) is not list or not names or not all(type(name) is str for name in names):
        return rows
    fitting = all(type(row) is list and len(row) == len(names) for row in rows)
    return [dict(zip(names, row, strict=True)) for row in rows] if fitting else rows
