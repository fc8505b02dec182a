"""`harness log gaps`: whatever recorders and sidecars reported missing, whose, why and how many."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.log.gaps import find, lines
from harness.log.log import Log
from tests.support.sidecars import ROOT

WRITER = "00000000-0000-0000-0000-000000000005"


def lost(log: Log, reason: str, count: int | None, **more: object) -> int:
    body = {"writer": WRITER, "decision_point": "shop.checkout", "reason": reason, "count": count}
    times = {"first": "2026-01-01T00:00:00.000000+00:00", "last": "2026-01-01T00:00:01.000000+00:00"}
    return log.control("recorder.loss", WRITER, body | times | more, actor="recorder:shop.checkout").position


@pytest.fixture
def told(fresh_log: Log) -> Log:
    """A log with four losses of two reasons and something that is none."""
    fresh_log.control("look.taken", "e", {"reason": "full", "count": 1_000})
    lost(fresh_log, "full", 7)
    lost(fresh_log, "full", 5)
    lost(fresh_log, "spool_rewound", None, sequences=[4, 6], frames=3)
    lost(fresh_log, "full", None, bytes=12)
    return fresh_log


def command(log: Log, *arguments: str) -> str:
    done = subprocess.run(
        [str(Path(sys.executable).with_name("harness")), "log", "gaps", *arguments],
        cwd=ROOT,
        env=os.environ | {"HARNESS_DATABASE_URL": log.url, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_loss_is_listed_and_summed_by_reason(told: Log) -> None:
    found = json.loads(command(told, "--json"))
    assert [gap["count"] for gap in found["gaps"]] == [7, 5, None, None]
    assert found["gaps"][2]["sequences"] == [4, 6]
    assert found["gaps"][2]["known"] == {"frames": 3}
    assert found["sums"] == [
        {"reason": "full", "gaps": 3, "events": 12, "uncounted": 1},
        {"reason": "spool_rewound", "gaps": 1, "events": 0, "uncounted": 1},
    ]
    assert (found["events"], found["uncounted"]) == (12, 2)
    text = command(told)
    assert "unknown  spool_rewound  shop.checkout" in text
    assert "sequences 4 to 6" in text
    assert text.endswith(
        "12 events are known to be missing from [1, 6), and 2 gaps whose events nobody can count.\n"
    )


def test_what_a_restore_lost_is_a_gap_that_nobody_can_count(fresh_log: Log) -> None:
    body = {"previous": 1, "epoch": 2, "after": 3}
    fresh_log.control("log.rewound", "log/e2", body | {"lost": {"first": 4, "last": 6}})
    fresh_log.control("log.rewound", "log/e2", body | {"lost": {"first": 4, "last": 3}})  # nothing was
    text = command(fresh_log)
    assert "unknown  log_rewound  epoch=1  first_position=4  last_position=6" in text
    assert text.endswith(
        "0 events are known to be missing from [1, 3), and 1 gaps whose events nobody can count.\n"
    )


def test_a_range_is_one_of_positions_or_of_times(told: Log) -> None:
    assert json.loads(command(told, "--json", "--from", "3", "--to", "4"))["events"] == 5
    between = told.controls()[1].recorded_at.isoformat()
    # Half-open, as everywhere: what was recorded at that instant is of what begins with it.
    assert json.loads(command(told, "--json", "--from", between))["events"] == 12
    assert json.loads(command(told, "--json", "--to", between))["events"] == 0
    after = told.controls()[2].recorded_at.isoformat()
    assert json.loads(command(told, "--json", "--from", between, "--to", after))["events"] == 7
    assert command(told, "--to", "2000-01-01T00:00:00Z").startswith("Nothing is known to be missing")


def test_what_a_service_wrote_cannot_break_or_steer_the_list(fresh_log: Log) -> None:
    hostile = {"count": True, "reason": "\x1b[2Jfull", "sequences": ["a"], "first": None, "x": {"\x07": 1}}
    fresh_log.control("recorder.loss", "w", hostile)
    fresh_log.control("recorder.loss", "w", {"count": -5})
    for odd in ({}, {"lost": 5}, {"lost": {"first": "\x1b", "last": 2}}):
        fresh_log.control("log.rewound", "w", odd)
    for odd in ({}, {"rejected": 5}, {"rejected": {"\x1b[2J" + "x" * 99: "many"}, "file": {"\x07": 1}}):
        fresh_log.control("import.completed", "w", odd)
    found = find(fresh_log.controls(), 1, 9)
    assert [gap.count for gap in found.gaps] == [None, None, None]
    assert all(line.isprintable() for line in lines(found))
