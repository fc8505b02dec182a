"""One finding of `harness model check`."""

from typing import Any, Literal

import msgspec

State = Literal["pass", "warn", "fail"]


class Finding(msgspec.Struct, frozen=True):
    """What was tried, how it came out, in words, and the figures behind the words."""

    check: str
    state: State
    found: str
    figures: dict[str, Any] = {}
