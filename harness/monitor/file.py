"""The monitor file: what a person writes and what registration keeps, as frozen structs."""

import datetime as dt
import zoneinfo
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from harness.experiment_file import Duration, Name, Text
from harness.reach import out_of_reach
from harness.strict_toml import Problem, TomlFileError, check_table, read_toml
from policies.drift import DriftRule
from policies.drift.detector import DetectorPlan
from policies.errors import PlanError
from recorders.canonical import canonical_json, digest

Day = Annotated[str, Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", examples=["2026-03-01", "2026-04-01"])]
_LOSSES: dict[str, Literal["binary", "bounded"]] = {"error": "binary", "brier": "bounded"}


class About(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is watched, where, and by whom."""

    id: Annotated[Name, Meta(description="Its name for ever: a changed monitor is a new id.")]
    decision_point: Annotated[Text, Meta(description="The named place in production where a model decides.")]
    owner: Annotated[Text, Meta(description="Who answers for it.")]
    timezone: Annotated[Text, Meta(description="Whose local days are the windows.")] = "UTC"
    fresh: Annotated[
        Duration | None,
        Meta(description="How old the newest decision may be at the end of a window; unset: any age."),
    ] = None


class PastDays(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The past that windows are compared with: whole local days, half-open."""

    start: Day = msgspec.field(name="from")
    stop: Day = msgspec.field(name="to")

    @property
    def days(self) -> tuple[dt.date, dt.date]:
        """The first day, and the first one after the last: there watching begins.

        Raises:
            ValueError: one of them is no date of the calendar.
        """
        return dt.date.fromisoformat(self.start), dt.date.fromisoformat(self.stop)


class Feature(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One watched feature. Without such tables all features are watched, as the reference shows them."""

    name: Annotated[Text, Meta(description="Its name in the feature set.")]
    importance: Annotated[
        float, Meta(description="How much it matters to the model: it orders what is shown.")
    ] = 1.0
    low: Annotated[float | None, Meta(description="The least value that is allowed.")] = None
    high: Annotated[float | None, Meta(description="The largest value that is allowed.")] = None
    max_missing: Annotated[
        float | None, Meta(description="The largest share without a value; by default two points more.")
    ] = None
    max_outside: Annotated[float | None, Meta(description="The largest share outside the bounds.")] = None
    max_unseen: Annotated[float | None, Meta(description="The largest share of unknown levels.")] = None
    max_stale: Annotated[float | None, Meta(description="The largest share that was served stale.")] = None


class Outcomes(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The label that is watched once it has matured, and the losses that it gives the live model."""

    name: Annotated[Text, Meta(description="The name under which the outcomes are recorded.")]
    window: Annotated[Duration, Meta(description="The age at which a decision counts.")]
    loss: Annotated[
        Literal["error", "brier"], Meta(description="What the detector watches: wrong or right, or brier.")
    ] = "brier"
    threshold: Annotated[float, Meta(description="A score of at least this much counts as positive.")] = 0.5


class DetectorRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When losses have risen. The alarm's average run without cause is chosen."""

    unit: Annotated[
        Literal["request", "day"], Meta(description="What is independent: each decision, or each day.")
    ] = "day"
    run_days: Annotated[int, Meta(description="The days to a false alarm on average, at least.")] = 3650
    confidence: Annotated[float, Meta(description="That of the upper limit of the reference's losses.")] = (
        0.99
    )
    tolerance: Annotated[
        float, Meta(description="How much above that limit is still no news, relatively.")
    ] = 0.0


class MonitorFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A monitor as it is written and registered. What can raise an alarm stands here and nowhere else."""

    schema: Annotated[Literal[1], Meta(description="The version of this format.")] = 1
    monitor: About
    reference: PastDays
    features: tuple[Feature, ...] = ()
    drift: DriftRule = DriftRule()
    label: Outcomes | UnsetType = UNSET
    detector: DetectorRule = DetectorRule()

    @property
    def id(self) -> str:
        """The monitor's name."""
        return self.monitor.id

    @property
    def importance(self) -> dict[str, float]:
        """The weights of the ranking, by feature."""
        return {each.name: each.importance for each in self.features}

    @property
    def rule(self) -> DriftRule:
        """The rule of each family of tests: inputs and labels share the year's alarms."""
        families = 1 if isinstance(self.label, UnsetType) else 2
        return msgspec.structs.replace(self.drift, alarms_per_year=self.drift.alarms_per_year / families)

    @property
    def losses(self) -> DetectorPlan:
        """The plan of the detector, for the declared loss.

        Raises:
            PlanError: a value is out of range.
        """
        loss = "brier" if isinstance(self.label, UnsetType) else self.label.loss
        return DetectorPlan(losses=_LOSSES[loss], **msgspec.structs.asdict(self.detector))

    def declaration(self) -> dict[str, Any]:
        """Return the plain values of this monitor, defaults written out."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain

    @property
    def digest(self) -> str:
        """The SHA-256 of the canonical JSON of the declaration, 64 hex digits."""
        return digest(canonical_json(self.declaration()))


def read_monitor(path: Path) -> MonitorFile:
    """Return the monitor that a TOML file holds.

    Raises:
        TomlFileError: the file has faults; `problems` names each with its table, key and remedy.
    """
    tables = read_toml(path)
    problems = list(check_table(tables, MonitorFile, root=MonitorFile))
    problems += list(out_of_reach(tables, problems))
    if not problems:
        try:
            declared = msgspec.convert(tables, MonitorFile)
            problems = list(_faults(declared))
        except PlanError as error:
            table, _, key = error.key.rpartition(".")
            problems = [Problem(table, key, error.happened, error.expected, error.remedy)]
    if problems:
        raise TomlFileError(str(path), problems)
    return declared


def _faults(declared: MonitorFile) -> Iterator[Problem]:
    about, past = declared.monitor, declared.reference
    if about.timezone not in zoneinfo.available_timezones():
        expected = 'Expected a name such as "Europe/Berlin".'
        yield Problem("monitor", "timezone", f"{about.timezone!r} is unknown.", expected, "Correct it.")
    try:
        ordered = past.days[0] < past.days[1]
    except ValueError:
        ordered = False
    if not ordered:
        found = f"from is {past.start}, to is {past.stop}."
        yield Problem("reference", "from, to", found, "Expected two dates, from before to.", "Correct them.")
    names = [each.name for each in declared.features]
    for name in sorted({name for name in names if names.count(name) > 1}):
        found = f"{name} is there {names.count(name)} times."
        yield Problem("features", "name", found, "Expected each feature once.", "Keep one.")
    for number, each in enumerate(declared.features, 1):
        yield from _limits(f"features {number}", each)
    if not isinstance(declared.label, UnsetType) and not 0.0 <= declared.label.threshold <= 1.0:
        found = f"it holds {declared.label.threshold:g}."
        yield Problem("label", "threshold", found, "Expected a probability, from 0 to 1.", "Correct it.")
    _ = declared.losses, declared.rule  # refuse what is out of range


def _limits(table: str, declared: Feature) -> Iterator[Problem]:
    if declared.importance < 0.0:
        found = f"it holds {declared.importance:g}."
        yield Problem(table, "importance", found, "Expected a weight of at least 0.", "Correct it.")
    for key in ("max_missing", "max_outside", "max_unseen", "max_stale"):
        share = getattr(declared, key)
        if share is not None and not 0.0 <= share <= 1.0:
            yield Problem(table, key, f"it holds {share:g}.", "Expected a share from 0 to 1.", "Correct it.")
    if declared.low is not None and declared.high is not None and declared.low > declared.high:
        found = f"low is {declared.low:g}, high is {declared.high:g}."
        yield Problem(table, "low, high", found, "Expected low to be at most high.", "Swap them.")
