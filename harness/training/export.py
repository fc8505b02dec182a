"""Export: a registered set written anew from the log, as a folder that other tools read."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from harness.log.log import Log
from harness.log.merkle import root_of
from harness.replay_errors import TrainingSetDiffers
from harness.training.files import beside, check_free
from harness.training.folder import TrainingSet
from harness.training.parts import ROWS_PER_PART, PartWriter, cuts
from harness.training.registry import get_training_set, recut
from harness.training.roots import Leaves, register_root, set_root
from harness.training.sets import Written, settle
from replay.digest import canonical_digest


def export_training_set(
    log: Log,
    name: str,
    out_dir: Path | str,
    *,
    rows_per_part: int = ROWS_PER_PART,
    backfill: pa.Table | None = None,
    progress: Callable[[int], None] | None = None,
) -> TrainingSet:
    """Return a registered set, rebuilt from the log, checked against its digest, and written to `out_dir`.

    Beside the parts it has what other tools read: see harness/training/hand_off.py.

    Raises:
        TrainingSetDiffers, ExportFailed, FolderTaken: see there.
    """
    registered, folder = get_training_set(log, name).body, Path(out_dir)
    check_free(folder)
    rows = recut(log, name, registered, backfill, progress)
    with beside(folder) as partial:
        writer, leaves = PartWriter(partial, cuts(rows.size, rows_per_part)), Leaves()
        try:
            found = canonical_digest(leaves.through(writer.through(rows.batches())))
        finally:
            writer.abandon()
        if found != registered["digest"]:
            raise TrainingSetDiffers(name, "The log", registered["digest"], found)
        root = set_root(rows.size, root_of(leaves.leaves))
        named = register_root(log, name, registered["digest"], root, rows.size)
        written = Written(partial, writer.parts, backfill, (root, named))
        return settle(log, registered, written, folder)
