"""Two training sets of one log, compared row by row."""

from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from harness.log.log import Log
from harness.training.errors import SpecUnusable
from harness.training.files import MANIFEST, read_backfill
from harness.training.folder import TrainingSet
from harness.training.registry import get_training_set, recut
from harness.training.spec import spec_of
from replay.columns import int64
from replay.differ import Difference, Side, difference

# What a specification calls it in its file.
_WORDS: Final = {"start": "from"}


def diff_training_sets(log: Log, before: str | Path, after: str | Path) -> Difference:
    """Return what leads from one set to the other; each is an id, whose rows come from the log, or a folder.

    An erasure shows only against a folder that was written before it: the log no longer has the values.
    Memory: the rows of both.

    Raises:
        NotFound: no such set.
        SpecUnusable: they are of different decision points, so they share no decision.
    """
    old, new = (spec_of(get_training_set(log, _id_of(name)).body["cut"]) for name in (before, after))
    if old.decision_point != new.decision_point:
        raise SpecUnusable(
            f"The sets are of {old.decision_point} and {new.decision_point}.",
            "Expected two sets of one decision point.",
        )
    said = [name for name in old.__struct_fields__ if name != "stop"]
    apart = [_WORDS.get(name, name) for name in said if getattr(old, name) != getattr(new, name)]
    return replace(difference(_side(log, before), _side(log, after)), apart=tuple(apart))


def _id_of(name: str | Path) -> str:
    return TrainingSet.open(name).id if (Path(name) / MANIFEST).exists() else str(name)


def _side(log: Log, name: str | Path) -> Side:
    registered = get_training_set(log, _id_of(name)).body
    on_disk = TrainingSet.open(name) if (Path(name) / MANIFEST).exists() else None
    backfill = None if on_disk is None else read_backfill(on_disk.folder)
    cut = recut(log, _id_of(name), registered, backfill)
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
