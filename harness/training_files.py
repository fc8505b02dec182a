"""The files of a training set: Parquet parts and a manifest, in place whole or not at all."""

import hashlib
import importlib.metadata
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from harness.errors import NotFound
from harness.replay_errors import ExportFailed, FolderTaken, ManifestUnreadable, TrainingSetDiffers

ROWS_PER_PART = 250_000
MANIFEST = "manifest.json"


@contextmanager
def write_set(
    folder: Path, core: dict[str, Any], table: pa.Table, rows_per_part: int
) -> Iterator[tuple[dict[str, Any], Path | None]]:
    """Yield the manifest and the folder beside `folder` that holds everything, on disk and synced.

    The folder is None when the same set is in place already, whole; parts of it that are missing or
    damaged make it be written anew. Whatever happens, nothing is left beside.

    Raises:
        FolderTaken: something else is in place.
        ExportFailed: the disk is full, or the place cannot be written.
    """
    if folder.is_dir() and any(folder.iterdir()):
        present = read_manifest(folder) if (folder / MANIFEST).exists() else {}
        # The log may have grown since: the same cut with the same values is the same set.
        if any(present.get(key) != core[key] for key in ("digest", "cut", "log")):
            raise FolderTaken(folder)
        if _whole(folder, present):
            yield present, None
            return
    partial = _beside(folder)
    try:
        yield _write(partial, folder, core, table, rows_per_part), partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def placed(partial: Path, folder: Path) -> None:
    """Put the written folder where it belongs, in one step."""
    try:
        if folder.is_dir() and any(folder.iterdir()):  # the same set with damaged parts: out of the way first
            damaged = _beside(folder)
            folder.rename(damaged / "damaged")
            partial.rename(folder)
            shutil.rmtree(damaged, ignore_errors=True)
            return
        if folder.is_dir():
            folder.rmdir()
        partial.rename(folder)
    except OSError as error:
        raise ExportFailed(folder, str(error)) from error


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest in `folder`.

    Raises:
        NotFound: there is none.
        ManifestUnreadable: it is damaged, or not one of ours.
    """
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise NotFound("training set", str(folder), []) from error
    except ValueError as error:
        raise ManifestUnreadable(path, f"it is no JSON ({error})") from error
    if not isinstance(manifest, dict):
        raise ManifestUnreadable(path, "it is no JSON object")
    lacking = sorted({"id", "digest", "cut", "log", "parts"} - set(manifest))
    if lacking:
        raise ManifestUnreadable(path, f"it lacks {', '.join(lacking)}")
    return manifest


def read_parts(folder: Path, manifest: dict[str, Any]) -> pa.Table:
    """Return all rows, from parts whose bytes are those of the manifest.

    Raises:
        TrainingSetDiffers: a part is missing or has other bytes.
    """
    tables = []
    for part in manifest["parts"]:
        path = folder / part["file"]
        found = _sha256(path) if path.is_file() else "nothing"
        if found != part["sha256"]:
            raise TrainingSetDiffers(str(manifest["id"]), f"Part {part['file']}", part["sha256"], found)
        tables.append(pq.read_table(path))
    return pa.concat_tables(tables)


def _whole(folder: Path, manifest: dict[str, Any]) -> bool:
    """Return whether every part is there with the bytes that the manifest names."""
    parts = [(folder / part["file"], part["sha256"]) for part in manifest["parts"]]
    return all(path.is_file() and _sha256(path) == expected for path, expected in parts)


def _beside(folder: Path) -> Path:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise ExportFailed(folder, str(error)) from error


def _write(
    partial: Path, folder: Path, core: dict[str, Any], table: pa.Table, rows_per_part: int
) -> dict[str, Any]:
    try:
        (partial / "data").mkdir()
        parts = [
            _part(partial, table.slice(at, rows_per_part)) for at in range(0, table.num_rows, rows_per_part)
        ]
        manifest = {
            **core,
            "tool": f"shadow-harness {importlib.metadata.version('shadow-harness')}",
            "parts": parts,
        }
        text = json.dumps(manifest, indent=2, sort_keys=True, ensure_ascii=False)
        _sync(partial / MANIFEST, text.encode())
        partial.chmod(0o755)  # mkdtemp keeps it to the owner; a data set is for its readers
    except OSError as error:
        raise ExportFailed(folder, str(error)) from error
    return manifest


def _part(partial: Path, rows: pa.Table) -> dict[str, Any]:
    positions = rows.column("position")
    first, last = positions[0].as_py(), positions[-1].as_py()
    name = f"data/part-{first:012d}-{last:012d}.parquet"
    path = partial / name
    with path.open("wb") as file:
        pq.write_table(rows, file, compression="zstd")
        file.flush()
        os.fsync(file.fileno())
    return {
        "file": name,
        "first": first,
        "last": last,
        "rows": rows.num_rows,
        "bytes": path.stat().st_size,
        "sha256": _sha256(path),
    }


def _sync(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
