"""A decision point as the name of a file or folder."""

import hashlib
from typing import Final
from urllib.parse import quote

# File systems take 255 bytes a name, ".parquet" with them; percent-encoding makes three bytes of one.
_LONGEST: Final = 240
_KEPT: Final = 180


def file_name(decision_point: str) -> str:
    """Return one name for a decision point, percent-encoded: of at most 247 letters, digits and `%-._~`.

    What would be longer than 240 is cut, and ends in `~` and the SHA-256 of the decision point. It is longer
    than 240 even so: no other decision point's name is the same.

    >>> file_name("fraud/eu")
    'fraud%2Feu'
    >>> file_name("é" * 100)[-70:]
    'C3%A9~f42ec48e1e4b487e590e0b3d4e58437c8327efa855d769709f4942a4f73a7eb6'
    """
    if decision_point in {"_", ".", ".."}:  # the first is the folder of control events
        return "".join(f"%{ord(letter):02X}" for letter in decision_point)
    encoded = quote(decision_point, safe="")
    if len(encoded) <= _LONGEST:
        return encoded
    kept = encoded[:_KEPT]
    if "%" in kept[-2:]:  # no half of a byte
        kept = kept[: kept.rindex("%")]
    return f"{kept}~{hashlib.sha256(decision_point.encode()).hexdigest()}"
