"""Decision points whose percent-encoded names no file system takes are sealed and exported like any other."""

import itertools
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.log.log import Log
from harness.log.point_names import file_name
from harness.log.seal import seal
from harness.log_export import Selection, export_log
from tests.support.batches import decisions, stored
from tests.support.filled import small_log, table

# 200 bytes is the most that a recorder takes. Encoded, the first two are 600 letters, alike up to the last.
POINTS = ("é" * 100, "é" * 99 + "ß", "%" * 200, "x" * 200, "..", ".", "_")


@pytest.fixture
def log(database_url: str, migrated: str, tmp_path: Path) -> Iterator[Log]:
    with small_log(database_url, migrated, tmp_path / "store") as log:
        yield log


def test_a_long_name_holds_up_no_seal_and_no_export(log: Log, tmp_path: Path) -> None:
    writer, sequence = uuid.uuid4(), itertools.count(1)
    for point in POINTS:
        log.append(stored(decisions(3, point=point), writer, next(sequence), point=point))
    end = log.head().position + 1
    before = {point: table(log.read(1, end, kind="decision", decision_point=point)) for point in POINTS}
    assert [segment.events for segment in seal(log)] == [end - 1]
    for point, rows in before.items():
        assert table(log.read(1, end, kind="decision", decision_point=point)).equals(rows)
    folders = {path.parent.parent.parent for path in (tmp_path / "store").glob("*/segments/*/*/*/*.parquet")}
    assert {folder.name for folder in folders} == {file_name(point) for point in POINTS}

    made = export_log(log, Selection(1, end, ("decision",)), tmp_path / "out", "parquet")
    assert {one["decision_point"]: one["rows"] for one in made["files"]} == dict.fromkeys(POINTS, 3)
    assert len({one["file"] for one in made["files"]}) == len(POINTS)


def test_names_that_were_short_enough_stay_where_they_are() -> None:
    assert file_name("fraud/eu") == "fraud%2Feu"
    assert file_name("é" * 40) == "%C3%A9" * 40  # 240
    assert file_name("x" * 200) == "x" * 200


@pytest.mark.parametrize("length", range(61, 101))
def test_a_cut_name_fits_and_is_no_other_points(length: int) -> None:
    for point in ("é" * length, "x" + "é" * length, "漢" * (length * 2 // 3)):
        name = file_name(point)
        assert 240 < len(name) <= 247
        bare, _, _ = name.partition("~")
        assert len(bare) % 3 == ("x" in point)  # whole escapes only
    assert file_name("é" * length) != file_name("é" * (length - 1) + "ß")
