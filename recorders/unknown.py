"""Fields that nobody declared, and the declared one that was probably meant."""

import difflib

from recorders.errors import InvalidEvent
from recorders.values import shown

_COMPARED = 128  # characters of a key that are compared; no declared name is longer


class UnknownFeature(InvalidEvent):
    """A snapshot has a key that its feature set does not declare.

    The nearest declared name is looked for when the text is asked for: on the request path it would cost
    a hundred times the event.

    >>> str(UnknownFeature("cuntry", "fraud:1", ("age", "country")))[:68]
    "Unknown feature 'cuntry': the nearest declared one is 'country'. Exp"
    """

    def __init__(self, key: object, label: str, names: tuple[str, ...]) -> None:
        super().__init__(
            "undeclared",
            "Unknown feature.",
            f"Expected the fields of {label}.",
            "Correct the name, declare it in a new version, or leave it out.",
        )
        self.key = key[:_COMPARED] if type(key) is str else shown(key)  # a sample keeps no more of it
        self.known = type(key) is str
        self.names = names

    def __str__(self) -> str:
        """Return the three parts, with the nearest declared name."""
        return f"{self._what()} {self.expected} {self.remedy}"

    def _what(self) -> str:
        if not self.known:
            return f"Unknown feature: {self.key}."
        near = difflib.get_close_matches(self.key, self.names, n=1, cutoff=0.0)
        return f"Unknown feature {self.key!r}: the nearest declared one is {near[0]!r}."
