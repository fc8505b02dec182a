"""The challenger's guard: whatever a stranger's code raises becomes a reason."""

import re
from collections.abc import Callable
from typing import Any

from replay.terminated import Terminated

ERROR_CHARACTERS = 200
_ADDRESS = re.compile(r"0x[0-9a-fA-F]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


class CallFailed(Exception):  # noqa: N818  a call that failed, not an error of ours
    """A call gave no scores, for `reason`.

    `killed`: the challenger's process had to be ended or ended itself, so that asking again is dear.
    `whole`: no other cut of the rows would do better (a server that does not answer).
    """

    def __init__(self, reason: str, *, killed: bool = False, whole: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.killed, self.whole = reason, killed, whole


def guard(call: Callable[..., Any], *arguments: Any) -> tuple[Any, CallFailed | None]:
    """Return the result and None, or None and why there is none.

    The one broad `except` in replay: a model may raise anything, at import, when it is made or when it
    scores, and it must cost rows, not the run. `sys.exit` is one more thing that it may do, and so is what a
    library derives from SystemExit or BaseException. The end that the command itself is told passes.
    """
    try:
        return call(*arguments), None
    except CallFailed as failed:
        return None, failed
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt | Terminated):
            raise
        if call is _words:  # nor can what it raised be told without raising
            return "", None
        return None, CallFailed(reason_of(error))


def reason_of(error: BaseException) -> str:
    """Return a short, repeatable text: one line, no addresses, which would change from run to run.

    >>> reason_of(ValueError("bad <X at 0x7f3a>"))
    'ValueError: bad <X at 0x>'
    """
    words, _raised = guard(_words, error)
    return f"{type(error).__name__}: {words}"[:ERROR_CHARACTERS]


def _words(error: BaseException) -> str:
    return plain(str(error))


def plain(text: str) -> str:
    r"""Return a stranger's text as one line without controls and addresses, of at most ERROR_CHARACTERS.

    Half of a surrogate pair is no character, and no file or database takes it: it is spelled.

    >>> plain("a\ud800b")
    'a\\ud800b'
    """
    whole = text[: 4 * ERROR_CHARACTERS].encode(errors="backslashreplace").decode()
    return _ADDRESS.sub("0x", " ".join(_CONTROL.sub(" ", whole).split()))[:ERROR_CHARACTERS]
