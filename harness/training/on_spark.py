"""A training set built on Spark: references of parts travel out, counts and digests come back."""

import json
import pickle
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial as bound
from pathlib import Path
from typing import TYPE_CHECKING

from harness.engines.errors import ClusterFailed
from harness.engines.spark import Spark
from harness.errors import UnknownPosition
from harness.log.log import Log
from harness.training import files, spark_frames, spark_tasks
from harness.training.errors import SpecUnusable
from harness.training.folder import TrainingSet
from harness.training.kept import erasures
from harness.training.parts import DATA, Entry
from harness.training.rows import Outline, explain, folds, other_labels, resolved
from harness.training.sets import Place, Written, core_of, declare, settle
from harness.training.source import Schemas, schemas_in
from harness.training.spark_tasks import REFUSED, Job, added
from harness.training.spec import Spec
from harness.training.stream import schema_of
from recorders.errors import HarnessError
from replay.digest import Cells
from replay.ranges import AsOf
from replay.training import check_names

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# A task reads so many positions, and a bucket of ids holds about as many events.
POSITIONS = 2**21

Placed = tuple[Path, Entry]


def build_on_spark(
    log: Log,
    spec: Spec,
    session: "SparkSession",
    *,
    as_of: int | str | datetime | None = None,
    place: Place | None = None,
    positions: int = POSITIONS,
) -> TrainingSet:
    """Return the set that `spec` says, as `build_training_set` does: same id, same digest, same files.

    The workers need this package, a way to the database and to the store of segments, and the folder that the
    set is written into. What continues a set cheaply is not kept: `extend` builds it anew.

    Raises:
        SpecUnusable: its rows depend on all others, or on what is not in the log.
        ClusterFailed: Spark gave up. Nothing is registered.
        See `build_training_set`.
    """
    place = place or Place()
    why = _undivided(spec)
    if why is not None:
        raise SpecUnusable(
            f"On Spark this set cannot be built: {why}.", "Expected one built without --spark."
        )
    at = log.as_of(as_of)
    if spec.stop > at.position + 1:
        raise UnknownPosition(spec.stop - 1, at.position, cut=True)
    if place.out_dir is not None:
        files.check_free(place.out_dir)
    erased, _declared = erasures(log), declare(log, spec, at)
    schemas, labels = _counted(log, spec, at, session, positions)
    with files.beside(place.folder("new")) as partial:
        shared = partial / "spark"
        shared.mkdir()
        job = Job(log.address, spec, at, schemas, str(shared.absolute()))  # a worker has a folder of its own
        with _asked(shared):
            outline, parts, digest = _built(job, session, labels, place.rows_per_part, positions)
        (partial / DATA).mkdir()
        for folder, entry in parts:
            (folder / entry["file"]).rename(partial / entry["file"])
        shutil.rmtree(shared)
        core = core_of(log, outline, digest, [])
        written = Written(partial, [entry for _folder, entry in parts])
        return settle(log, core, written, place.folder(core["id"]), since=erased)


def _undivided(spec: Spec) -> str | None:
    """Return why the rows of a specification need each other, or what is outside; None where they do not."""
    if spec.weights is not None or any(rule.immature == "weight" for rule in spec.labels):
        return "its weights depend on all rows"
    if spec.gates or spec.drift is not None:
        return "its gates judge all rows"
    if spec.born:
        return "features born in shadow are joined from scores"
    return None if spec.backfill is None else "its recomputed features are not in the log"


def _counted(
    log: Log, spec: Spec, at: AsOf, session: "SparkSession", positions: int
) -> tuple[Schemas, dict[str, int]]:
    """Return the feature sets of the range and how many outcomes each label has up to the place."""
    sets: dict[str, int] = {}
    labels: dict[str, int] = {}
    parts = spark_frames.pieces(1, at.position + 1, positions)
    for _index, (rows, outcomes) in Spark(session).map(bound(spark_tasks.counted, log.address, spec), parts):
        sets, labels = added(sets, rows), added(labels, outcomes)
    return schemas_in(spec, log.feature_sets(), sets), labels


def _built(
    job: Job, session: "SparkSession", labels: dict[str, int], rows_per_part: int, positions: int
) -> tuple[Outline, list[Placed], str]:
    """Return what the set is, its parts where the workers left them, and its digest."""
    spec, features = job.spec, job.schemas.features
    schema = schema_of(job.schemas, spark_tasks.own_schema(job))
    check_names(features, spark_tasks.own_schema(job).names)
    with spark_frames.matched(job, session, positions) as found:
        account = spark_frames.account(found)
        size, units = spark_frames.units(job, session, found, rows_per_part, positions)
        if not size:
            explain(spec, job.as_of, account["oldest_us"], account["counts"], labels)
        written = units.collect()
    written.sort(key=lambda unit: unit["unit"])
    splits: dict[str, int] = {}
    for unit in written:
        splits = added(splits, json.loads(unit["splits"]))
    cells, width = b"".join(bytes(unit["cells"]) for unit in written), 32 * len(schema)
    chunks = [cells[at : at + width] for at in range(0, len(cells), width)]
    outline = Outline(
        spec=resolved(spec, job.schemas),
        as_of=job.as_of,
        size=size,
        counts=account["counts"],
        outcomes={**account["outcomes"], "other_label": other_labels(spec, labels)},
        splits=splits,
        more=folds(spec),
        schemas=job.schemas,
        schema=schema,
    )
    parts = [
        (Path(job.folder) / unit["folder"], entry) for unit in written for entry in json.loads(unit["parts"])
    ]
    return outline, parts, Cells.of(schema, size, chunks).digest()


@contextmanager
def _asked(shared: Path) -> Iterator[None]:
    """Raise what a worker of ours refused, where Spark says only that it gave up."""
    try:
        yield
    except ClusterFailed as failed:
        told = sorted(shared.glob(f"{REFUSED}*"))
        if not told:
            raise
        error: HarnessError = pickle.loads(told[0].read_bytes())  # noqa: S301  our own workers made it
        raise error from failed
