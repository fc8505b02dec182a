"""Training sets: cut from the log, written as Parquet, registered by digest, rebuilt at will."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from harness.errors import NotFound
from harness.log.events import ControlEvent
from harness.log.log import Log
from harness.replay_errors import EmptyTrainingSet, FolderTaken, TrainingSetDiffers
from harness.training_files import ROWS_PER_PART, placed, read_manifest, read_parts, write_set
from harness.training_rows import Cut, Rows, cut_rows
from recorders.canonical import canonical_json, digest
from recorders.errors import WriterForked
from replay.digest import canonical_digest
from replay.frames import to_frame

CREATED = "training_set.created"
FORMAT = "training-set/1"


class TrainingSet:
    """A training set on disk: `manifest`, `digest`, `id`, `folder`.

    The digest is over values, so it is the same whoever wrote the files, in however many parts.
    """

    def __init__(self, manifest: dict[str, Any], folder: Path) -> None:
        self.manifest = manifest
        self.folder = folder

    @classmethod
    def open(cls, folder: Path | str) -> "TrainingSet":
        """Return the training set in `folder`; nothing of the parts is read yet.

        Raises:
            NotFound: there is no manifest.
        """
        return cls(read_manifest(Path(folder)), Path(folder))

    @property
    def id(self) -> str:
        """The name of the set: `ts-` and the first digits of the digest of what it is."""
        return str(self.manifest["id"])

    @property
    def digest(self) -> str:
        """The canonical digest of the values, 64 hex digits."""
        return str(self.manifest["digest"])

    def to_arrow(self, split: str | None = None) -> pa.Table:
        """Return the rows by position, all of them or those of one `split`."""
        table = read_parts(self.folder, self.manifest)
        return table if split is None else table.filter(pc.equal(table.column("split"), split))

    def to_pandas(self, split: str | None = None) -> pd.DataFrame:
        """Return the rows as a DataFrame with the types that models see when they score."""
        return to_frame(self.to_arrow(split).combine_chunks())

    def verify(self, log: Log) -> dict[str, Any]:
        """Return what was checked: files against manifest, manifest against log, log against digest.

        Raises:
            TrainingSetDiffers: one of them gives other values.
        """
        if (self.folder / "manifest.json").exists():
            found = canonical_digest(self.to_arrow())
            if found != self.digest:
                raise TrainingSetDiffers(self.id, "The files", self.digest, found)
        registered = get_training_set(log, self.id).body
        for key, value in registered.items():
            if self.manifest.get(key) != value:
                claimed = digest(canonical_json(self.manifest.get(key)))
                raise TrainingSetDiffers(
                    self.id, f"The manifest's {key!r}", digest(canonical_json(value)), claimed
                )
        return verify_training_set(log, self.id)


def create_training_set(  # noqa: PLR0913  each is one line of the manifest
    log: Log,
    *,
    decision_point: str,
    start: int,
    stop: int,
    label: str,
    window: timedelta,
    as_of: int | str | datetime | None = None,
    features: Sequence[str] | None = None,
    feature_set: str | None = None,
    split: datetime | None = None,
    gap: timedelta = timedelta(0),
    where: Mapping[str, Sequence[Any]] | None = None,
    out_dir: Path | str | None = None,
    rows_per_part: int = ROWS_PER_PART,
    home: Path | None = None,
) -> TrainingSet:
    """Return the matured, labelled decisions of [start, stop) as known at `as_of`, written and registered.

    Rows: decision_id, position, occurred_at, `features` (default: all of role feature), label, split.
    `split` is the instant from which rows are the test, those less than `gap` before it are left out.
    `where` keeps rows by the values of columns. Every row that is left out is counted in the manifest.
    `out_dir` is the set's own folder, by default `home`/.harness/training-sets/<id>. The same cut again
    gives the same set. Memory: the range's columns.

    Raises:
        MixedFeatureSets: several schemas in the range and no `feature_set` (name:version) chosen.
        FeatureUnknown, EmptyTrainingSet, ExportFailed, FolderTaken: see there.
    """
    cut = Cut(
        decision_point=decision_point,
        start=start,
        stop=stop,
        label=label,
        window=window,
        features=None if features is None else tuple(features),
        feature_set=feature_set,
        test_from=split,
        gap=gap,
        where={name: list(values) for name, values in (where or {}).items()},
    )
    rows = cut_rows(log, cut, log.as_of(as_of))
    if not rows.table.num_rows:
        raise EmptyTrainingSet(rows.counts, label)
    core = _core(log, rows)
    own = (home or Path.cwd()) / ".harness" / "training-sets" / core["id"]
    folder = own if out_dir is None else Path(out_dir)
    return _written(log, core, rows.table, folder, rows_per_part, register=True)


def list_training_sets(log: Log) -> list[ControlEvent]:
    """Return the registrations in the order of the log."""
    return log.controls(CREATED)


def get_training_set(log: Log, name: str) -> ControlEvent:
    """Return the registration of a set by its id.

    Raises:
        NotFound: there is none; the nearest ids are named.
    """
    found = log.controls(CREATED, name)
    if not found:
        raise NotFound("training set", name, {event.subject for event in log.controls(CREATED)})
    return found[0]


def verify_training_set(log: Log, name: str) -> dict[str, Any]:
    """Return the account of a rebuild: the registered set is cut from the log again and compared.

    Raises:
        TrainingSetDiffers: the log's history or values at that place are not those of the registration.
    """
    registered = get_training_set(log, name).body
    rows = _recut(log, name, registered)
    return {"id": name, "rows": rows.table.num_rows, "digest": registered["digest"], "holds": True}


def export_training_set(
    log: Log, name: str, out_dir: Path | str, *, rows_per_part: int = ROWS_PER_PART
) -> TrainingSet:
    """Return a registered set, rebuilt from the log, checked against its digest, and written to `out_dir`.

    Raises:
        TrainingSetDiffers, ExportFailed, FolderTaken: see there.
    """
    registered = get_training_set(log, name).body
    rows = _recut(log, name, registered)
    return _written(log, registered, rows.table, Path(out_dir), rows_per_part, register=False)


def _recut(log: Log, name: str, registered: Mapping[str, Any]) -> Rows:
    place = log.as_of(int(registered["as_of"]["position"]))
    if (place.epoch, place.digest) != (registered["as_of"]["epoch"], registered["as_of"]["digest"]):
        raise TrainingSetDiffers(name, "The log's history", registered["as_of"]["digest"], place.digest)
    rows = cut_rows(log, msgspec.convert(registered["cut"], Cut), place)
    found = canonical_digest(rows.table)
    if found != registered["digest"]:
        raise TrainingSetDiffers(name, "The log", registered["digest"], found)
    return rows


def _core(log: Log, rows: Rows) -> dict[str, Any]:
    """Return what the set is, independent of how and where it is written."""
    core = {
        "format": FORMAT,
        "log": str(log.head().log_id),
        "as_of": msgspec.to_builtins(rows.as_of),
        "cut": msgspec.to_builtins(rows.cut),
        "maturity": "age at as_of >= window, however early the outcome came",
        "feature_set": {"label": rows.cut.feature_set, "digest": rows.feature_set_digest},
        "columns": {field.name: str(field.type) for field in rows.table.schema},
        "rows": rows.table.num_rows,
        "counts": rows.counts,
        "feature_sets": rows.feature_sets,
        "outcomes": rows.outcomes,
        "splits": rows.splits,
        "digest": canonical_digest(rows.table),
    }
    text = canonical_json(core)
    return {"id": f"ts-{digest(text)[:12]}", **msgspec.json.decode(text)}


def _written(
    log: Log, core: dict[str, Any], table: pa.Table, folder: Path, rows_per_part: int, *, register: bool
) -> TrainingSet:
    """Write to a folder beside, register, then rename: nothing half-written is ever in place."""
    with write_set(folder, core, table, rows_per_part) as (manifest, partial):
        if partial is not None:
            if register:
                _register(log, core)
            placed(partial, folder)
        elif not log.controls(CREATED, manifest["id"]):
            raise FolderTaken(folder)
    return TrainingSet(manifest, folder)


def _register(log: Log, core: dict[str, Any]) -> None:
    if log.controls(CREATED, core["id"]):
        return
    try:
        log.control(CREATED, core["id"], core, key=f"training_set:{core['id']}")
    except WriterForked:  # somebody registered it since we looked: its id names the same values
        get_training_set(log, core["id"])
