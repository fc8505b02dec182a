"""A proposal of a mapping for a sample, with how it fits: what both command lines tell."""

from pathlib import Path
from typing import Any

from recorders.doors.errors import MappingError
from recorders.doors.propose import fits, propose
from recorders.doors.sources import SOURCES


def proposal(sample: Path, decision_point: str, source: str | None) -> dict[str, Any]:
    """Return `mapping` (TOML), how many rows of the sample it has `taken` and `refused`, and why (`samples`).

    Raises:
        MappingError: the source is unknown, or nothing can be proposed for the sample.
    """
    if source is not None and source not in SOURCES:
        raise MappingError.unknown("--source", source, SOURCES)
    text = propose(sample, decision_point, source)
    taken, refused, samples = fits(text, sample)
    return {"mapping": text, "taken": taken, "refused": refused, "samples": samples}


def shown(found: dict[str, Any]) -> str:
    r"""Return a proposal for people: the TOML as it can be kept, and below it how it fits, as comments.

    >>> print(shown({"mapping": "x = 1\n", "taken": 2, "refused": 1, "samples": ["no id"]}))
    x = 1
    # It takes 2 rows of the sample and refuses 1.
    #   no id
    """
    fit = f"# It takes {found['taken']} rows of the sample and refuses {found['refused']}."
    return "\n".join([found["mapping"].rstrip(), fit, *(f"#   {one}" for one in found["samples"])])
