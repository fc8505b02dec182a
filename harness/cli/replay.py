"""`harness replay`: score challengers on what was recorded; measure what the champion does not repeat."""

import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from harness.cli.budgets import budget_options, meter_of
from harness.cli.finite import Finite
from harness.cli.log import opened
from harness.cli.output import emit, folder_option, json_option
from harness.cli.places import range_of, range_options
from harness.cli.replay_diff import diff, known_difference
from harness.cli.replay_race import race
from recorders.errors import HarnessError

INTERRUPTED = 130
_KEPT = frozenset({"workers", "in_process", "timeout", "memory", "folder", "json"})


@click.group()
def replay() -> None:
    """Score challengers on recorded snapshots."""


@replay.command()
@click.option(
    "--model",
    "references",
    required=True,
    multiple=True,
    metavar="NAME:VERSION",
    help="A registered model; several share one pass over the decisions.",
)
@click.option(
    "--workers",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Processes that score parts of the range; several models then go one after the other.",
)
@range_options
@click.option("--in-process", is_flag=True, help="No process of its own: only for code you trust as yours.")
@click.option(
    "--timeout",
    type=Finite(0, min_open=True),
    metavar="SECONDS",
    help="Longest time for a block of 1,024 rows.",
)
@click.option("--memory", type=int, metavar="MB", help="Most memory that the model may use.")
@budget_options
@folder_option
@json_option
def run(
    references: tuple[str, ...],
    decision_point: str,
    start: str,
    stop: str | None,
    folder: Path | None,
    json: bool,
    workers: int,
    **given: Any,
) -> int:
    """Score models on the decisions of a range, into the log, each decision once.

    Each model runs in a process of its own, within limits (section [challengers] of harness.toml), and is a
    replay of its own: one that fails ends no other. The exit code is that of the first that failed.
    Interrupted, killed or out of its budget (exit code 75), the same command goes on where it was. Asked
    again, it answers from the log.
    """
    from harness.engines.local import Local

    # Its workers get warm while all else is imported here.
    engine = Local(workers) if workers > 1 else None

    from harness.challengers import limits_of
    from harness.replay_runner import replay_in_parts, run_replays

    meter = meter_of(**{name: given.pop(name) for name in ("max_time", "max_cpu", "max_memory")})
    limits = limits_of(folder, **given)
    with opened(folder) as log:
        first, after = range_of(log, decision_point, start, stop)
        how: dict[str, Any] = {"folder": folder, "limits": limits, "meter": meter}
        with _interruptible(references, decision_point, first, after), _progress(after - first) as done:
            if engine is None:
                place: dict[str, Any] = {"decision_point": decision_point, "start": first, "stop": after}
                found = run_replays(log, references, **place, **how, progress=done)
            else:
                of = (decision_point, first, after)
                found = [replay_in_parts(log, each, engine, of, **how, progress=done) for each in references]
    return _told(references, found, json=json)


replay.add_command(diff)
replay.add_command(known_difference)
replay.add_command(race)


@replay.command("list")
@folder_option
@json_option
def list_command(folder: Path | None, json: bool) -> None:
    """List the replays of this log."""
    from harness.replays import list_replays, so_far

    with opened(folder) as log:
        runs = [so_far(log, found) for found in list_replays(log)]
    lines = [f"{'run':<14}{'model':<24}{'decision point':<20}{'range':<20}{'rows':>10}{'failed':>8}  state"]
    for found in runs:
        span = f"[{found.start}, {found.stop})"
        state = _state(found)
        lines.append(
            f"{found.id[:12]:<14}{found.model:<24}{found.decision_point:<20}{span:<20}"
            f"{found.rows:>10,}{found.failed:>8,}  {state}"
        )
    text = "\n".join(lines) if runs else 'No replay yet. Start one with "harness replay run".'
    emit(runs, json=json, text=text)


@replay.command()
@click.argument("name", metavar="RUN")
@folder_option
@json_option
def show(name: str, folder: Path | None, json: bool) -> None:
    """Show one replay, by its id or the beginning of it."""
    from harness.challengers import MEASURED, account_of
    from harness.errors import NotFound
    from harness.recovery.invalid import refuse_lost
    from harness.replays import list_replays, so_far

    with opened(folder) as log:
        runs = {found.id: found for found in list_replays(log)}
        matching = [found for run_id, found in runs.items() if run_id.startswith(name)]
        if len(matching) != 1:
            refuse_lost(log, name, ["replay.started"])
            raise NotFound("replay", name, [run_id[:12] for run_id in runs])
        run = so_far(log, matching[0])
        cost = account_of(log.controls(MEASURED, run.id))
    emit(_with_cost(run, cost), json=json, text="\n".join([_summary(run), *_cost(cost)]))


@replay.command("noise-floor")
@range_options
@folder_option
@json_option
def noise_floor(decision_point: str, start: str, stop: str | None, folder: Path | None, json: bool) -> None:
    """Score the champion again on its own snapshots and count what differs from what it decided."""
    from harness.noise import noise_floor as measured

    with opened(folder) as log:
        first, after = range_of(log, decision_point, start, stop)
        with _progress(after - first) as done:
            floor = measured(log, decision_point, first, after, progress=done, folder=folder)
    emit(floor, json=json, text=_noise(floor))


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    from harness.cli.progress import progress

    with progress(total, "scoring", unit="positions") as done:
        yield done


@contextmanager
def _interruptible(references: Sequence[str], decision_point: str, start: int, stop: int) -> Iterator[None]:
    """Say how to go on when a person stops the run: nothing of it is lost."""
    try:
        yield
    except KeyboardInterrupt:
        words = ["harness", "replay", "run", *(w for each in references for w in ("--model", each))]
        words += ["--decision-point", decision_point]
        words += ["--from", str(start), "--to", str(stop), *_given_beside()]
        click.echo("Stopped. What was scored is in the log; go on with:\n  " + shlex.join(words), err=True)
        sys.exit(INTERRUPTED)


def _given_beside() -> Iterator[str]:
    """Yield the options of this command that decide neither what is scored nor when it ends, as given."""
    context = click.get_current_context()
    for option in context.command.params:
        name = str(option.name)
        given = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if given and name in _KEPT:
            yield option.opts[-1]
            if not getattr(option, "is_flag", False):
                yield str(context.params[name])


def _told(references: Sequence[str], found: Sequence[Any], *, json: bool) -> int:
    """Show what became of each model; return the exit code of the first that failed, else 0."""
    failed = [each for each in found if isinstance(each, HarnessError)]
    if len(found) == 1 and failed:
        raise failed[0]
    if len(found) == 1:
        emit(found[0], json=json, text=_summary(found[0]))
        return 0
    values = [
        {"model": reference, "error": str(run)} if isinstance(run, HarnessError) else run
        for reference, run in zip(references, found, strict=True)
    ]
    texts = [
        f"model    {reference}\nfailed   {run}" if isinstance(run, HarnessError) else _summary(run)
        for reference, run in zip(references, found, strict=True)
    ]
    emit(values, json=json, text="\n\n".join(texts))
    return failed[0].exit_code if failed else 0


def _state(run: Any) -> str:
    if run.completed_at is not None:
        return "completed"
    if run.stopped is not None:
        return f"out of its budget of {run.stopped}"
    return "running or stopped" if run.ended is None else str(run.ended)


def _summary(run: Any) -> str:
    lines = [f"run      {run.id}", f"model    {run.model} ({run.model_digest[:12]})"]
    lines.append(f"range    [{run.start}, {run.stop}) of {run.decision_point}")
    if run.completed_at is None:
        lines += _counts(run) if run.rows else []
        return "\n".join([*lines, f"state    {_state(run)}; the same command goes on from there"])
    earlier = (run.stop - run.start) - sum(after - first for first, after in run.ranges)
    if earlier:
        lines.append(f"earlier  {earlier:,} positions were scored by earlier runs of this model")
    return "\n".join([*lines, *_counts(run), f"digest   {run.digest}"])


def _counts(run: Any) -> list[str]:
    scored = f"scored   {run.scored:,} of {run.rows:,} decisions, {run.failed:,} failed"
    return [scored, *(f"         {count:,} x {reason}" for reason, count in run.errors.items())]


def _with_cost(run: Any, cost: dict[str, Any]) -> dict[str, Any]:
    return {name: getattr(run, name) for name in run.__struct_fields__} | {"measured": cost}


def _cost(cost: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of what the model cost and did; none when it ran in this very process."""
    if not cost["starts"]:
        return
    row, block = cost["row_latency"], cost["block_latency"]
    told = [(f"a row alone (of {row['count']:,})", row), (f"1,024 rows (of {block['count']:,})", block)]
    parts = [
        f"{what} p50 {at['p50_us'] / 1000:.3g} ms, p99 {at['p99_us'] / 1000:.3g} ms"
        for what, at in told
        if at["count"]
    ]
    yield f"took     {'; '.join(parts) or 'no time: nothing was answered'}"
    yield f"used     {cost['cpu_us'] / 1e6:.3g} s of CPU, at most {cost['resident_mb_max']} MB"
    for what, counts in (("killed", cost["kills"]), ("tried", cost["attempts"])):
        if counts:
            yield f"{what:<9}" + ", ".join(f"{count:,} {name}" for name, count in counts.items())
    lacking = [f"{part} {state}" for part, state in cost["sandbox"].items() if state != "held"]
    if lacking:
        yield f"not held {', '.join(lacking)}"


def _noise(floor: dict[str, Any]) -> str:
    lines = [
        f"{floor['rows']:,} decisions of {floor['decision_point']} scored again by their own champion",
        f"scores     {floor['differing_scores']:,} differ, by {floor['max_abs_difference']:.3g} at most",
        f"decisions  {floor['differing_decisions']:,} of {floor['decisions_compared']:,} compared differ",
    ]
    if floor["failed"] or floor["unregistered"]:
        lines.append(
            f"left out   {floor['failed']:,} failed, {floor['unregistered']:,} of models not registered"
        )
    lines += [
        f"           {count:>10,}  |difference| {edge}" for edge, count in floor["histogram"].items() if count
    ]
    return "\n".join(lines)
