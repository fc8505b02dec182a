"""What can go wrong on an engine. One class per remedy; the values are attributes.

HarnessError (recorders.errors)
├── PartPoisoned            a part that ends whatever worker it is given                    exit 1
└── EngineLost              an engine that ended before it had run every part               exit 1
"""

# ruff: noqa: N818  # the names are the design's words; what derives from HarnessError is an error

from recorders.errors import HarnessError

_SHOWN_MAX = 80


class PartPoisoned(HarnessError):
    """A part that ended every worker it was given: too large for the machine, or a crash in native code."""

    def __init__(self, index: int, parts: int, part: object, attempts: int) -> None:
        super().__init__(
            f"Part {index + 1} of {parts}, {part!r:.{_SHOWN_MAX}}, ended its worker {attempts} times.",
            "Expected a worker to live through it: it was killed, ran out of memory, or crashed.",
            "Look for it in the system's log; run it with fewer workers, or in a place with more memory.",
        )
        self.index, self.part, self.attempts = index, part, attempts


class EngineLost(HarnessError):
    """An engine ended, and some parts were never run: its cluster went away."""

    def __init__(self, missing: list[int], parts: int) -> None:
        super().__init__(
            f"The engine ended without {len(missing)} of {parts} parts, the first is part {missing[0] + 1}.",
            "Expected the result of every part.",
            "Look at its own log, then run it again: nothing was stored.",
        )
        self.missing = missing
