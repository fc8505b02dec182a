"""Speak with what is outside: one request, no redirects, ten seconds, a bounded answer."""

import http.client
import urllib.error
import urllib.request
from typing import Any, Final

from harness.integrity.errors import OutsideUnavailable

PATIENCE_S: Final = 10
ANSWER_BYTES_MAX: Final = 64 * 2**10


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Follow nothing: an address comes from the configuration, never from an answer."""


def post(what: str, url: str, body: bytes, kind: str) -> tuple[int, bytes]:
    """Return status and body of the answer to a POST; `what` names the receiver in an error.

    Raises:
        OutsideUnavailable: no answer, or one that is too long.
    """
    opener = urllib.request.build_opener(_NoRedirect)
    request = urllib.request.Request(url, data=body, headers={"Content-Type": kind}, method="POST")  # noqa: S310 - http(s) alone
    try:
        with opener.open(request, timeout=PATIENCE_S) as answer:
            status, data = answer.status, answer.read(ANSWER_BYTES_MAX + 1)
    except urllib.error.HTTPError as error:
        with error:
            status, data = error.code, error.read(ANSWER_BYTES_MAX + 1)
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise OutsideUnavailable(what, str(reason) or type(error).__name__) from error
    if len(data) > ANSWER_BYTES_MAX:
        raise OutsideUnavailable(what, f"its answer is longer than {ANSWER_BYTES_MAX} bytes")
    return status, data
