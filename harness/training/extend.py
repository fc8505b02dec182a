"""Extend: the same set, continued to a later place of the log, at the price of what is new."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from harness.log.log import Log
from harness.training import files
from harness.training.blocks import Unusable, link_blocks
from harness.training.errors import NotAnExtension
from harness.training.folder import TrainingSet
from harness.training.kept import Basis, Kept, erasures, keep, read_kept
from harness.training.registry import get_training_set
from harness.training.reuse import Reused, rewritten
from harness.training.sets import Place, Written, anew, build_training_set, core_of, declare, settle
from harness.training.source import Source
from harness.training.spec import Spec, spec_of
from harness.training.tail import tail_of
from replay.ranges import AsOf


def extend_training_set(
    log: Log,
    name: str | Path,
    *,
    to: int | None = None,
    as_of: int | str | datetime | None = None,
    place: Place | None = None,
    backfill: pa.Table | None = None,
    progress: Callable[[int], None] | None = None,
) -> tuple[TrainingSet, Reused]:
    """Return the set of the same specification with the range up to `to`, as known at `as_of`; both the end.

    `name` is its id, or its folder. Features, feature set and part size stay what they were: snapshots of a
    newer feature set are excluded and counted. Old decisions that matured, and outcomes that came or were
    corrected since, are as known at the new place: it is the set that a build from nothing gives, to the
    byte. What the folder keeps makes it cheaper (docs/adr/0041); where it cannot be used the set is built
    anew, and `Reused.why` says why. `progress` is called with how many new positions were read.

    Raises:
        NotAnExtension: the place or the range would end earlier than the set does.
    """
    place = place or Place()
    on_disk = _on_disk(name, place)
    registered = get_training_set(log, on_disk.id if on_disk else str(name)).body
    if backfill is None and on_disk is not None:
        backfill = files.read_backfill(on_disk.folder)
    spec, known = spec_of(registered["cut"]), int(registered["as_of"]["position"])
    since = log.since(known, as_of)
    at = since.now
    stop = at.position + 1 if to is None else to
    _check(registered["id"], known, spec, at, stop)
    longer = msgspec.structs.replace(spec, stop=stop)
    # Control events were fetched to find the set: what was said up to `at` is known, or is fetched now.
    erased, sets = erasures(log, at_least=at.position), log.feature_sets(at_least=at.position)
    try:
        base, kept = _base(spec, registered, on_disk, since.then, erased)
    except Unusable as unusable:
        return _anew(log, longer, at, unusable.reason, place=place, backfill=backfill, progress=progress)
    place = msgspec.structs.replace(place, rows_per_part=kept.index.rows_per_part)
    if place.out_dir is not None:
        files.check_free(place.out_dir)
    declare(log, longer, at)
    try:
        limits = place.limits
        source = Source(
            log,
            longer,
            limits.keep_bytes,
            limits.keys_bytes,
            spec.stop,
            feature_sets=sets,
            progress=progress,
            whole=since.whole and spec.stop == known + 1,
        ).read()
        tail = tail_of(kept, source, since, registered)
        with files.beside(place.folder("new")) as partial:
            link_blocks(base.folder, partial, tail.stays)
            writer, cells, reused = rewritten(kept, base, tail, partial)
            core = core_of(log, tail.outline, cells.digest(), [])
            keep(partial, tail.rows, cells, Basis(core["id"], tail.rows_per_part, erased, tail.stays))
            written = Written(partial, writer.parts)
            return settle(log, core, written, place.folder(core["id"]), since=erased), reused
    except Unusable as unusable:
        return _anew(log, longer, at, unusable.reason, place=place, backfill=backfill, progress=progress)


def _on_disk(name: str | Path, place: Place) -> TrainingSet | None:
    """Return the set in the folder that was named, or in the one that its id has by default."""
    for folder in (Path(name), msgspec.structs.replace(place, out_dir=None).folder(str(name))):
        if (folder / files.MANIFEST).exists():
            return TrainingSet.open(folder)
    return None


def _check(name: str, known: int, spec: Spec, at: AsOf, stop: int) -> None:
    if at.position < known:
        raise NotAnExtension(
            name, f"it is known at position {known}.", f"Expected a place there or later, not {at.position}."
        )
    if stop < spec.stop:
        raise NotAnExtension(
            name, f"its range stops at {spec.stop}.", f"Expected an end there or later, not {stop}."
        )


def _base(
    spec: Spec, registered: dict[str, object], on_disk: TrainingSet | None, then: AsOf | None, erased: int
) -> tuple[TrainingSet, Kept]:
    """Return the set on disk and what it keeps, where the longer one can be made of them.

    `then` is what the log says now of the place at which it was cut.

    Raises:
        Unusable: it cannot.
        TrainingSetDiffers: the folder's manifest is not what was registered.
    """
    why = anew(spec)
    if why is not None:
        raise Unusable(why)
    if on_disk is None:
        raise Unusable("no folder of it is here that keeps what it was cut from")
    on_disk.check_manifest(registered)
    kept = read_kept(on_disk.folder, on_disk.id)
    if then is None or _history(then) != _history(kept.index.as_of):
        raise Unusable("the log has another history than when it was cut")
    if kept.index.erasures != erased:
        raise Unusable(f"{erased - kept.index.erasures} erasures came since")
    return on_disk, kept


def _history(place: AsOf) -> tuple[int, int, str]:
    return place.epoch, place.position, place.digest


def _anew(log: Log, longer: Spec, at: AsOf, why: str, **more: Any) -> tuple[TrainingSet, Reused]:
    made = build_training_set(log, longer, as_of=at.position, **more)
    rows, decisions = int(made.manifest["rows"]), int(made.manifest["counts"]["decisions"])
    return made, Reused(0, len(made.manifest["parts"]), rows, decisions, why)
