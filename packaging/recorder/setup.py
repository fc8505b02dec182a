"""What is no declaration: the compiled hot path, as in the setup.py of the whole (docs/adr/0034)."""

import os

from setuptools import Extension, setup

HOT_PATH = Extension(
    "recorders._hotpath",
    ["../../recorders/_hotpath.c"],
    depends=["../../recorders/_plain.h"],
    optional=True,
)
setup(ext_modules=[] if os.environ.get("HARNESS_RECORDER_PURE", "0") not in ("", "0") else [HOT_PATH])
