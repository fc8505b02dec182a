"""The flights of the demo: a tail that was killed on the way has the scores of a replay, to the bit.

The suite takes one flight in fifty; `python -m tests.process.test_tail_flights` takes all, in some minutes,
and a number as its argument one in so many.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import pytest

from harness.database import create_log
from harness.demo import calendar as days
from harness.demo import models, trials
from harness.demo.flights import build_requests, load_tables
from harness.demo.folder import packaged, prepare
from harness.demo.run import CHAMPION, LIMITS
from harness.demo.stream import Service
from harness.log.log import Log
from harness.models import add_model, get_model, open_registered
from harness.replays import read_scores
from recorders.fields import FeatureSet
from recorders.inprocess import InProcessLink
from recorders.recorder import Recorder
from replay.digest import canonical_digest
from tests.support import servers
from tests.support.command_line import CLEAN, HARNESS, ROOT

pytest.importorskip("sklearn")

CHALLENGER, TWIN = "late-gbm:1", "late-gbm-twin:1"
# The same file and answers under another URI: what another model has scored is not scored again.
TWIN_URI = trials.URI.replace("&class=1", "").format(file="late-gbm-1.skops")
# Of the 61 days of May and June the first are followed, then nobody follows, then somebody does again.
FOLLOWED, ALONE = 20, 10
WAIT_S = 600.0


class Flown(NamedTuple):
    """What was decided in May and June, and the digests of what tail and replay say of it."""

    decisions: int
    at_kill: int
    stored: int
    tail: str
    replay: str
    replayed: int


def flown(log: Log, folder: Path, sample: int) -> Flown:
    """Let May and June go by while a worker follows; it is killed once. Then replay the same range."""
    with served(log, folder, sample) as (serve, first):
        words = ("--model", CHALLENGER, "-d", trials.POINT, "--from", str(first))
        cuts = days.midnights(days.FIRST_WINDOW, days.FIRST_ENDS)
        worker = following(log, folder, words)
        serve(cuts[:FOLLOWED])
        wait_until(lambda: stored(log, first) > 0)
        serve(cuts[FOLLOWED : FOLLOWED + 1])
        worker.send_signal(signal.SIGKILL)
        worker.communicate()
        at_kill = stored(log, first)
        serve(cuts[FOLLOWED + 1 : FOLLOWED + ALONE])
        worker = following(log, folder, words)
        serve(cuts[FOLLOWED + ALONE :])
        stop = log.head().position + 1
        command(log, folder, "shadow", "drain", *words, "--json")
        worker.communicate(timeout=WAIT_S)
    tailed = read_scores(log, get_model(log, CHALLENGER).digest, trials.POINT, first, stop)
    rows = stored(log, first)
    place = ("-d", trials.POINT, "--from", str(first), "--to", str(stop))
    run = json.loads(command(log, folder, "replay", "run", "--model", TWIN, *place, "--json"))
    decided = log.read(first, stop, kind="decision", decision_point=trials.POINT, columns=[])
    return Flown(
        sum(batch.num_rows for batch in decided),
        at_kill,
        rows,
        canonical_digest(tailed),
        run["digest"],
        run["rows"],
    )


@contextmanager
def served(log: Log, folder: Path, sample: int) -> Iterator[tuple[Callable[[list[datetime]], None], int]]:
    """Yield what records until each of some instants, and the first position that it will record.

    February to April are recorded before, and the challenger is trained on them and registered.
    """
    requests = build_requests(load_tables()).iloc[::sample].reset_index(drop=True)
    features = FeatureSet.from_toml(packaged("feature_set.toml"))
    log.register_feature_set(features)
    name, _, version = CHAMPION.partition(":")
    link = InProcessLink(log.url, [features])
    with (
        models.one_thread(),
        Recorder(trials.POINT, features, link, model=name, model_version=version, limits=LIMITS) as recorder,
    ):
        service = Service(requests, recorder, since=days.OPENS)
        january = requests[requests["scheduled"] < days.CHAMPION_TRAINED]
        legacy = models.train(models.new_champion(), january, january["late"])
        trials.install_champion(log, folder, legacy, CHAMPION)
        champion = open_registered(log, CHAMPION, folder=folder)
        before = service.decide(champion, days.OPENS, days.FIRST_WINDOW)
        service.serve(before, days.OPENS, days.FIRST_WINDOW)
        trials.enter(log, folder, "experiment.toml", CHAMPION, sample=sample)
        until = log.head().position
        add_model(log, TWIN_URI, name="late-gbm-twin", version="1", trained_until=until, folder=folder)
        assert get_model(log, TWIN).digest != get_model(log, CHALLENGER).digest
        answers = service.decide(champion, days.FIRST_WINDOW, days.FIRST_ENDS)
        since = days.FIRST_WINDOW

        def serve(cuts: list[datetime]) -> None:
            nonlocal since
            for cut in cuts:
                service.serve(answers, since, cut)
                since = cut

        yield serve, log.head().position + 1


def following(log: Log, folder: Path, words: tuple[str, ...]) -> "subprocess.Popen[str]":
    """Start the worker; return it when it follows."""
    worker = subprocess.Popen(
        [*HARNESS, "shadow", "start", *words],
        cwd=folder,
        env=environment(log),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert worker.stdout is not None
    assert "follows from position" in worker.stdout.readline()
    return worker


def command(log: Log, folder: Path, *words: str) -> str:
    """Return what a command wrote; it must have done what was asked."""
    done = subprocess.run(
        [*HARNESS, *words],
        cwd=folder,
        env=environment(log),
        capture_output=True,
        text=True,
        check=False,
        timeout=WAIT_S,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def environment(log: Log) -> dict[str, str]:
    """Return the environment of a command on this log."""
    return {**CLEAN, "HARNESS_DATABASE_URL": log.url, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


def stored(log: Log, first: int) -> int:
    """Return how many scores the log holds from a position on."""
    scores = log.read(first, log.head().position + 1, kind="score", decision_point=trials.POINT, columns=[])
    return sum(batch.num_rows for batch in scores)


def wait_until(true: Callable[[], bool]) -> None:
    """Return when it is so."""
    end = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.05)


def check(found: Flown) -> None:
    """Each decision was scored once by the tail, and both say the same of it."""
    assert 0 < found.at_kill < found.decisions, "it was killed on the way"
    assert found.stored == found.replayed == found.decisions
    assert found.tail == found.replay


def test_a_tail_that_was_killed_has_the_scores_of_a_replay(
    event_log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HARNESS_DATABASE_URL", raising=False)
    monkeypatch.setitem(models.CHALLENGER, "max_iter", 10)
    monkeypatch.setitem(models.CHALLENGER, "learning_rate", 0.2)
    check(flown(event_log, prepare(tmp_path / "flights"), 50))


def main(sample: int = 1) -> None:
    """Fly, say what was found, and check it."""
    os.environ.pop("HARNESS_DATABASE_URL", None)
    with tempfile.TemporaryDirectory() as name, servers.embedded() as url:
        folder = prepare(Path(name, "flights"))
        with create_log(url=url, clock="event") as log:
            found = flown(log, folder, sample)
    told = f"{found.decisions:,} decisions of May and June; killed when {found.at_kill:,} were scored"
    print(f"{told}\ntail    {found.tail}\nreplay  {found.replay}")  # noqa: T201  # a command
    check(found)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
