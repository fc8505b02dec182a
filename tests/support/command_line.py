"""The command line in a process of its own, as a user has it: no database but the one that is named."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
HARNESS = [sys.executable, "-c", "from harness.cli.entry import main; main()"]
CLEAN = {name: value for name, value in os.environ.items() if name != "HARNESS_DATABASE_URL"}

Command = Callable[..., tuple[int, str]]
"""The arguments of a command line to its exit code and all that it wrote."""


def run(*arguments: object, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run one command in the repository's root; its output is text, whatever its exit code."""
    command = [*HARNESS, *map(str, arguments)]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, env=CLEAN | environment, timeout=120
    )
