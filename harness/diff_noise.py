"""The noise floor of a comparison: what the champions of its decisions, scored again, answer otherwise."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from harness.champion_again import champion_noise, merged_noise
from harness.errors import NotFound
from harness.log.log import Log
from harness.models import get_model
from harness.replays import read_scores
from replay.differences import DIFFERS, Sides
from replay.matching import Flags

COLUMNS = ("decision_id", "model", "model_version", "score", "decision")


def champions_noise(
    log: Log, decision_point: str, start: int, stop: int, decisions: pa.Table
) -> dict[str, Any] | None:
    """Return how far the champions of these decisions, scored again, are from what they decided live.

    A function of the log: it knows the champions that are registered under the name and version that their
    decisions carry, and that a replay has scored on this range. None when there is no such.
    """
    found, models = None, []
    names = pc.binary_join_element_wise(
        decisions.column("model").cast(pa.string()), decisions.column("model_version").cast(pa.string()), ":"
    )
    for reference in sorted(pc.unique(names).drop_null().to_pylist()):
        try:
            champion = get_model(log, reference)
        except NotFound:
            continue
        again = read_scores(log, champion.digest, decision_point, start, stop)
        noise = champion_noise(decisions, again, champion)
        models += [] if noise is None else [reference]
        found = merged_noise(found, noise)
    if found is None:
        return None
    return {**{name: value for name, value in found.items() if name != "model"}, "models": models}


def below_noise(sides: Sides, found: npt.NDArray[np.object_], noise: dict[str, Any] | None) -> Flags:
    """Return the differences whose scores are no farther apart than a champion is from itself; no flip is."""
    if noise is None:
        return np.zeros(found.size, dtype=np.bool_)
    small: Flags = (found == DIFFERS) & ~sides.flipped & (sides.apart <= float(noise["max_abs_difference"]))
    return small
