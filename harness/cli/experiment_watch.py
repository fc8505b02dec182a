"""A table of looks that fills as they are taken."""

import sys
import time
from typing import Any

from harness.cli.experiment_text import looks_table, next_line
from harness.cli.output import emit
from harness.experiment_status import Status, status
from harness.experiments import get_experiment
from harness.log.log import Log


def follow(log: Log, name: str, *, interval_s: float, json: bool) -> None:
    """Show the looks at `name` until its verdict is recorded; once when the output is no terminal."""
    experiment = get_experiment(log, name)
    state = status(log, experiment)
    if json or not sys.stdout.isatty():
        emit(state, json=json, text=lambda: _shown(state))
        return
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console: Any = Console()
    with Live(Text(_shown(state)), console=console, auto_refresh=False) as live:
        while not state.concluded:
            time.sleep(interval_s)
            state = status(log, experiment)
            live.update(Text(_shown(state)), refresh=True)


def _shown(state: Status) -> str:
    return f"{looks_table(state.looks)}\n{next_line(state)}"
