"""Canonical JSON: one byte string for one value, so that digests of declarations agree everywhere."""

import hashlib
import json
from typing import Any


def canonical_json(value: Any) -> bytes:
    """Return the one UTF-8 JSON text of `value`: sorted keys, no spaces, shortest float digits.

    Raises:
        ValueError: `value` holds NaN or an infinity. JSON has no such number: say "unknown" as null
            with a reason beside it.

    >>> canonical_json({"b": 1.0, "a": "é"}).decode()
    '{"a":"é","b":1.0}'
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def digest(data: bytes) -> str:
    """Return the SHA-256 of `data` as 64 lower-case hex digits.

    >>> digest(b"")[:8]
    'e3b0c442'
    """
    return hashlib.sha256(data).hexdigest()
