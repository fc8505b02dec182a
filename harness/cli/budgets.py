"""Options that say what a command may cost."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from harness.cli.finite import Finite
from harness.cli.places import duration
from harness.errors import UsageError

if TYPE_CHECKING:
    from harness.budget import Meter

Command = Callable[..., Any]


def budget_options(command: Command) -> Command:
    """Add --max-time, --max-cpu and --max-memory to a command."""
    for option in (
        click.option(
            "--max-memory",
            type=Finite(min=0, min_open=True),
            metavar="MB",
            help="End, to go on later, when this command and its processes hold so much.",
        ),
        click.option("--max-cpu", metavar="DURATION", help="... when they have used so much processor time."),
        click.option("--max-time", metavar="DURATION", help="End, to go on later, after so long: 30m, 8h."),
    ):
        command = option(command)
    return command


def meter_of(max_time: str | None, max_cpu: str | None, max_memory: float | None) -> "Meter":
    """Return the meter that counts from now on, with what the options allow.

    Raises:
        UsageError: a budget of nothing, or text that is no duration.
    """
    from harness.budget import Budget, Meter

    time_s, cpu_s = (None if text is None else duration(text).total_seconds() for text in (max_time, max_cpu))
    if 0 in (time_s, cpu_s):
        raise UsageError("A budget of 0.", "Expected a duration above 0.", "Write 30m or 8h.")
    return Meter(Budget(time_s, cpu_s, max_memory))
