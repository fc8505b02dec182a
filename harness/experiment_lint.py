"""From a TOML file to an experiment, or to every reason why it is none."""

import datetime as dt
import zoneinfo
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from harness.experiment_errors import MetricAltered, MetricFailed
from harness.experiment_file import ExperimentFile, Rivals, Window
from harness.own_metrics import pinned
from harness.reach import out_of_reach
from harness.strict_toml import Problem, TomlFileError, check_table, nearest, read_toml
from policies.errors import PlanError
from policies.intake_plan import ArmsPlan, CompletenessPlan
from policies.metric_plan import MetricPlan
from policies.options import declared
from policies.plan import UnitPlan
from policies.policy_plan import PolicyPlan
from policies.retrain_rule import RetrainRule
from policies.serving import LATENCY
from policies.slice_plan import SlicePlan


def read_experiment(path: Path) -> ExperimentFile:
    """Return the experiment that a TOML file holds.

    Raises:
        TomlFileError: the file has faults; `problems` names each with its table, key and remedy.
    """
    tables = read_toml(path)
    problems = lint(tables)
    if problems:
        raise TomlFileError(str(path), problems)
    return _pinned(path, msgspec.convert(tables, ExperimentFile))


def _pinned(path: Path, declared: ExperimentFile) -> ExperimentFile:
    """Return the experiment with the source of the user's own metrics pinned."""
    try:
        return msgspec.structs.replace(declared, metrics=pinned(declared.metrics))
    except (MetricAltered, MetricFailed) as error:
        problem = Problem("metrics", "name", error.happened, error.expected, error.remedy)
        raise TomlFileError(str(path), [problem]) from error


def lint(tables: dict[str, Any]) -> list[Problem]:
    """Return every fault of an experiment's tables; none means that it can be registered.

    >>> [str(problem) for problem in lint({"schema": 2})][0]
    'schema: it holds 2. Expected one of 1. (Invalid enum value 2.)'
    """
    problems = list(check_table(tables, ExperimentFile, root=ExperimentFile))
    problems += _time_zone(tables)
    problems += list(out_of_reach(tables, problems))
    faulty = {problem.table.partition(" ")[0] or problem.key for problem in problems}
    problems += _part_faults(tables, faulty)
    return problems or list(_whole(msgspec.convert(tables, ExperimentFile)))


def _time_zone(tables: dict[str, Any]) -> Iterator[Problem]:
    unit = tables.get("unit")
    name = unit.get("timezone") if isinstance(unit, dict) else None
    if not isinstance(name, str) or name in zoneinfo.available_timezones():
        return
    near = nearest(name, zoneinfo.available_timezones())
    expected = f"The nearest known name is {near!r}."
    yield Problem("unit", "timezone", f"{name!r} is no time zone.", expected, "Use a name of the IANA list.")


def _part_faults(tables: dict[str, Any], faulty: set[str]) -> Iterator[Problem]:
    """Yield what `policies` refuses of each part whose keys and types are sound."""
    parts: list[tuple[str, Any, type[msgspec.Struct]]] = [
        (name, tables[name], kind)
        for name, kind in (
            ("unit", UnitPlan),
            ("policy", PolicyPlan),
            ("slices", SlicePlan),
            ("retraining", RetrainRule),
            ("arms", ArmsPlan),
            ("completeness", CompletenessPlan),
        )
        if name in tables and name not in faulty
    ]
    if "metrics" in tables and "metrics" not in faulty:
        parts += [(f"metrics {number}", each, MetricPlan) for number, each in enumerate(tables["metrics"], 1)]
    for table, values, kind in parts:
        yield from _refusal(table, partial(msgspec.convert, values, kind))


def _refusal(table: str, build: Callable[[], object]) -> Iterator[Problem]:
    try:
        build()
    except PlanError as error:
        yield Problem(table, error.key.rpartition(".")[2], error.happened, error.expected, error.remedy)


def _whole(experiment: ExperimentFile) -> Iterator[Problem]:
    yield from _range("window", experiment.window)
    yield from _refusal("metrics", lambda: experiment.plan)
    yield from _proof(experiment)
    yield from _propensities(experiment)
    yield from _latencies(experiment)


def _propensities(experiment: ExperimentFile) -> Iterator[Problem]:
    """Yield the metrics that could be estimated from propensities and do not say how."""
    for number, metric in enumerate(experiment.metrics, 1):
        if metric.identification == "logged_action" and not metric.off_policy:
            found = "the outcome depends on the logged action, and no largest weight is declared."
            expected = "Expected 1 over the smallest propensity that the exploration gives."
            yield Problem(f"metrics {number}", "weight_max", found, expected, "Add it.")


def _latencies(experiment: ExperimentFile) -> Iterator[Problem]:
    """Yield the metrics that would gate on latencies that nobody measures: a score has none."""
    for number, metric in enumerate(experiment.metrics, 1):
        if metric.name == LATENCY and metric.role != "context" and declared(metric.ask_every) is None:
            found = f"{metric.role}: nothing says of how many decisions the challenger is asked one alone."
            expected = "Expected a number such as 32: the more are asked, the sooner it shows."
            yield Problem(f"metrics {number}", "ask_every", found, expected, 'Add it, or role "context".')


def _proof(experiment: ExperimentFile) -> Iterator[Problem]:
    """Yield what a proof of retraining needs beside its rule: rivals, a past, and the champion once more."""
    rivals, window = experiment.rivals, experiment.window
    wanted = isinstance(experiment.retraining, RetrainRule)
    if wanted != isinstance(rivals, Rivals):
        found = "a retraining is registered without rivals." if wanted else "rivals of no retraining."
        yield Problem("rivals", "all", found, "Expected both tables or none.", "Correct it.")
    if not isinstance(rivals, Rivals):
        return
    yield from _range("rivals", rivals)
    alike = isinstance(rivals.stop, int) == isinstance(window.start, int)
    if not alike or rivals.stop > window.start:  # type: ignore[operator]  # alike by the line before
        found = f"the reference ends at {_text(rivals.stop)}, the window begins at {_text(window.start)}."
        expected = "Expected a reference that ends before the window, both in times or both in positions."
        yield Problem("rivals", "to", found, expected, "Move one of them.")
    if experiment.champion.rescore is None:
        found = "the champion is not scored again, so nothing could show that served values are replayed."
        yield Problem("champion", "rescore", found, "Expected a registered copy of it.", "Name it.")


def _range(table: str, declared: Window | Rivals) -> Iterator[Problem]:
    start, stop = declared.start, declared.stop
    if isinstance(start, int) != isinstance(stop, int):
        found = f"from is {_text(start)}, to is {_text(stop)}."
        yield Problem(table, "from, to", found, "Expected two times or two positions.", "Write both alike.")
    elif start >= stop:  # type: ignore[operator]  # both are times or both positions, by the line above
        found = f"from is {_text(start)}, to is {_text(stop)}."
        yield Problem(table, "from, to", found, "Expected from before to.", "Correct one of them.")


def _text(end: int | dt.datetime) -> str:
    return str(end) if isinstance(end, int) else end.isoformat()
