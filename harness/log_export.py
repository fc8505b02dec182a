"""A range of the log as files for other tools, with a manifest that counts them."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
import pyarrow.compute as pc

from harness.log.log import Log
from harness.log.places import check_range
from harness.log.point_names import file_name
from harness.log.points import check_point
from harness.row_files import FORMATS, whole_folder
from harness.sql.columns import DECISION_POINT
from harness.sql.relation import KINDS, Relation, relations
from harness.training.files import MANIFEST, write_json
from harness.training.parts import sha256_of

FORMAT: Final = "log-export/1"


class Selection(msgspec.Struct, frozen=True):
    """Positions [start, stop) of some kinds, perhaps of one decision point: then without control events."""

    start: int
    stop: int
    kinds: tuple[str, ...]
    decision_point: str | None = None


def export_log(
    log: Log,
    selection: Selection,
    out: Path,
    form: str,
    progress: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:
    """Return the manifest of what was written to the new folder `out`; `form` is parquet, csv or jsonl.

    There is one file for each kind and decision point, `decisions/fraud.checkout.parquet`, and one of
    all control events, with the columns that SQL has of it. Rows are written as they are read;
    `progress` is called with how many are.

    Raises:
        RangeUnusable, UnknownPosition, NotFound, PathTaken: see there.
        NoRoom, FileUnwritable: the file system refused rows; nothing is at `out`.
        SegmentError, StoreError, CorruptBatch: as of `Log.read`; nothing is at `out`.
    """
    head = log.head()
    check_range(selection.start, selection.stop, head.position)
    check_point(log, selection.decision_point)
    end = log.as_of(selection.stop - 1)
    with whole_folder(out) as partial:
        files: list[dict[str, Any]] = []
        for kind, point, name, relation in _relations(log, selection, form):
            before = sum(one["rows"] for one in files)
            made = _written(relation, point, partial / name, form, before, progress)
            files.append(made | {"kind": kind, "decision_point": point})
        manifest = {
            "format": FORMAT,
            "log": {
                "id": str(head.log_id),
                "epoch": end.epoch,
                "position": end.position,
                "digest": end.digest,
            },
            "range": [selection.start, selection.stop],
            "files": [{**one, "file": str(Path(one["file"]).relative_to(partial))} for one in files],
        }
        write_json(partial / MANIFEST, manifest)
    return manifest


def _relations(log: Log, selection: Selection, form: str) -> list[tuple[str, str, str, Relation]]:
    """Return kind, decision point, file and relation of each file."""
    span = (selection.start, selection.stop)
    found = []
    for noun, kind in KINDS.items():
        names = {point for (point,) in log.rows("points", kind=kind, start=span[0], stop=span[1])}
        if kind == "control":  # one file: what was lost is of a decision point, and its row tells so itself
            names = {""} if names and selection.decision_point is None else set()
        points = sorted(names & {selection.decision_point} if selection.decision_point else names)
        for point in points if kind in selection.kinds else []:
            relation = relations(log, log.address.open, span, point)[noun]
            name = f"{noun}/{file_name(point)}.{form}" if point else f"{noun}.{form}"
            found.append((kind, point, name, relation))
    return found


def _written(
    relation: Relation, point: str, path: Path, form: str, before: int, progress: Callable[[int], None]
) -> dict[str, Any]:
    """Return what the manifest says of a file, after writing it; `before` rows are in others."""
    path.parent.mkdir(exist_ok=True)
    condition = pc.field(DECISION_POINT) == point if point else None
    stream = relation.scanner(filter=condition).to_reader()
    rows = 0
    with path.open("wb") as file:
        writer = FORMATS[form](file, stream.schema)
        for batch in stream:
            writer.write(batch)
            rows += batch.num_rows
            progress(before + rows)
        writer.close()
        file.flush()
        os.fsync(file.fileno())
    return {"file": str(path), "rows": rows, "bytes": path.stat().st_size, "sha256": sha256_of(path)}
