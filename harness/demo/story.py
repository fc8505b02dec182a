"""What the demo has to tell: its figures as a value, and the ten lines that say them."""

from calendar import month_name
from datetime import datetime
from pathlib import Path

import msgspec

from harness.demo.calendar import local
from harness.demo.figures import Month, naive_states


class LookLine(msgspec.Struct, frozen=True):
    """A look as the story needs it: days counted, how much better a day was, the e-value, the flights' z."""

    time: datetime
    days: int
    decisions: int
    difference: float | None
    e_value: float | None
    state: str
    z: float


class Trial(msgspec.Struct, frozen=True):
    """A challenger's way: what it was trained on, what its experiment saw, how that ended.

    `over` says that the last look saw all days of the window: no further day can change its state.
    """

    experiment: str
    challenger: str
    champion: str
    training_set: str
    training_digest: str
    training_rows: int
    as_of: datetime
    looks: tuple[LookLine, ...]
    state: str
    over: bool
    promoted_at: datetime | None
    champion_brier: float
    challenger_brier: float


class Story(msgspec.Struct, frozen=True):
    """The figures of one run.

    `scored` rows went through the first challenger's replays in `scored_s`. `noise` counts decisions, of
    `noise_rows`, whose score changes when the champion scores again.
    """

    folder: Path
    report: Path
    flights: int
    decisions: int
    outcomes: int
    lost: int
    recorded_s: float
    noise_rows: int
    noise: int
    scored: int
    scored_s: float
    first: Trial
    second: Trial
    months: tuple[Month, ...]
    positions: int
    seconds: float

    @property
    def lines(self) -> list[str]:
        """The ten lines that tell what happened."""
        return [
            self._recorded(),
            _trained(self.first),
            self._shadow(),
            self._noise(),
            _flights_say(self.first),
            _days_say(self.first),
            _ended(self.first),
            _live(self.months),
            _second(self.second),
            self._left(),
        ]

    @property
    def commands(self) -> list[str]:
        """What to type next."""
        folder = f"-C {_shown(self.folder)}"
        return [
            f"harness log tail {folder}",
            f"harness verdict explain {self.first.experiment} {folder}",
            f"harness experiment exchange {self.first.experiment} {folder}",
            f"harness training-set verify {self.first.training_set} {folder}",
        ]

    def _recorded(self) -> str:
        rate = (self.decisions + self.outcomes) / self.recorded_s
        return (
            f"Recorded {self.decisions:,} decisions and {self.outcomes:,} outcomes at {rate:,.0f} events/s,"
            f" {self.lost} lost; {self.decisions - self.outcomes:,} flights never arrived."
        )

    def _shadow(self) -> str:
        trial, rate = self.first, self.scored / self.scored_s
        return (
            f"Shadow: {trial.challenger}, trained on it, scored {self.scored:,} decisions,"
            f" {rate:,.0f} a second; Brier score {trial.challenger_brier:.4f},"
            f" {trial.champion}'s {trial.champion_brier:.4f}."
        )

    def _noise(self) -> str:
        return (
            f"Noise floor: {self.first.champion} scored {self.noise_rows:,} of its own snapshots again;"
            f" {self.noise:,} scores differ in any bit."
        )

    def _left(self) -> str:
        return (
            f"The log ({self.positions:,} positions) and {_shown(self.report)} are yours to read;"
            f" all took {self.seconds:.0f} s."
        )


def _trained(trial: Trial) -> str:
    return (
        f"Training set as of {_day(trial.as_of)}: {trial.training_rows:,} flights with a mature outcome,"
        f" digest {trial.training_digest[:12]}."
    )


def _flights_say(trial: Trial) -> str:
    z = [look.z for look in trial.looks]
    states = naive_states(z)
    told = f"Flight by flight, paired z each week: {' '.join(f'{each:+.1f}' for each in z)}".replace("-", "−")
    if "REJECT" not in states:
        return f"{told}."
    told += f". Whoever believes it rejects in week {states.index('REJECT') + 1}"
    later = states[states.index("REJECT") :]
    if "PROMOTE" in later:
        told += f", promotes in week {states.index('REJECT') + later.index('PROMOTE') + 1}"
    return f"{told}."


def _days_say(trial: Trial) -> str:
    figures = " ".join(_e(look) for look in trial.looks)
    return f"Day by day, as registered, e-value each week: {figures}. It promotes at 20."


def _ended(trial: Trial) -> str:
    last = trial.looks[-1]
    held = sum(look.state == "HOLD" for look in trial.looks)
    told = f"Verdict on {trial.experiment}: HOLD for {held} {'week' if held == 1 else 'weeks'}"
    if trial.state == "HOLD":
        return f"{told}, and to the end{_over(trial)}."
    live = f"; it decides from {_day(trial.promoted_at)} on" if trial.promoted_at else ""
    return f"{told}, {trial.state} on {_day(last.time)} after {last.days} days{live}."


def _live(months: tuple[Month, ...]) -> str:
    """Return the last live model's skill by month: calm months flatter a Brier score, but not the skill."""
    own = [each for each in months if each.model == months[-1].model]
    skills = ", ".join(f"{each.skill:.0%} in {_month(each)}" for each in own).replace("-", "−")
    scores = [each.brier for each in own]
    return (
        f"Live, {own[-1].model}: skill against the month's base rate {skills}"
        f" (Brier score {min(scores):.3f} to {max(scores):.3f})."
    )


def _second(trial: Trial) -> str:
    last = trial.looks[-1]
    better = trial.champion_brier - trial.challenger_brier
    return (
        f"{trial.challenger}, trained as of {_day(trial.as_of)}, is {abs(better):.4f}"
        f" {'better' if better > 0 else 'worse'}; e-value {_e(last)} after {last.days} days:"
        f" {trial.state}{_over(trial)}."
    )


def _over(trial: Trial) -> str:
    """Return why nothing more is coming, for a trial that ended without a verdict."""
    return "; its window is over" if trial.state == "HOLD" and trial.over else ""


def _e(look: LookLine) -> str:
    return "none" if look.e_value is None else f"{look.e_value:.3g}"


def _day(instant: datetime) -> str:
    day = local(instant)
    return f"{day.day} {month_name[day.month]}"


def _month(month: Month) -> str:
    return month_name[int(month.month[-2:])]


def _shown(path: Path) -> str:
    """Return the path as one would type it here."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
