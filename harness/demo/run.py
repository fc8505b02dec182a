"""The demo from end to end: from recorded decisions to a verdict, told once over a year (docs/adr/0011)."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pandas as pd

from harness.database import create_log
from harness.demo import calendar as days
from harness.demo import trials
from harness.demo.figures import labelled, live_decisions, months
from harness.demo.flights import build_requests, load_tables
from harness.demo.folder import packaged, prepare
from harness.demo.models import new_champion, one_thread, train
from harness.demo.narrator import Narrate, silent
from harness.demo.story import Story
from harness.demo.stream import Service
from harness.demo.year import Year
from harness.log.log import Log
from harness.looks import stored_looks
from harness.report.write import write_report
from recorders.fields import FeatureSet
from recorders.inprocess import InProcessLink
from recorders.limits import Limits
from recorders.recorder import Recorder

CHAMPION = "late-logit:1"
# The demo cuts frames at midnights and looks, by flushing; no frame leaves because somebody waited.
LIMITS = Limits(linger_s=3600.0)


def run(folder: Path, *, sample: int = 1, narrate: Narrate = silent) -> Story:
    """Return the story of a whole run in `folder`, which an earlier demo may have made.

    `sample` takes one flight in so many: for a test, or a quick look.

    Raises:
        DemoFolderTaken, DemoFolderBusy, DemoDatabaseTaken, DemoDataMissing: see harness.demo.errors.
    """
    began = time.perf_counter()
    folder = prepare(folder)
    with one_thread(), create_log(folder, clock="event") as log:
        with narrate("Reading the flights of 2013", 1) as advance:
            requests = build_requests(load_tables()).iloc[::sample].reset_index(drop=True)
            advance(1)
        with _service(log, requests) as (service, recorder):
            year = Year(log, folder, service, recorder, narrate)
            contenders, promoted = _live(log, folder, year, requests, sample=sample, narrate=narrate)
            lost = sum(recorder.counters.dropped.values()) + sum(recorder.counters.rejected.values())
        with narrate("Writing the report", 1) as advance:
            report = folder / "report.html"
            write_report(log, contenders[0].experiment.id, report)
            decisions = labelled(live_decisions(log, trials.POINT), requests)
            told = [
                trials.tell(log, each, decisions, live=live)
                for each, live in zip(contenders, promoted, strict=True)
            ]
            noise = stored_looks(log, told[0].experiment)[-1].look.integrity.noise_floor or {}
            advance(1)
        return Story(
            folder=folder,
            report=report,
            flights=len(requests),
            decisions=year.served.decisions,
            outcomes=year.served.outcomes,
            lost=lost,
            recorded_s=year.recorded_s,
            noise_rows=int(noise.get("rows", 0)),
            noise=int(noise.get("differing_scores", 0)),
            scored=year.scored,
            scored_s=year.scored_s,
            first=told[0],
            second=told[1],
            months=months(decisions),
            positions=log.head().position,
            seconds=time.perf_counter() - began,
        )


@contextmanager
def _service(log: Log, requests: pd.DataFrame) -> Iterator[tuple[Service, Recorder]]:
    """Yield the service and its recorder, which writes straight into the log."""
    features = FeatureSet.from_toml(packaged("feature_set.toml"))
    log.register_feature_set(features)
    name, _, version = CHAMPION.partition(":")
    link = InProcessLink(log.url, [features])
    with Recorder(trials.POINT, features, link, model=name, model_version=version, limits=LIMITS) as recorder:
        yield Service(requests, recorder, since=days.OPENS), recorder


def _live(
    log: Log, folder: Path, year: Year, requests: pd.DataFrame, *, sample: int, narrate: Narrate
) -> tuple[list[trials.Contender], list[datetime | None]]:
    """Let the year go by; return both challengers, and for each when it began to decide."""
    with narrate("Training the champion on January", 1) as advance:
        january = requests[requests["scheduled"] < days.CHAMPION_TRAINED]
        champion = train(new_champion(), january, january["late"])
        trials.install_champion(log, folder, champion, CHAMPION)
        advance(1)
    year.promote(CHAMPION)
    year.pass_by("February to April: the champion decides", days.OPENS, days.FIRST_WINDOW)
    with narrate("End of April: training set, challenger, experiment", 1) as advance:
        first = trials.enter(log, folder, "experiment.toml", year.live, sample=sample)
        advance(1)
    looked = [first.experiment.id]
    year.timed = first.experiment.id
    year.pass_by("May and June: in shadow, a look each week", days.FIRST_WINDOW, days.FIRST_ENDS, looked)
    promotions = [days.FIRST_ENDS if trials.end(log, first) else None]
    if promotions[-1]:
        year.promote(first.experiment.declared.challenger.model)
    # An experiment without a verdict by now has one look left, when the last of its days has matured.
    left = [] if promotions[-1] else looked
    year.pass_by(f"July to September: {year.live} decides", days.FIRST_ENDS, days.SECOND_WINDOW, left)
    with narrate("End of September: a second challenger", 1) as advance:
        second = trials.enter(log, folder, "experiment_autumn.toml", year.live, sample=sample)
        advance(1)
    looked = [second.experiment.id]
    year.pass_by("October and November: in shadow again", days.SECOND_WINDOW, days.SECOND_ENDS, looked)
    promotions.append(days.SECOND_ENDS if trials.end(log, second) else None)
    if promotions[-1]:
        year.promote(second.experiment.declared.challenger.model)
    year.pass_by("December", days.SECOND_ENDS, days.LAST_ARRIVALS)
    return [first, second], promotions
