"""Two training sets of one log, compared row by row."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from harness.log.log import Log
from harness.training import registry
from harness.training.errors import SpecUnusable
from harness.training.files import MANIFEST, read_backfill
from harness.training.folder import TrainingSet
from harness.training.registry import get_training_set, recut
from harness.training.spec import spec_of
from replay.columns import int64
from replay.differ import Difference, Side, difference

# What a specification calls it in its file.
_WORDS: Final = {"start": "from"}


def diff_training_sets(
    log: Log, before: str | Path, after: str | Path, progress: Callable[[int], None] = lambda _: None
) -> Difference:
    """Return what leads from one set to the other; each is an id, whose rows come from the log, or a folder.

    An erasure shows only against a folder that was written before it: the log no longer has the values.
    Memory: the rows of both. `progress` is called with how many positions were read: see `readings`.

    Raises:
        NotFound: no such set.
        SpecUnusable: they are of different decision points, so they share no decision.
    """
    old, new = (spec_of(get_training_set(log, id_of(name)).body["cut"]) for name in (before, after))
    if old.decision_point != new.decision_point:
        raise SpecUnusable(
            f"The sets are of {old.decision_point} and {new.decision_point}.",
            "Expected two sets of one decision point.",
        )
    said = [name for name in old.__struct_fields__ if name != "stop"]
    apart = [_WORDS.get(name, name) for name in said if getattr(old, name) != getattr(new, name)]
    first = readings(log, before)
    sides = _side(log, before, progress), _side(log, after, lambda done: progress(first + done))
    return replace(difference(*sides), apart=tuple(apart))


def readings(log: Log, name: str | Path) -> int:
    """Return how many positions are read of one of the sets: of one in a folder, only those of its keys."""
    on_disk = (Path(name) / MANIFEST).exists()
    return registry.readings(log, id_of(name)) // (2 if on_disk else 1)


def id_of(name: str | Path) -> str:
    """Return the id of a set that is named by its id or by its folder."""
    return TrainingSet.open(name).id if (Path(name) / MANIFEST).exists() else str(name)


def _side(log: Log, name: str | Path, progress: Callable[[int], None]) -> Side:
    registered = get_training_set(log, id_of(name)).body
    on_disk = TrainingSet.open(name) if (Path(name) / MANIFEST).exists() else None
    backfill = None if on_disk is None else read_backfill(on_disk.folder)
    cut = recut(log, id_of(name), registered, backfill, progress)
    rows: pa.Table = cut.table() if on_disk is None else on_disk.to_arrow()
    labels = [column for column in rows.schema.names if column.partition(".")[0] == "label"]
    return Side(
        rows=rows,
        positions=int64(cut.candidates.keys.column("position"), "position"),
        codes=np.asarray(cut.codes),
        labels=labels,
        features=cut.schemas.features,
        rules=(cut.spec.labels, cut.spec.weights),
    )
