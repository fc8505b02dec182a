"""Training sets: cut from the log, written as Parquet, registered by digest, rebuilt at will."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from harness.log.log import Log
from harness.replay_errors import FolderTaken
from harness.training import files, registry
from harness.training.erased import refuse_erased
from harness.training.errors import GatesFailed
from harness.training.folder import TrainingSet
from harness.training.hand_off import write_hand_off
from harness.training.kept import Basis, erasures, keep
from harness.training.parts import ROWS_PER_PART, Entry, PartWriter, cuts, marks
from harness.training.rows import Limits, Outline, Rows, cut_rows
from harness.training.spec import Spec, check_declarable, document
from recorders.canonical import canonical_json, digest
from replay.digest import Cells
from replay.labels import LabelRule
from replay.ranges import AsOf
from replay.splits import Split

if TYPE_CHECKING:
    from harness.training.gates import Gates

DECLARED, REFUSED = "training_set.declared", "training_set.refused"


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


class Written(NamedTuple):
    """What stands in the folder beside; `root` is the root over the rows and the event that names it."""

    partial: Path
    parts: list[Entry]
    backfill: pa.Table | None = None
    root: tuple[bytes, int] | None = None


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
    progress: Callable[[int], None] | None = None,
) -> TrainingSet:
    """Return the set that `spec` says, as known at `as_of`: declared in the log, cut, written, registered.

    The same specification again gives the same set. Memory and `progress`: see `cut_rows`.

    Raises:
        MixedFeatureSets: several schemas in the range, and nothing said of them.
        GatesFailed: the set is not what its gates ask for; nothing is written, the log says so.
        FeatureUnknown, EmptyTrainingSet, ExportFailed, FolderTaken: see there, and `cut_rows`.
        ErasedMeanwhile: see `settle`. SpecUnusable: see `check_declarable`.
    """
    place = place or Place()
    at = log.as_of(as_of)
    if place.out_dir is not None:
        files.check_free(place.out_dir)
    erased, declared = erasures(log), declare(log, spec, at)
    rows = cut_rows(log, spec, at, limits=place.limits, backfill=backfill, progress=progress)
    gates = _gates(log, spec, rows)
    with files.beside(place.folder("new")) as partial:
        edges = cuts(rows.size, place.rows_per_part)
        writer, cells = PartWriter(partial, edges), Cells(rows.schema, marks(edges))
        passing = cells.through(writer.through(rows.batches()))
        try:
            for _batch in passing if gates is None else gates.through(passing):
                pass
        finally:
            writer.abandon()
        findings, failed = ([], []) if gates is None else gates.findings()
        if failed:
            log.control(REFUSED, declared, {"findings": findings}, key=f"{REFUSED}:{declared}")
            raise GatesFailed(failed)
        core = core_of(log, rows, cells.digest(), findings)
        if anew(spec) is None:
            keep(partial, rows, cells, Basis(core["id"], place.rows_per_part, erased))
        written = Written(partial, writer.parts, backfill)
        return settle(log, core, written, place.folder(core["id"]), since=erased)


def anew(spec: Spec) -> str | None:
    """Return why a set of this specification can only be built anew; None where it can be continued."""
    if spec.gates or spec.drift is not None:
        return "its gates judge every row"
    if spec.born:
        return "a challenger may have scored any of its decisions since"
    if spec.backfill is not None:
        return "its recomputed features are not in the log"
    return None


def _gates(log: Log, spec: Spec, rows: Rows) -> "Gates | None":
    """Return what judges the rows as they pass, None without gates: its statistics take 70 MB to import."""
    if not spec.gates and spec.drift is None:
        return None
    from harness.training.gates import Gates

    against = None if spec.drift is None else registry.rows_of(log, spec.drift.against)
    return Gates(spec, rows.schema, against)


def declare(log: Log, spec: Spec, at: AsOf) -> str:
    """Register what is about to be cut, before its rows are looked at; return the declaration's name.

    Raises:
        SpecUnusable: see `check_declarable`.
    """
    check_declarable(spec)
    form, cut = document(spec)
    body = {"format": form, "as_of": msgspec.to_builtins(at), "cut": cut}
    name = digest(canonical_json(body))
    if not log.heard(DECLARED, name):
        log.say(DECLARED, name, body, key=f"{DECLARED}:{name}")
    return name


def core_of(log: Log, rows: Outline, found: str, findings: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what the set is, independent of how and where it is written; `found` is its digest."""
    form, cut = document(rows.spec)
    core = {
        "format": form,
        "log": str(log.sealed.log_id),
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


def settle(
    log: Log, core: dict[str, Any], written: Written, folder: Path, *, since: int | None = None
) -> TrainingSet:
    """Register what was written beside, then rename: nothing half-written is ever in place.

    `since` is how many erasures the log told of before its rows were read; None for a registered set.

    Raises:
        ErasedMeanwhile: there are more by now, of a person who may be in it; nothing is in place.
    """
    present = files.in_place(folder, core)
    if present is not None:
        if not log.controls(registry.CREATED, present["id"]):
            raise FolderTaken(folder)
        if written.root is not None:
            write_hand_off(folder, present, *written.root)
        return TrainingSet(present, folder)
    manifest = files.write_manifest(written.partial, core, written.parts)
    if written.backfill is not None:
        pq.write_table(written.backfill, written.partial / files.BACKFILL)
    if written.root is not None:
        write_hand_off(written.partial, manifest, *written.root)
    if since is not None:
        refuse_erased(log, core, since)
        registry.register(log, core)
        refuse_erased(log, core, since)  # whoever was erased in between has a receipt that does not name it
    files.placed(written.partial, folder)
    return TrainingSet(manifest, folder)
