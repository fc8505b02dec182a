"""Training sets: cut from the log, written as Parquet, registered by digest, rebuilt at will."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from harness.errors import NotFound
from harness.log.events import ControlEvent
from harness.log.log import Log
from harness.replay_errors import FolderTaken, TrainingSetDiffers
from harness.training import files
from harness.training.borrowed import backfill_digest
from harness.training.errors import BackfillUnusable, GatesFailed
from harness.training.files import ROWS_PER_PART, PartWriter
from harness.training.gates import Gates
from harness.training.rows import Limits, Rows, cut_rows
from harness.training.spec import Backfill, Spec, document, spec_of
from recorders.canonical import canonical_json, digest
from recorders.errors import WriterForked
from replay.digest import canonical_digest
from replay.frames import to_frame
from replay.labels import LabelRule
from replay.ranges import AsOf
from replay.splits import Split

DECLARED, CREATED, REFUSED = "training_set.declared", "training_set.created", "training_set.refused"
BACKFILL_FILE = "backfill.parquet"


class Place(msgspec.Struct, frozen=True):
    """Where a set is written and how much its build may hold.

    `out_dir` is the set's own folder, by default `home`/.harness/training-sets/<id>.
    """

    out_dir: Path | None = None
    home: Path | None = None
    rows_per_part: int = ROWS_PER_PART
    limits: Limits = Limits()

    def folder(self, name: str) -> Path:
        """Return the folder of the set `name`."""
        own = (self.home or Path.cwd()) / ".harness" / "training-sets" / name
        return own if self.out_dir is None else self.out_dir


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
        return cls(files.read_manifest(Path(folder)), Path(folder))

    @property
    def id(self) -> str:
        """The name of the set: `ts-` and the first digits of the digest of what it is."""
        return str(self.manifest["id"])

    @property
    def digest(self) -> str:
        """The canonical digest of the values, 64 hex digits."""
        return str(self.manifest["digest"])

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows by position, a row group at a time."""
        return files.read_batches(self.folder, self.manifest)

    def to_arrow(self, split: str | None = None) -> pa.Table:
        """Return the rows by position, all of them or those of one `split`."""
        table = pa.Table.from_batches(self.batches())
        return table if split is None else table.filter(pc.equal(table.column("split"), split))

    def to_pandas(self, split: str | None = None) -> pd.DataFrame:
        """Return the rows as a DataFrame with the types that models see when they score."""
        return to_frame(self.to_arrow(split).combine_chunks())

    def fold(self, number: int) -> tuple[pa.Table, pa.Table]:
        """Return the training rows and the test rows of fold `number`, from 1.

        Raises:
            NotFound: the set has no such fold.
        """
        split = spec_of(self.manifest["cut"]).split
        folds = 0 if split is None or split.folds is None else split.folds
        if split is None or not 1 <= number <= folds:
            raise NotFound("fold", str(number), map(str, range(1, folds + 1)))
        table = self.to_arrow()
        fold = table.column("fold")
        test = table.filter(pc.equal(fold, number))
        if split.by == "unit_folds":
            return table.filter(pc.not_equal(fold, number)), test
        until = pa.scalar(datetime.fromisoformat(self.manifest["folds"][number - 1]["train_until"]))
        return table.filter(pc.less(table.column("occurred_at"), until)), test

    def verify(self, log: Log) -> dict[str, Any]:
        """Return what was checked: files against manifest, manifest against log, log against digest.

        Raises:
            TrainingSetDiffers: one of them gives other values.
        """
        if (self.folder / files.MANIFEST).exists():
            found = canonical_digest(self.batches())
            if found != self.digest:
                raise TrainingSetDiffers(self.id, "The files", self.digest, found)
        registered = get_training_set(log, self.id).body
        for key, value in registered.items():
            if self.manifest.get(key) != value:
                claimed = digest(canonical_json(self.manifest.get(key)))
                raise TrainingSetDiffers(
                    self.id, f"The manifest's {key!r}", digest(canonical_json(value)), claimed
                )
        return verify_training_set(log, self.id, backfill=backfill_in(self.folder))


def create_training_set(  # noqa: PLR0913  the plain cut, each argument one line of the manifest
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
    split: datetime | Split | None = None,
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
    What more a set can be is a Spec: see `build_training_set`, which this calls.
    """
    if isinstance(split, datetime):
        split = Split(by="time", test_from=split, gap=gap)
    spec = Spec(
        decision_point=decision_point,
        start=start,
        stop=stop,
        labels=(LabelRule(name=label, window=window),),
        features=None if features is None else tuple(features),
        feature_set=feature_set,
        split=split,
        where={name: list(values) for name, values in (where or {}).items()},
    )
    out = None if out_dir is None else Path(out_dir)
    return build_training_set(log, spec, as_of=as_of, place=Place(out, home, rows_per_part))


def build_training_set(
    log: Log,
    spec: Spec,
    *,
    as_of: int | str | datetime | None = None,
    place: Place | None = None,
    backfill: pa.Table | None = None,
) -> TrainingSet:
    """Return the set that `spec` says, as known at `as_of`: declared in the log, cut, written, registered.

    The same specification again gives the same set. Memory: see `harness.training.rows.cut_rows`.

    Raises:
        MixedFeatureSets: several schemas in the range, and nothing said of them.
        GatesFailed: the set is not what its gates ask for; nothing is written, the log says so.
        FeatureUnknown, EmptyTrainingSet, ExportFailed, FolderTaken: see there, and `cut_rows`.
    """
    place = place or Place()
    at = log.as_of(as_of)
    if place.out_dir is not None:
        files.check_free(place.out_dir)
    declared = _declare(log, spec, at)
    rows = cut_rows(log, spec, at, limits=place.limits, backfill=backfill)
    against = None if spec.drift is None else _rows_of(log, spec.drift.against)
    gates = Gates(spec, rows.schema, against)
    with files.beside(place.folder("new")) as partial:
        writer = PartWriter(partial, place.rows_per_part)
        try:
            found = canonical_digest(gates.through(writer.through(rows.batches())))
        finally:
            writer.abandon()
        findings, failed = gates.findings()
        if failed:
            log.control(REFUSED, declared, {"findings": findings}, key=f"{REFUSED}:{declared}")
            raise GatesFailed(failed)
        core = core_of(log, rows, found, findings)
        return _settle(log, core, (partial, writer, backfill), place.folder(core["id"]), register=True)


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


def verify_training_set(log: Log, name: str, *, backfill: pa.Table | None = None) -> dict[str, Any]:
    """Return the account of a rebuild: the registered set is cut from the log again and compared.

    Raises:
        TrainingSetDiffers: the log's history or values at that place are not those of the registration.
    """
    registered = get_training_set(log, name).body
    rows = recut(log, name, registered, backfill)
    found = canonical_digest(rows.batches())
    if found != registered["digest"]:
        raise TrainingSetDiffers(name, "The log", registered["digest"], found)
    return {"id": name, "rows": rows.size, "digest": registered["digest"], "holds": True}


def export_training_set(
    log: Log,
    name: str,
    out_dir: Path | str,
    *,
    rows_per_part: int = ROWS_PER_PART,
    backfill: pa.Table | None = None,
) -> TrainingSet:
    """Return a registered set, rebuilt from the log, checked against its digest, and written to `out_dir`.

    Raises:
        TrainingSetDiffers, ExportFailed, FolderTaken: see there.
    """
    registered, folder = get_training_set(log, name).body, Path(out_dir)
    files.check_free(folder)
    rows = recut(log, name, registered, backfill)
    with files.beside(folder) as partial:
        writer = PartWriter(partial, rows_per_part)
        try:
            found = canonical_digest(writer.through(rows.batches()))
        finally:
            writer.abandon()
        if found != registered["digest"]:
            raise TrainingSetDiffers(name, "The log", registered["digest"], found)
        return _settle(log, registered, (partial, writer, backfill), folder, register=False)


def recut(log: Log, name: str, registered: Mapping[str, Any], backfill: pa.Table | None = None) -> Rows:
    """Return the rows of a registered set, cut anew from the history that it names.

    Raises:
        TrainingSetDiffers: the log has another history there.
    """
    place = log.as_of(int(registered["as_of"]["position"]))
    if (place.epoch, place.digest) != (registered["as_of"]["epoch"], registered["as_of"]["digest"]):
        raise TrainingSetDiffers(name, "The log's history", registered["as_of"]["digest"], place.digest)
    return cut_rows(log, spec_of(registered["cut"]), place, backfill=backfill)


def backfill_in(folder: Path) -> pa.Table | None:
    """Return the recomputed features that a set's folder keeps, None where it has none."""
    path = folder / BACKFILL_FILE
    return pq.read_table(path) if path.exists() else None


def read_backfill(path: Path, features: tuple[str, ...]) -> tuple[pa.Table, Backfill]:
    """Return a Parquet file of recomputed features, and what a specification says of it.

    Raises:
        BackfillUnusable: it cannot be read, or lacks a column.
    """
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise BackfillUnusable(f"The file {path} cannot be read: {error}.", "Expected Parquet.") from error
    return table, Backfill(features=features, digest=backfill_digest(table, features))


def _rows_of(log: Log, name: str) -> pa.Table:
    return recut(log, name, get_training_set(log, name).body).table()


def _declare(log: Log, spec: Spec, at: AsOf) -> str:
    """Register what is about to be cut, before its rows are looked at; return the declaration's name."""
    form, cut = document(spec)
    body = {"format": form, "as_of": msgspec.to_builtins(at), "cut": cut}
    name = digest(canonical_json(body))
    if not log.controls(DECLARED, name):
        log.control(DECLARED, name, body, key=f"{DECLARED}:{name}")
    return name


def core_of(log: Log, rows: Rows, found: str, findings: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what the set is, independent of how and where it is written; `found` is its digest."""
    form, cut = document(rows.spec)
    core = {
        "format": form,
        "log": str(log.head().log_id),
        "as_of": msgspec.to_builtins(rows.as_of),
        "cut": cut,
        "maturity": "age at as_of >= window, however early the outcome came",
        "feature_set": {"label": rows.spec.feature_set, "digest": rows.schemas.chosen.digest},
        "columns": {field.name: str(field.type) for field in rows.schema},
        "rows": rows.size,
        "counts": rows.counts,
        "feature_sets": rows.schemas.rows,
        "outcomes": rows.outcomes,
        "splits": rows.splits,
        "digest": found,
        **rows.more,
        **({"gates": findings} if findings else {}),
    }
    text = canonical_json(core)
    return {"id": f"ts-{digest(text)[:12]}", **msgspec.json.decode(text)}


def _settle(
    log: Log,
    core: dict[str, Any],
    written: tuple[Path, PartWriter, pa.Table | None],
    folder: Path,
    *,
    register: bool,
) -> TrainingSet:
    """Register what was written beside, then rename: nothing half-written is ever in place."""
    partial, writer, backfill = written
    present = files.in_place(folder, core)
    if present is not None:
        if not log.controls(CREATED, present["id"]):
            raise FolderTaken(folder)
        return TrainingSet(present, folder)
    manifest = files.write_manifest(partial, core, writer.parts)
    if backfill is not None:
        pq.write_table(backfill, partial / BACKFILL_FILE)
    if register:
        _register(log, core)
    files.placed(partial, folder)
    return TrainingSet(manifest, folder)


def _register(log: Log, core: dict[str, Any]) -> None:
    if log.controls(CREATED, core["id"]):
        return
    try:
        log.control(CREATED, core["id"], core, key=f"training_set:{core['id']}")
    except WriterForked:  # somebody registered it since we looked: its id names the same values
        get_training_set(log, core["id"])
