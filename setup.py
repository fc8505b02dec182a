"""The one part of the build that is no declaration: the recorder's hot path is compiled (docs/adr/0034).

Without a compiler the build goes on, leaves it out, and names the wheel one for every platform.
HARNESS_RECORDER_PURE=1 leaves it out on purpose. packaging/recorder/setup.py runs this as well.
"""

import os
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel

RECORDERS = Path(os.path.relpath(Path(__file__).parent)) / "recorders"
HOT_PATH = Extension(
    "recorders._hotpath",
    [
        (RECORDERS / name).as_posix()
        for name in ("_hotpath.c", "_cut.c", "_halves.c", "_heads.c", "_picks.c", "_rows.c", "_transpose.c")
    ],
    depends=[(RECORDERS / name).as_posix() for name in ("_plain.h", "_cut.h", "_doors.h", "_rows.h")],
    optional=True,
)


class Wheel(bdist_wheel):
    """A wheel that is of this platform only where the extension came to be."""

    def run(self) -> None:
        """Compile first: what there is to be packed decides what it is called."""
        self.run_command("build_ext")
        made = self.get_finalized_command("build_ext").get_outputs()
        if not any(Path(path).exists() for path in made):
            self.distribution.ext_modules = []
            self.root_is_pure = True
        super().run()


setup(
    ext_modules=[] if os.environ.get("HARNESS_RECORDER_PURE", "0") not in ("", "0") else [HOT_PATH],
    cmdclass={"bdist_wheel": Wheel},
)
