"""Libraries that stand before the system's calls, in a process that is started behind them."""

import shutil
import subprocess
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[1] / "process"
CC = shutil.which("cc")


def compiled(source: str, folder: Path) -> Path:
    """Return the library of a C file that stands before the system's calls."""
    if CC is None:
        pytest.skip("no C compiler here")
    library = folder / f"{source}.so"
    file = SOURCES / f"{source}.c"
    subprocess.run([CC, "-shared", "-fPIC", "-O1", "-o", library, file, "-ldl"], check=True)
    return library


class SetClock:
    """The clock of a process behind set_clock.c: `environment` is what it is started with."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock"
        self.set(0)
        self.environment = {"LD_PRELOAD": str(compiled("set_clock", folder)), "CLOCK_OFF": str(self._file)}

    def set(self, seconds: int) -> None:
        """Let the clock be off by so many seconds from now on."""
        born = self._file.with_suffix(".new")
        born.write_text(str(seconds))
        born.replace(self._file)
