"""What can go wrong with a query. One class per remedy.

HarnessError (recorders.errors)
├── QueryRefused            SQL that cannot be run here                                     exit 2
└── QueryTooLarge           it needs more memory, or more room to spill, than it was given  exit 1
"""

# ruff: noqa: N818  # the names are the design's words; what derives from HarnessError is an error

from harness.errors import UsageError
from recorders.errors import HarnessError


class QueryRefused(UsageError):
    """SQL that cannot be run here. `reason` is the engine's own text; `known` names what there is to ask."""

    def __init__(self, reason: str, known: str) -> None:
        super().__init__(
            f"The query cannot be run: {reason}.",
            f"Expected one SELECT over {known}.",
            "Correct it; \"harness query 'describe decisions'\" lists all columns with their types.",
        )
        self.reason = reason
        self.known = known


class QueryTooLarge(HarnessError):
    """It needs more memory, or more room to spill, than it was given. Nothing is harmed."""

    def __init__(self, memory: str, reason: str) -> None:
        super().__init__(
            f"The query does not fit into {memory}: {reason}.",
            "Expected one whose groups, sorts and joins fit there or spill into the temporary folder.",
            "Ask for fewer columns or a shorter range, give it more with --memory, or free space in TMPDIR.",
        )
        self.memory = memory
        self.reason = reason
