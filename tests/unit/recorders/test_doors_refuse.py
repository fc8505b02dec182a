"""What the doors refuse, under which reason, and what pairing does when halves do not meet."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recorders.doors import cloudevents
from recorders.doors.bodies import parse_json, rows_of
from recorders.doors.captures import read
from recorders.doors.casts import Cell, cast_for
from recorders.doors.cloudevents import CloudEvent
from recorders.doors.errors import FileUnreadable, MappingError, Unreadable
from recorders.doors.mapping import Mapping
from recorders.doors.pairing import Bounds, Half, Pair, PairingTable, documents, half_of
from recorders.doors.paths import compile_path
from recorders.doors.router import Router
from recorders.errors import InvalidEvent

MAPPING = """
source = "lines"
decision_point = "shop.fraud"
[feature_set]
name = "fraud"
version = 1
fields = [{ name = "amount", type = "float64" }]
"""


def half(key: str, side: str = "request", at: float = 0.0, data: bytes = b"{}") -> Half:
    attributes = {"id": key, "time": "2026-05-04T00:00:00Z"}
    size = len(data) + len(key) + len("2026-05-04T00:00:00Z")
    return Half(key, side, at, "kserve", attributes, data, size)  # type: ignore[arg-type]


@pytest.mark.parametrize("path", ["", ".", "a..b", "a[", "a[x]", 'a["b]', "[99999999]", "a]"])
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(MappingError, match="is no path"):
        compile_path(path)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('sorce = "lines"', "Did you mean 'source'"),
        ('source = "kserv"', "Did you mean 'kserve'"),
        ('[decision]\nscoer = "a"', "Did you mean 'score'"),
        ('[decision]\noccurred_at = { path = "t", unit = "msec" }', "Did you mean 'ms'"),
        ('zone = "Europe/Berlim"', "Did you mean 'Europe/Berlin'"),
        ('[fields]\namuont = "a"', "Did you mean 'amount'"),
        ('[outcome]\nvalue = "paid"', "has no 'label'"),
        ("decision_point = 3", "Expected `str`"),
        ('decision_point = ""', "1 to 200 bytes"),
        ('decision_point = "shop\\nfraud"', "without control characters"),
        ('zone = "../../etc/passwd"', "name of a time zone"),
        ('match = { "a..b" = "x" }', "is no path"),
        ("match = { kind = 7 }", "[match] kind cannot be used"),
        ("[fields]\namount = 7", "[fields] amount cannot be used"),
        ('[fields]\namount = ["a", 7]', "[fields] amount cannot be used"),
        ('[fields]\namount = "a..b"', "is no path"),
        ("[fields]\namount = {}", "[fields] amount names nothing"),
        ("[fields]\namount = []", "[fields] amount names nothing"),
        ("[decision]\nmodel = { value = 2026-01-01 }", "[decision] model cannot be used"),
        ("[outcome]\nlabel = { valeu = 1 }", "[outcome] label cannot be used"),
    ],
)
def test_a_mapping_says_what_is_wrong_with_it(line: str, told: str) -> None:
    head, _, rest = MAPPING.partition("[feature_set]")
    key = line.partition(" ")[0]
    kept = "\n".join(one for one in head.splitlines() if not one.startswith(key))
    text = (
        f"{kept}\n[feature_set]{rest}\n{line}" if line[0] == "[" else f"{line}\n{kept}\n[feature_set]{rest}"
    )
    with pytest.raises(MappingError, match=None) as caught:
        Mapping.from_toml(text)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "missing required field `source`"),
        (bytes(range(256)), "cannot be read"),
        (b"source: table\n", "not TOML"),
        (b"x = " + b"[" * 20_000 + b"]" * 20_000, "not TOML"),
        (b"# " + b"x" * 50 * 2**20, "longer than"),
        (b"[fields]\n" + b"a." * 20_000 + b'a = "x"\n', "Line 2 of the mapping has 20,000 dots"),
        (MAPPING.encode() + b'[fields]\namount = "a..b"\n', "is no path"),
        (b'source = "lines"\ndecision_point = "p"\nfeature_set = "none.toml"\n', "none.toml"),
        (b'source = "lines"\ndecision_point = "p"\nfeature_set = "m.toml"\n', "unknown key 'source'"),
    ],
    ids=["empty", "binary", "yaml", "deep", "50 MB", "dots", "path", "no set", "its own set"],
)
def test_a_mapping_that_cannot_be_used_is_named_by_its_file(data: bytes, told: str, tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_bytes(data)
    with pytest.raises(MappingError) as caught:
        Mapping.from_toml(tmp_path / "m.toml")
    assert str(caught.value).startswith(f"{tmp_path / 'm.toml'}: ")
    assert told in str(caught.value)


def test_two_mappings_with_one_meaning_have_one_digest() -> None:
    explicit = MAPPING.replace("[feature_set]", '[decision]\nscore = "score"\n[feature_set]')
    assert Mapping.from_toml(MAPPING).digest == Mapping.from_toml(explicit).digest
    other = MAPPING.replace("[feature_set]", '[decision]\nscore = "points"\n[feature_set]')
    assert Mapping.from_toml(MAPPING).digest != Mapping.from_toml(other).digest


@pytest.mark.parametrize(
    ("kind", "unit", "value", "kept"),
    [
        ("instant", "ms", 1_777_888_800_123, 1_777_888_800_123_000),
        ("instant", "ns", 1_777_888_800_123_456_789, 1_777_888_800_123_456),
        ("instant", "s", 1_777_888_800.25, 1_777_888_800_250_000),
        ("instant", "s", Cell("1777888800"), 1_777_888_800_000_000),
        ("instant", "", "2026-05-04T10:00:00.1234569Z", 1_777_888_800_123_456),
        ("int64", "", 3.5, 3.5),  # the event encoder says why not
        ("int64", "", Cell("9007199254740993"), 9_007_199_254_740_993),
        ("int64", "", Cell("9007199254740993.0"), 9_007_199_254_740_993),
        ("int64", "", Cell("-1.2e3"), -1_200),
        ("float64", "", Cell("-inf"), -float("inf")),
        ("instant", "s", Cell("1777888800.25"), 1_777_888_800_250_000),
        ("bool", "", 1.0, True),
        ("bool", "", Cell("FALSE"), False),
        ("float64", "", 2**60, 2**60),  # an int that only the patient encoder may judge
        ("text", "", 1.0, "1"),
    ],
)
def test_a_cast_keeps_the_value(kind: str, unit: str, value: object, kept: object) -> None:
    assert cast_for("x", kind, unit)(value) == kept


@pytest.mark.parametrize(
    ("kind", "unit", "value"),
    [
        ("instant", "", 17),
        ("instant", "s", 1e300),
        ("instant", "s", float("nan")),
        ("instant", "", "yesterday"),
        ("instant", "", "2026-05-04T10:00:00"),
        ("instant", "s", True),
        ("bool", "", 2),
        ("bool", "", "yes"),
        ("float64", "", Cell("1,5")),
        ("float64", "", Cell("1e999")),
        ("int64", "", Cell("1_000")),
        ("int64", "", Cell("1.0000000000000000001")),
        ("int64", "", Cell("1e999999999")),
        ("int64", "", Cell("nan")),
        ("text", "", [1]),
        ("bytes", "", "no base64!"),
    ],
)
def test_a_cast_refuses(kind: str, unit: str, value: object) -> None:
    with pytest.raises(InvalidEvent):
        cast_for("x", kind, unit)(value)


@pytest.mark.parametrize("kind", ["instant", "timestamp", "bool", "bytes", "int64", "float64"])
def test_what_a_cell_holds_is_shown(kind: str) -> None:
    with pytest.raises(InvalidEvent, match=r"x holds '30\.2\.2026' \(str\)"):
        cast_for("x", kind)(Cell("30.2.2026"))


@pytest.mark.parametrize(
    "body",
    [
        {"inputs": [{"name": "a", "shape": [2], "datatype": "FP32", "data": [1]}]},
        {"inputs": [{"name": "a", "shape": [10**9], "datatype": "FP32", "data": []}]},
        {"inputs": [{"name": "a", "shape": [-1], "datatype": "FP32", "data": []}]},
        {"inputs": [{"name": "a", "shape": [1], "data": [1]}, {"name": "b", "shape": [2], "data": [1, 2]}]},
        {"inputs": [{"shape": [1], "data": [1]}]},
        {"inputs": {"a": [1], "b": [1, 2]}},
        {"data": {}},
        {"data": {"tensor": {"shape": [2, 2], "values": [1, 2, 3]}}},
        {"instances": [0] * 65_537},
    ],
)
def test_a_body_that_contradicts_itself_is_refused(body: object) -> None:
    with pytest.raises(Unreadable):
        rows_of(body)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[" * 100_000, b'{"a": NaN', b"[" * 100_000 + b"NaN"])
def test_what_is_no_json_is_refused(data: bytes) -> None:
    with pytest.raises(Unreadable):
        parse_json(data)


def test_halves_wait_in_both_orders_and_come_once() -> None:
    table = PairingTable()
    assert table.offer(half("a", "response"), 0.0) is None
    assert table.offer(half("a", "response"), 0.0) is None
    pair = table.offer(half("a"), 0.0)
    assert pair is not None
    assert pair.request is not None
    assert pair.response is not None
    assert table.offer(half("a", "response"), 0.0) is None
    assert dict(table.counts) == {"duplicate": 2, "paired": 1}
    assert (len(table), table.waiting_bytes) == (0, 0)


def test_a_half_goes_out_alone_when_its_time_is_over() -> None:
    table = PairingTable(Bounds(wait_s=10.0))
    table.offer(half("a", at=0.0), 0.0)
    table.offer(half("b", "response", at=5.0), 5.0)
    assert table.due(9.9) == []
    assert [pair.key for pair in table.due(10.0)] == ["a"]
    assert [pair.key for pair in table.due(15.0)] == ["b"]
    assert dict(table.counts) == {"unmatched_request": 1, "unmatched_response": 1, "crowded": 0}


def test_a_half_that_comes_too_late_is_kept_too() -> None:
    table = PairingTable(Bounds(wait_s=10.0))
    table.offer(half("a"), 0.0)
    assert [pair.response for pair in table.due(10.0)] == [None]
    assert table.offer(half("a", at=11.0), 11.0) is None
    late = half("a", "response", at=11.0)
    assert table.offer(late, 11.0) is None
    assert table.due(21.0) == [Pair(None, late, 11.0)]
    assert table.offer(late, 11.0) is None
    assert dict(table.counts) == {
        "unmatched_request": 1, "unmatched_response": 1, "crowded": 0, "duplicate": 2,
    }  # fmt: skip


def test_the_table_is_bounded_in_number_and_bytes_and_loses_nothing() -> None:
    table = PairingTable(Bounds(wait_s=1e9, halves=2, data_bytes=2_000))
    for name in "abcd":
        table.offer(half(name), 0.0)
    assert [pair.key for pair in table.due(1.0)] == ["a", "b"]
    table.offer(half("big", data=b"x" * 1_970), 0.0)
    assert [pair.key for pair in table.due(1.0)] == ["c", "d"]
    assert table.counts["crowded"] == 4
    assert len(table) == 1


def test_what_could_not_be_kept_waits_again() -> None:
    table = PairingTable(Bounds(wait_s=10.0))
    first, second = half("a"), half("a", "response")
    table.offer(first, 0.0)
    pair = table.offer(second, 0.0)
    assert pair is not None
    table.put_back(pair, arrived=second)
    assert (len(table), table.counts["paired"]) == (1, 0)
    assert table.offer(second, 0.0) == pair
    table.offer(half("b"), 0.0)
    (alone,) = table.due(60.0)
    table.put_back(alone, arrived=None)
    assert table.due(60.0) == [alone]
    assert table.counts["unmatched_request"] == 1


def test_a_half_that_could_not_be_kept_is_as_if_it_never_came() -> None:
    table = PairingTable()
    first = half("a")
    table.offer(first, 0.0)
    table.withdraw(first)
    assert (len(table), table.waiting_bytes) == (0, 0)
    assert table.offer(half("a"), 0.0) is None
    assert table.counts["duplicate"] == 0


def test_a_response_with_other_rows_than_its_request_is_refused() -> None:
    table = PairingTable()
    table.offer(half("a", data=b'{"instances": [[1], [2]]}'), 0.0)
    pair = table.offer(half("a", "response", data=b'{"predictions": [1]}'), 0.0)
    assert pair is not None
    with pytest.raises(Unreadable, match="2 rows were asked, 1 answered"):
        documents(pair)


@pytest.mark.parametrize("value", [["x"] * 1000, {"a": 1}, "x" * 70_000])
def test_attributes_are_scalars_and_bounded(value: object) -> None:
    event = {"id": "1", "source": "s", "type": "t", "specversion": "1.0", "ext": value}
    with pytest.raises(Unreadable):
        cloudevents.read(cloudevents.STRUCTURED, {}, json.dumps(event).encode())


def test_seldon_without_its_request_id_is_refused() -> None:
    attributes = {"type": "io.seldon.serving.inference.request", "id": "1", "source": "s"}
    with pytest.raises(Unreadable, match="requestid"):
        half_of(CloudEvent(attributes, b"{}", 2), 0.0)


def test_a_document_that_no_mapping_is_for_is_named() -> None:
    router = Router(
        [Mapping.from_toml(MAPPING.replace("[feature_set]", '[match]\nkind = "a"\n[feature_set]'))]
    )
    with pytest.raises(InvalidEvent, match="No mapping") as caught:
        router.document("lines", {"kind": "b", "amount": 1.0})
    assert caught.value.reason == "unmapped"


def test_files_that_are_not_what_they_say(tmp_path: Path) -> None:
    for name, data in [
        ("a.parquet", b"PAR1 no"),
        ("a.csv", b"\xff\xfea,b\n1,1\n"),
        ("a.csv", b""),
        ("a.csv", b"a,a\n1,1\n"),
        ("a.csv", b'a,b\n1,1\n2,"x\n3,4\n5,6\n'),
        ("a.jsonl.gz", b"no gzip"),
    ]:
        (tmp_path / name).write_bytes(data)
        with pytest.raises(FileUnreadable):
            list(read(tmp_path / name, "table"))
    with pytest.raises(FileUnreadable):
        list(read(tmp_path / "absent.csv", "table"))
    pq.write_table(pa.table([[1], [2]], names=["a", "a"]), tmp_path / "b.parquet")
    with pytest.raises(FileUnreadable, match="more than one column"):
        list(read(tmp_path / "b.parquet", "table"))


@pytest.mark.parametrize(
    ("source", "name", "told"),
    [
        ("kserve", "a.jsonl", "comes over HTTP"),
        ("otlp", "a.csv", "comes over HTTP"),
        ("sagemaker", "a.csv", "files of sagemaker are JSON lines"),
        ("bentoml", "a.parquet", "files of bentoml are JSON lines"),
        ("inference-table", "a.csv", "files of inference-table are Parquet"),
    ],
)
def test_a_file_that_its_source_never_writes_is_refused_whole(
    source: str, name: str, told: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text("a,b\n1,2\n")
    with pytest.raises(FileUnreadable, match=told):
        list(read(tmp_path / name, source))


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (b"2,3,4", "3 cells"),
        (b"2,\xff", "not UTF-8"),
        (b"2," + b"x" * 200_000, "field limit"),
        (b'"2\n3\n4"', "1 cells"),
    ],
)
def test_one_broken_row_is_named_and_the_others_are_read(row: bytes, told: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"a,b\n1,x\n" + row + b"\n3,y\n")
    first, broken, last = read(tmp_path / "a.csv", "table")
    assert (first.document, last.document) == ({"a": "1", "b": "x"}, {"a": "3", "b": "y"})
    assert broken.place == ("lines 3 to 5" if b"\n" in row else "line 3")
    assert told in str(broken.error)


def test_a_last_line_that_is_torn_within_quotes_is_no_row(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b'a,b\n1,5" pipe\n2,"a\nb"\n3,"ab')
    first, second, torn = read(tmp_path / "a.csv", "table")
    assert (first.document["b"], second.document["b"]) == ('5" pipe', "a\nb")
    assert "does not end" in str(torn.error)


def test_lines_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'\xef\xbb\xbf{"a": 1}\n{"a": 2}\n')
    assert [entry.document for entry in read(tmp_path / "a.jsonl", "lines")] == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize("deep", [b"[" * 501 + b"]" * 501, b'{"a":' * 501 + b"1" + b"}" * 501])
def test_what_is_nested_too_deep_is_refused_whatever_this_python_could_read(deep: bytes) -> None:
    with pytest.raises(Unreadable, match="500 deep"):
        parse_json(deep)
    assert len(parse_json(b"[" + b",".join([b"[[]]"] * 1_000) + b"]")) == 1_000
