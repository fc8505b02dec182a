"""How a run ends that cannot go on: the words that its control event keeps, and those shown."""

from collections.abc import Mapping
from typing import Any

from harness.errors import DatabaseError
from recorders.errors import HarnessError, LinkUnavailable
from replay.model_errors import ChallengerEnded, ModelError, ModelUnavailable

CIRCUIT = "circuit open"
AWAY, FAILED = "model unavailable", "model failed"
# Not the model: what it knew, what it is to score, or where that is kept. The error alone says which.
OTHER = "error"


def can_be_said(error: HarnessError) -> bool:
    """Return whether the log can be told of an error: not of one that keeps us from the log."""
    return not isinstance(error, DatabaseError | LinkUnavailable)


def end_by(error: HarnessError) -> dict[str, Any]:
    """Return what the event of an end says: its reason, the error, and the ends of the model's process."""
    said: dict[str, Any] = {"error": error.happened}
    if isinstance(error, ChallengerEnded):
        return said | {"reason": CIRCUIT, "kills": error.kills, "blocks": error.blocks}
    if not isinstance(error, ModelError):
        return said | {"reason": OTHER}
    return said | {"reason": AWAY if isinstance(error, ModelUnavailable) else FAILED}


def told_end(body: Mapping[str, Any]) -> str:
    """Return an end in one line, as lists show it: with its error, whose words may be a challenger's own.

    >>> told_end({"reason": CIRCUIT, "kills": {"timeout": 11, "crash": 1}, "blocks": 3})
    'ended: circuit open (1 crash, 11 timeout in 3 blocks)'
    >>> told_end({"failed_in_a_row": 1024})
    'ended: its last 1,024 decisions all failed'
    >>> told_end({"reason": FAILED, "error": "Model 'py:m:f' raised:   no such column."})
    "ended: model failed: Model 'py:m:f' raised: no such column."
    >>> told_end({"reason": OTHER, "error": "The state at position 7 has other bytes."})
    'ended: The state at position 7 has other bytes.'
    """
    if "reason" not in body:
        return f"ended: its last {body['failed_in_a_row']:,} decisions all failed"
    if "kills" not in body:
        error = " ".join(body["error"].split())
        return f"ended: {error}" if body["reason"] == OTHER else f"ended: {body['reason']}: {error}"
    kills = ", ".join(f"{count:,} {name}" for name, count in sorted(body["kills"].items()))
    return f"ended: {body['reason']} ({kills} in {body['blocks']:,} blocks)"
