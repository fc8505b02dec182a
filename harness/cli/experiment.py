"""`harness experiment`: write one down, check it, register it, watch it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from harness.cli.finite import Finite
from harness.cli.output import emit, folder_option, json_option


@click.group()
def experiment() -> None:
    """Write, check and register experiments."""


def opened(folder: Path | None) -> Any:
    """Return the log of a folder; one that is configured elsewhere must exist already."""
    from harness.database import open_log

    return open_log(folder, create=False)


@experiment.command()
@click.argument("name", metavar="ID")
@click.option("--decision-point", required=True, help="The place in production where a model decides.")
@click.option("--challenger", default="NAME:VERSION", show_default=True, help="The registered model.")
@click.option("--label", default="LABEL", show_default=True, help="The outcome that both are judged by.")
@click.option("--question", default=None, help="The question in one sentence.")
@click.option("--owner", default=None, help="Who answers for it.")
@click.option(
    "--from", "start", default=None, help="Begin of the window, a time. Default: tomorrow, 00:00 UTC."
)
@click.option("--days", type=click.IntRange(1, 3650), default=28, show_default=True, help="Its length.")
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), default=None, help="Default: ID.toml."
)
@json_option
def new(
    *, name: str, output: Path | None, start: str | None, days: int, json: bool, **given: str | None
) -> None:
    """Write a commented experiment file, to be filled in before it is registered."""
    from harness.errors import UsageError
    from harness.experiment_reference import template

    path = output or Path(f"{name}.toml")
    begin = _begin(start)
    names = {
        "decision_point": "experiment.decision_point",
        "challenger": "challenger.model",
        "label": "label.name",
        "question": "experiment.question",
        "owner": "experiment.owner",
    }
    values = {names[key]: value for key, value in given.items() if value is not None}
    text = template({"experiment.id": name, **values}, start=begin, stop=begin + timedelta(days=days))
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError(f"{path} exists.", "Expected a new file.", "Name another with --output.") from None
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written: {error.strerror}.",
            "Expected a folder with room that you may write to.",
            "Name another file with --output.",
        ) from error
    emit(
        {"file": str(path)},
        json=json,
        text=f'Wrote {path}. Fill it in, then "harness experiment lint {path}".',
    )


def _begin(start: str | None) -> datetime:
    from harness.errors import UsageError
    from harness.log.places import parse

    if start is None:
        midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return midnight + timedelta(days=1)
    found = parse(start)
    if not isinstance(found, datetime):
        raise UsageError(f"--from is {start}.", "Expected a time here.", "Write positions into the file.")
    return found


@experiment.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@json_option
def lint(file: Path, json: bool) -> None:
    """Check FILE and name all of its faults at once."""
    from harness.experiment_lint import read_experiment

    found = read_experiment(file)
    body = {"file": str(file), "experiment": found.experiment.id, "digest": found.digest, "faults": 0}
    emit(body, json=json, text=f"{file}: no fault.\ndigest {found.digest}")


@experiment.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Check everything, register nothing.")
@folder_option
@json_option
def register(file: Path, dry_run: bool, folder: Path | None, json: bool) -> None:
    """Register FILE in its canonical form: from now on it does not change."""
    from harness.cli.experiment_text import registered_text
    from harness.experiment_lint import read_experiment
    from harness.experiments import check, register

    declared = read_experiment(file)
    with opened(folder) as log:
        if dry_run:
            body = check(log, declared)
            emit(body, json=json, text=f'"{declared.experiment.id}" can be registered. Nothing was stored.')
            return
        found = register(log, declared)
    emit(found.event, json=json, text=lambda: registered_text(found))


@experiment.command()
@click.argument("name", metavar="ID")
@click.option("--runs", type=click.IntRange(1, 100_000), default=500, show_default=True, help="Coin series.")
@click.option("--seed", type=int, default=1, show_default=True, help="Where chance begins.")
@folder_option
@json_option
def exchange(*, name: str, runs: int, seed: int, folder: Path | None, json: bool) -> int:
    """A/A on the looks of ID: exchange champion and challenger by a coin in each unit, and decide again.

    Both are equally good then, so a promotion is wrong. Exit code 1 when there are more than alpha and three
    standard errors allow.
    """
    from harness.exchanged import exchange, exchanged_text

    with opened(folder) as log:
        found = exchange(log, name, runs=runs, seed=seed)
    emit(found, json=json, text=lambda: exchanged_text(found))
    return 0 if found.holds else 1


@experiment.command("list")
@folder_option
@json_option
def list_(folder: Path | None, json: bool) -> int:
    """List the registered experiments; exit code 40 when a look of one was altered.

    A registration that cannot be read, such as that of a newer program, is named and stops no other.
    """
    from harness.cli.experiment_text import status_table
    from harness.experiment_errors import LookAltered
    from harness.experiment_status import ALTERED, statuses

    with opened(folder) as log:
        found = statuses(log)
    emit(found, json=json, text=lambda: status_table(found))
    return LookAltered.exit_code if any(each.state == ALTERED for each in found) else 0


@experiment.command()
@click.argument("name", metavar="ID")
@folder_option
@json_option
def show(name: str, folder: Path | None, json: bool) -> None:
    """Show what is registered under ID, its looks so far and what comes next."""
    from harness.cli.experiment_text import experiment_text
    from harness.experiment_status import status
    from harness.experiments import get_experiment

    with opened(folder) as log:
        found = get_experiment(log, name)
        state = status(log, found)
    data = {"registered": found.event, "status": state}
    emit(data, json=json, text=lambda: experiment_text(found, state))


@experiment.command()
@click.argument("name", metavar="ID")
@click.option("--interval", type=Finite(0.1), default=2.0, show_default=True, help="Seconds.")
@folder_option
@json_option
def watch(name: str, interval: float, folder: Path | None, json: bool) -> None:
    """Follow the looks at ID until its verdict; where nobody watches, show them once."""
    from harness.cli.experiment_watch import follow

    with opened(folder) as log:
        follow(log, name, interval_s=interval, json=json)


@experiment.command()
@json_option
def keys(json: bool) -> None:
    """Show every key of an experiment file."""
    from harness.experiment_reference import markdown, reference

    emit(reference(), json=json, text=markdown)
