"""Schedules: which slot is due when, and what harness.toml may not say."""

import datetime as dt
from pathlib import Path

import pytest

from harness.config import Config
from harness.schedule_file import Schedule, read_schedules
from harness.strict_toml import TomlFileError


def at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


def schedule(**changed: object) -> Schedule:
    return Schedule(**{"name": "weekly", "job": "evaluate", "experiment": "late-1", **changed})  # type: ignore[arg-type]


SIX = at("2026-03-04T06:00:00Z")
MONDAYS = {"cron": "0 3 * * mon", "timezone": "Europe/Berlin"}


@pytest.mark.parametrize(
    ("keys", "now", "slot", "following"),
    [
        ({"every": "7d"}, "2026-03-04T05:00:00Z", "2026-03-02T00:00:00Z", "2026-03-09T00:00:00Z"),
        ({"every": "1h"}, "2026-03-04T05:00:00Z", "2026-03-04T05:00:00Z", "2026-03-04T06:00:00Z"),
        ({"every": "1d", "start": SIX}, "2026-03-04T05:00:00Z", None, "2026-03-04T06:00:00Z"),
        (MONDAYS, "2026-03-04T05:00:00Z", "2026-03-02T02:00:00Z", "2026-03-09T02:00:00Z"),
        ({"cron": "* * * * *"}, "2026-03-04T05:00:30Z", "2026-03-04T05:00:00Z", "2026-03-04T05:01:00Z"),
        ({"cron": "0 0 29 2 *"}, "2026-03-04T05:00:00Z", "2024-02-29T00:00:00Z", "2028-02-29T00:00:00Z"),
    ],
)  # fmt: skip
def test_the_newest_slot_and_the_next_one(
    keys: dict[str, object], now: str, slot: str | None, following: str
) -> None:
    each = schedule(**keys)
    assert each.slot(at(now)) == (None if slot is None else at(slot))
    assert each.next_slot(at(now)) == at(following)


def read(folder: Path, text: str) -> tuple[Schedule, ...]:
    (folder / "harness.toml").write_text(text)
    return read_schedules(Config.load(folder))


TABLE = '[[schedule]]\nname = "{name}"\njob = "evaluate"\nexperiment = "late-1"\n{rest}\n'


def test_schedules_are_read_in_order(tmp_path: Path) -> None:
    text = TABLE.format(name="a", rest='every = "7d"') + TABLE.format(name="b", rest='cron = "0 3 * * mon"')
    assert [each.name for each in read(tmp_path, text)] == ["a", "b"]


def test_no_file_means_no_schedule(tmp_path: Path) -> None:
    assert read_schedules(Config.load(tmp_path)) == ()


@pytest.mark.parametrize(
    ("rest", "words"),
    [
        ("", "neither is set"),
        ('every = "7d"\ncron = "0 3 * * *"', "both are set"),
        ('evry = "7d"', "'every'"),
        ('every = "weekly"', '"24h"'),
        ('cron = "0 3 * * 1"', "numbers its weekdays"),
        ('cron = "0 25 * * *"', "no cron expression"),
        ('cron = "hourly"', "no cron expression"),
        ('cron = "0 3 * * *"\ntimezone = "Mars/Olympus"', "unknown"),
        ('every = "7d"\nstart = 2026-03-01T00:00:00', "no offset"),
        ('every = "7d"\nexperiment_id = "x"', "experiment"),
    ],
)
def test_a_fault_is_named(tmp_path: Path, rest: str, words: str) -> None:
    with pytest.raises(TomlFileError) as caught:
        read(tmp_path, TABLE.format(name="a", rest=rest))
    assert words in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_name_stands_once(tmp_path: Path) -> None:
    with pytest.raises(TomlFileError, match="two schedules have this name"):
        read(tmp_path, 2 * TABLE.format(name="a", rest='every = "7d"'))
