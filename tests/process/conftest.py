"""What tests of commands share."""

from collections.abc import Callable

import pytest

from harness.cli.main import run


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a command line in this process; it must end with `code`. Return what it wrote.

    That is the error stream where nothing is on the other.
    """

    def call(*words: str, code: int = 0) -> str:
        capsys.readouterr()
        found = run(words)
        told = capsys.readouterr()
        assert found == code, told
        return told.out or told.err

    return call
