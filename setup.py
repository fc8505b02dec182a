"""The one part of the build that is no declaration: the recorder's hot path is compiled (docs/adr/0034).

Without a compiler the build goes on and leaves it out. HARNESS_RECORDER_PURE=1 leaves it out on purpose, for
a wheel that every platform takes.
"""

import os

from setuptools import Extension, setup

HOT_PATH = Extension(
    "recorders._hotpath", ["recorders/_hotpath.c"], depends=["recorders/_plain.h"], optional=True
)
setup(ext_modules=[] if os.environ.get("HARNESS_RECORDER_PURE", "0") not in ("", "0") else [HOT_PATH])
