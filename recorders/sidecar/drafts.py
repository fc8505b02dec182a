"""Drafts: batches before they have a writer and a sequence. Light to import: a start takes frames at once."""

from datetime import datetime
from typing import Any, NamedTuple

from recorders.canonical import canonical_json, digest
from recorders.frame import CONTROL_SCHEMA_DIGEST
from recorders.sidecar.salvage import Stored


class Draft(NamedTuple):
    """A batch before it has a writer and a sequence. `digest` is the SHA-256 of `payload` in hex."""

    kind: str
    decision_point: str
    schema_digest: str
    events: int
    occurred_min: datetime | None
    occurred_max: datetime | None
    payload: bytes
    digest: str
    frames: tuple[Stored, ...]


def control(event: dict[str, Any], decision_point: str = "") -> Draft:
    """Return the batch that holds one control event."""
    return control_of(canonical_json(event), decision_point)


def control_of(payload: bytes, decision_point: str, *frames: Stored) -> Draft:
    """Return the batch of a control event in its canonical form, which `frames` reported."""
    return Draft(
        "control", decision_point, CONTROL_SCHEMA_DIGEST, 1, None, None, payload, digest(payload), frames
    )
