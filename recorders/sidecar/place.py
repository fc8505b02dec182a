"""Place: where a frame lies in the inbox."""

from typing import Final, NamedTuple

INBOX: Final = "inbox-"


class Place(NamedTuple):
    """A place in the inbox: a segment's number and a frame's id in it. Places are in order of arrival."""

    segment: int
    id: int
