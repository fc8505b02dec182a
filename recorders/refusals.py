"""Refusals: what could not be recorded, counted by reason, the last of each kept in words."""

from collections.abc import Mapping

from recorders.counters import Tally
from recorders.errors import InvalidEvent
from recorders.unknown import UnknownFeature
from recorders.values import type_name

_OURS = (InvalidEvent, UnknownFeature)


class Refusals:
    """The last refusal of each reason. Counting one holds on to nothing of the caller's.

    >>> refusals, rejected = Refusals(), {"exception": Tally()}
    >>> refusals.count(ZeroDivisionError(), rejected)
    >>> rejected["exception"].value, refusals.samples["exception"].partition(".")[0]
    (1, 'What was recorded raised ZeroDivisionError')
    """

    def __init__(self) -> None:
        self._last: dict[str, InvalidEvent | str] = {}

    def count(self, error: Exception, rejected: Mapping[str, Tally]) -> None:
        """Count an event that raised, and keep the error as a sample: without what it holds on to."""
        # Not what derives from them: a stranger's class may do anything when it is touched.
        if isinstance(error, InvalidEvent) and type(error) in _OURS:
            error.__traceback__ = error.__context__ = error.__cause__ = None
            # A mapping of the caller's may raise our own error, with its own reason.
            known = type(error.reason) is str and error.reason in rejected
            reason = error.reason if known else "exception"
            rejected[reason].add()
            self._last[reason] = error
        else:
            rejected["exception"].add()
            self._last["exception"] = (
                f"What was recorded raised {type_name(error)}. Expected features as a mapping of names "
                "to values of the declared types. Record a dict of plain values."
            )

    @property
    def samples(self) -> Mapping[str, str]:
        """The last refusal of each reason, in words."""
        return {reason: str(sample) for reason, sample in list(self._last.items())}
