"""What a report is about: an experiment, a place in the log, the looks and rows that existed there."""

import datetime as dt
from dataclasses import dataclass

from harness.errors import UsageError
from harness.experiment_errors import WindowNotOpen
from harness.experiment_file import duration
from harness.experiment_status import saw_whole_window
from harness.experiments import REACHED, Experiment, get_experiment
from harness.log.events import ControlEvent
from harness.log.log import Log
from harness.log.places import When
from harness.looks import FINAL, Taken, range_at, stored_looks
from harness.models import PROMOTED
from harness.recovery.invalid import INVALIDATED
from harness.report.rows import Rows, days_between, read_rows
from replay.ranges import AsOf


@dataclass(frozen=True, slots=True)
class View:
    """What all parts of the page share. The page stands at `place`; its rows are those of the newest look.

    [start, stop) are the evaluated positions, `window` its times so far, `per_day` the decisions a day (None:
    unknown), `reached` the newest recorded verdict, `promoted` the promotion that followed from it.
    `window_over`: the newest look saw all decisions of the window matured.
    """

    experiment: Experiment
    place: AsOf
    looks: tuple[Taken, ...]
    rows: Rows
    start: int
    stop: int
    window: tuple[dt.datetime, dt.datetime]
    rows_at: AsOf
    per_day: float | None
    reached: ControlEvent | None
    approvals: tuple[ControlEvent, ...]
    promoted: ControlEvent | None
    window_over: bool

    @property
    def last(self) -> Taken | None:
        """The newest look, None before the first."""
        return self.looks[-1] if self.looks else None

    @property
    def champion(self) -> str:
        """The model that decided, as name:version; before the first decision the one to be re-scored."""
        declared = self.experiment.rescore
        expected = "the champion" if declared is None else f"{declared.name}:{declared.version}"
        return self.rows.champion or expected

    @property
    def concluded(self) -> bool:
        """Whether a recorded verdict has ended the experiment."""
        return self.reached is not None and self.reached.body["state"] in FINAL


def view_of(log: Log, name: str, as_of: When) -> View:
    """Return the view of an experiment as of a place (default: its newest control event).

    Raises:
        NotFound: no such experiment.
        UsageError: it was not registered yet at `as_of`.
    """
    experiment = get_experiment(log, name)
    place = _place(log, experiment, as_of)
    looks = tuple(each for each in stored_looks(log, name) if (each.position or 0) <= place.position)
    if looks:
        newest = looks[-1].look
        rows_at, start, stop = log.as_of(newest.as_of.position), newest.start, newest.stop
        scores_up_to = newest.scores.up_to
    else:
        rows_at, scores_up_to = place, place.position
        start, stop = _open_range(log, experiment, place)
    rows = read_rows(log, experiment, rows_at, start=start, stop=stop, scores_up_to=scores_up_to)
    window = _window(log, experiment, rows_at, rows, begun=bool(looks))
    reached = log.controls(REACHED, name, up_to=place.position)
    return View(
        experiment=experiment,
        place=place,
        looks=looks,
        rows=rows,
        start=start,
        stop=stop,
        window=window,
        rows_at=rows_at,
        per_day=_rate(log, experiment, rows, window[0], rows_at),
        reached=reached[-1] if reached else None,
        approvals=tuple(log.controls("verdict.approved", name, up_to=place.position)),
        promoted=_promotion(log, experiment, up_to=place.position),
        window_over=bool(looks) and saw_whole_window(log, experiment, looks[-1].look),
    )


def _rate(log: Log, experiment: Experiment, rows: Rows, begin: dt.datetime, at: AsOf) -> float | None:
    """Return the decisions a day: of the window once it is a day old, else of one look's time before it."""
    elapsed = days_between(begin, at.time)
    if elapsed >= 1 and rows.counted:
        return rows.counted / elapsed
    every = duration(experiment.declared.looks.every)
    first = log.as_of(at.time - every).position + 1
    point = experiment.decision_point
    batches = log.read(first, at.position + 1, kind="decision", decision_point=point, columns=["decision_id"])
    count = sum(batch.num_rows for batch in batches)
    return count / (every / dt.timedelta(days=1)) if count else None


def _place(log: Log, experiment: Experiment, as_of: When) -> AsOf:
    """Return where the page stands: asked for, else at the newest event of the experiment.

    Not at the end of the log: the same report is written whatever else was recorded since.
    """
    if as_of is not None:
        place = log.as_of(as_of)
        if place.position < experiment.event.position:
            raise UsageError(
                f'At position {place.position} the experiment "{experiment.id}" did not exist.',
                f"It was registered at position {experiment.event.position}.",
                "Ask for a later place, or leave --as-of out.",
            )
        return place
    patterns = ("look.*", "verdict.*", INVALIDATED)
    own = [event for pattern in patterns for event in log.controls(pattern, experiment.id)]
    promotion = _promotion(log, experiment)
    if promotion is not None:
        own.append(promotion)
    return log.as_of(max((event.position for event in own), default=None))


def _promotion(log: Log, experiment: Experiment, *, up_to: int | None = None) -> ControlEvent | None:
    """Return the promotion that this experiment led to, None while there is none."""
    events = log.controls(PROMOTED, experiment.decision_point, up_to=up_to)
    return next((event for event in events if event.body.get("experiment") == experiment.id), None)


def _open_range(log: Log, experiment: Experiment, place: AsOf) -> tuple[int, int]:
    """Return the range of a window without a look; an empty one at the end while it has not begun."""
    try:
        return range_at(log, experiment, place)
    except WindowNotOpen:
        return place.position + 1, place.position + 1


def _window(
    log: Log, experiment: Experiment, place: AsOf, rows: Rows, *, begun: bool
) -> tuple[dt.datetime, dt.datetime]:
    """Return the window's ends as times; with looks it ends with the last decision that counted."""
    bounds = experiment.bounds
    start, stop = (
        log.as_of(min(end, place.position)).time if isinstance(end, int) else end
        for end in (bounds.start, bounds.stop)
    )
    if not begun:
        return start, stop
    last = rows.last_counted
    return start, max(start, min(stop, place.time) if last is None else last)
