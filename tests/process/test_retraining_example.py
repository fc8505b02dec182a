"""examples/retraining: from a log to models that learned from it, and to the proof, as its README tells."""

import doctest
import shutil
from pathlib import Path

from tests.docs.test_documents_run import BLOCK, OPTIONS, commands, exit_code_named, folder, run

EXAMPLE = Path(__file__).parents[2] / "examples/retraining"
__all__ = ["folder"]  # a fixture


def test_every_command_of_the_readme_says_what_it_shows(folder: Path) -> None:
    shutil.copytree(EXAMPLE, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    (block,) = BLOCK.finditer((EXAMPLE / "README.md").read_text())
    told = list(commands(block["body"]))
    assert len(told) == 12
    for command, expected in told:
        done = run(command, folder)
        shown = done.stdout + done.stderr
        assert done.returncode == exit_code_named(command), f"$ {command}\n{shown}"
        if expected.strip():
            assert doctest.OutputChecker().check_output(expected, shown, OPTIONS), f"$ {command}\n{shown}"
