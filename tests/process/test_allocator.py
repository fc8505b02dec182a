"""Which allocator the columns of a command come from: malloc, but for the sidecar, and unless a user says."""

import os
import subprocess
import sys

import pytest

CODE = """
import sys
from harness.cli.entry import main
try:
    main()
finally:
    import pyarrow
    print(pyarrow.default_memory_pool().backend_name)
"""
NAME = "ARROW_DEFAULT_MEMORY_POOL"


def allocator_of(*arguments: str, said: str | None = None) -> str:
    environment = {name: value for name, value in os.environ.items() if name != NAME}
    if said is not None:
        environment[NAME] = said
    command = [sys.executable, "-c", CODE, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize("noun", ["replay", "evaluate", "log"])
def test_the_columns_of_a_command_come_from_malloc(noun):
    assert allocator_of(noun, "--help") == "system"


def test_the_sidecar_keeps_what_it_was_measured_with():
    assert allocator_of("sidecar", "--help") != "system"


def test_what_a_user_says_stays():
    assert allocator_of("replay", "--help", said="mimalloc") == "mimalloc"
