"""How a run ends when its model cannot go on: the words that its control event keeps, and those shown."""

from collections.abc import Mapping
from typing import Any

from replay.model_errors import ChallengerEnded, ModelError, ModelUnavailable

CIRCUIT = "circuit open"
AWAY, FAILED = "model unavailable", "model failed"


def model_end(error: ModelError) -> dict[str, Any]:
    """Return what the event of an end says: its reason, the error, and the ends of the model's process."""
    said: dict[str, Any] = {"error": error.happened}
    if isinstance(error, ChallengerEnded):
        return said | {"reason": CIRCUIT, "kills": error.kills, "blocks": error.blocks}
    return said | {"reason": AWAY if isinstance(error, ModelUnavailable) else FAILED}


def told_end(body: Mapping[str, Any]) -> str:
    """Return an end in one line, as lists show it.

    >>> told_end({"reason": CIRCUIT, "kills": {"timeout": 11, "crash": 1}, "blocks": 3})
    'ended: circuit open (1 crash, 11 timeout in 3 blocks)'
    >>> told_end({"failed_in_a_row": 1024})
    'ended: its last 1,024 decisions all failed'
    """
    if "reason" not in body:
        return f"ended: its last {body['failed_in_a_row']:,} decisions all failed"
    if "kills" not in body:
        return f"ended: {body['reason']}"
    kills = ", ".join(f"{count:,} {name}" for name, count in sorted(body["kills"].items()))
    return f"ended: {body['reason']} ({kills} in {body['blocks']:,} blocks)"
