"""The challenger's guard: whatever a stranger's code raises becomes a reason."""

import re
from collections.abc import Callable
from typing import Any

ERROR_CHARACTERS = 200
_ADDRESS = re.compile(r"0x[0-9a-fA-F]+")


def guard(call: Callable[..., Any], *arguments: Any) -> tuple[Any, str | None]:
    """Return the result and None, or None and the reason why there is none.

    The one broad `except` in replay: a model may raise anything, at import, when it is made or when it
    scores, and it must cost rows, not the run. `sys.exit` is one more thing that it may do.
    """
    try:
        return call(*arguments), None
    except (Exception, SystemExit) as error:  # noqa: BLE001  see above
        return None, reason_of(error)


def reason_of(error: BaseException) -> str:
    """Return a short, repeatable text: one line, no addresses, which would change from run to run.

    >>> reason_of(ValueError("bad <X at 0x7f3a>"))
    'ValueError: bad <X at 0x>'
    """
    text = _ADDRESS.sub("0x", " ".join(str(error).split()))
    return f"{type(error).__name__}: {text}"[:ERROR_CHARACTERS]
