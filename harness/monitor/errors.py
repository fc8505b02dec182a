"""What can go wrong with monitors. One class per remedy.

HarnessError (recorders.errors)
├── MonitorChanged      an id that names another monitor                  exit 2
├── ReferenceUnusable   a past that is not over, or holds nothing         exit 2
├── FeatureEncrypted    a feature that is kept encrypted                  exit 2
└── MonitorAltered      a stored answer is not what the log gives         exit 40
"""

# ruff: noqa: N818  # the names are the design's words; what derives from HarnessError is an error

from harness.errors import UsageError
from recorders.errors import HarnessError


class MonitorChanged(UsageError):
    """An id that names another monitor. A changed monitor is a new one, with a reference of its own."""

    def __init__(self, name: str, position: int) -> None:
        super().__init__(
            f'Monitor "{name}" is registered at position {position} with other values.',
            "Expected the registered file: what raises an alarm does not change while it watches.",
            "Give the changed file a new id, or register the file as it was.",
        )


class ReferenceUnusable(UsageError):
    """The past that windows are to be compared with cannot be read yet, or there is nothing in it."""

    def __init__(self, name: str, happened: str, remedy: str) -> None:
        super().__init__(
            f'The reference of "{name}" {happened}', "Expected days that are over, with decisions.", remedy
        )


class FeatureEncrypted(UsageError):
    """A feature that a monitor cannot watch: its answers would keep values of persons for ever."""

    def __init__(self, name: str, feature: str) -> None:
        super().__init__(
            f'"{name}" is to watch "{feature}", which is kept encrypted.',
            "Expected features that are neither subject nor sensitive: what a monitor says of values stays "
            "in the log when their person is erased.",
            f'Leave "{feature}" out of [[features]].',
        )


class MonitorAltered(HarnessError):
    """A stored answer is not what the log gives. Verify the log first."""

    exit_code = 40

    def __init__(self, name: str, day: str, field: str, stored: str, again: str) -> None:
        super().__init__(
            f'"{name}" says of {day} in {field}: {stored}. The log gives {again}.',
            "Expected the same bytes.",
            'Run "harness log verify", then keep both answers for whoever wrote the first.',
        )
