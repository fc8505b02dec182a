"""`harness evaluate` and `harness decide`: take a look, then record its verdict."""

from pathlib import Path
from typing import Any

import click

from harness.cli.budgets import budget_options, meter_of
from harness.cli.experiment import opened
from harness.cli.output import emit, folder_option, json_option


@click.command()
@click.argument("experiment")
@click.option("--as-of", default=None, help="Look as of this position or time. Default: the end of the log.")
@click.option("--replay/--no-replay", default=True, show_default=True, help="Score what has no score first.")
@click.option("--dry-run", is_flag=True, help="Show the figures; score nothing, store nothing.")
@click.option(
    "--workers",
    type=click.IntRange(1, 1_024),
    default=1,
    show_default=True,
    help="Measure in so many processes.",
)
@budget_options
@folder_option
@json_option
def evaluate(
    *,
    experiment: str,
    as_of: str | None,
    replay: bool,
    dry_run: bool,
    workers: int,
    folder: Path | None,
    json: bool,
    **budget: Any,
) -> None:
    """Take a look at EXPERIMENT: the evidence so far and the verdict that follows from it.

    Out of its budget, it ends with exit code 75 and takes no look; the same command goes on.
    """
    from harness.engines.local import Local

    # Its workers get warm while all else is imported here.
    engine = Local(workers) if workers > 1 else None

    from harness.cli.experiment_text import look_text
    from harness.cli.progress import progress
    from harness.experiment_status import saw_whole_window
    from harness.experiments import get_experiment
    from harness.looks import take_look
    from harness.mapped_parts import undivided
    from harness.measure import Spread

    spread = Spread(engine, workers) if engine else None
    with opened(folder) as log, progress(None, "scoring", unit="positions") as done:
        declared = get_experiment(log, experiment)
        taken = take_look(
            log,
            experiment,
            as_of,
            replay=replay,
            dry_run=dry_run,
            folder=folder,
            progress=done,
            spread=spread,
            meter=meter_of(**budget),
        )
        over = saw_whole_window(log, declared, taken.look)
    note = "" if taken.new or dry_run else "Nothing has changed since this look was taken.\n"
    whole = undivided(declared.plan)
    if spread and whole:
        note += f"Measured in one piece: {whole}.\n"
    unscored = taken.look.integrity.reasons["unscored"]
    if dry_run and unscored:
        note = f"{unscored:,} mature decisions have no score yet; a look scores them first.\n"
    data = {"position": taken.position, "new": taken.new, "look": taken.look}
    emit(data, json=json, text=lambda: note + look_text(taken.look, taken.position, over=over))


@click.command()
@click.argument("experiment")
@click.option("--dry-run", is_flag=True, help="Show the verdict that would be recorded.")
@folder_option
@json_option
def decide(experiment: str, dry_run: bool, folder: Path | None, json: bool) -> int:
    """Record the verdict of the newest look at EXPERIMENT.

    Exit code: 0 PROMOTE, 10 HOLD or NOT_IDENTIFIABLE, 20 REJECT, 21 RETRAIN, 30 INVALID.
    """
    from harness.verdicts import EXIT_CODES, find_look, record_verdict

    with opened(folder) as log:
        if dry_run:
            look = find_look(log, experiment).look
            body = {"look": look.number, "state": look.verdict.state, "reasons": look.verdict.reasons}
            emit(body, json=json, text=f"{look.verdict.state}  would be recorded for look {look.number}.")
            return EXIT_CODES[look.verdict.state]
        event = record_verdict(log, experiment)
    state = event.body["state"]
    lines = [f"{state}  recorded at position {event.position}, from look {event.body['look']}."]
    lines += [f"  {reason}" for reason in event.body["reasons"]]
    emit(event, json=json, text="\n".join(lines))
    return EXIT_CODES[state]
