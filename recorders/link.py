"""The port through which frames leave a recorder."""

from typing import Protocol

from recorders.frame import Frame, Receipt


class Link(Protocol):
    """Takes frames to the log, one at a time, from the recorder's background thread alone."""

    def send(self, frame: Frame) -> Receipt:
        """Return the receipt of `frame` once the log holds it. Blocks.

        Raises:
            LinkUnavailable: no answer; the recorder sends the same frame again later.
            EventAhead: some events are of a day to come; the recorder counts them and sends the others.
            AppendError: the log refuses; the recorder stops, counts and reports.
        """
        ...

    def close(self) -> None:
        """Release what the link holds. Safe to call twice."""
        ...
