"""The files of a training set: Parquet parts and a manifest, in place whole or not at all."""

import hashlib
import importlib.metadata
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from harness.errors import NotFound
from harness.replay_errors import ExportFailed, FolderTaken, ManifestUnreadable, TrainingSetDiffers
from harness.training.spec import FORMATS

ROWS_PER_PART = 250_000
MANIFEST, BACKFILL = "manifest.json", "backfill.parquet"


class PartWriter:
    """Writes rows into parts of `rows_per_part` as they pass; `parts` lists what is on disk and synced."""

    def __init__(self, partial: Path, rows_per_part: int) -> None:
        self.partial, self.rows_per_part = partial, rows_per_part
        self.parts: list[dict[str, Any]] = []
        self._open: tuple[pq.ParquetWriter, Any] | None = None
        self._rows, self._first, self._last = 0, 0, 0
        (partial / "data").mkdir(exist_ok=True)

    def through(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield the batches, each when it is written."""
        for batch in batches:
            at = 0
            while at < batch.num_rows:
                take = min(self.rows_per_part - self._rows, batch.num_rows - at)
                self._write(batch.slice(at, take))
                at += take
                if self._rows == self.rows_per_part:
                    self._finish()
            yield batch
        if self._rows:
            self._finish()

    def abandon(self) -> None:
        """Close what is open without keeping it."""
        if self._open is not None:
            self._open[1].close()
            self._open = None

    def _write(self, rows: pa.RecordBatch) -> None:
        if self._open is None:
            file = (self.partial / "data" / "open").open("wb")
            # Numbers of features rarely repeat: a dictionary of them costs more than it saves.
            text = [field.name for field in rows.schema if pa.types.is_string(field.type)]
            self._open = (pq.ParquetWriter(file, rows.schema, compression="zstd", use_dictionary=text), file)
            self._first = rows.column("position")[0].as_py()
        self._open[0].write_batch(rows)
        self._rows += rows.num_rows
        self._last = rows.column("position")[-1].as_py()

    def _finish(self) -> None:
        assert self._open is not None, "rows were written"
        writer, file = self._open
        writer.close()
        file.flush()
        os.fsync(file.fileno())
        self.abandon()
        name = f"data/part-{self._first:012d}-{self._last:012d}.parquet"
        path = (self.partial / "data" / "open").rename(self.partial / name)
        self.parts.append(
            {
                "file": name,
                "first": self._first,
                "last": self._last,
                "rows": self._rows,
                "bytes": path.stat().st_size,
                "sha256": sha256_of(path),
            }
        )
        self._rows = 0


@contextmanager
def beside(folder: Path) -> Iterator[Path]:
    """Yield a new folder next to `folder`, on the same disk; what is left of it afterwards is removed.

    Raises:
        ExportFailed: the disk is full, or the place cannot be written.
    """
    partial = _beside(folder)
    try:
        yield partial
    except OSError as error:
        raise ExportFailed(folder, str(error)) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_manifest(partial: Path, core: dict[str, Any], parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the manifest of these parts, written and synced."""
    tool = f"shadow-harness {importlib.metadata.version('shadow-harness')}"
    manifest = {**core, "tool": tool, "parts": parts}
    write_json(partial / MANIFEST, manifest)
    partial.chmod(0o755)  # mkdtemp keeps it to the owner; a data set is for its readers
    return manifest


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON for people, synced."""
    with path.open("wb") as file:
        file.write(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False).encode())
        file.flush()
        os.fsync(file.fileno())


def check_free(folder: Path) -> None:
    """Raise FolderTaken when `folder` holds something that is no training set."""
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MANIFEST).exists():
        raise FolderTaken(folder)


def in_place(folder: Path, core: dict[str, Any]) -> dict[str, Any] | None:
    """Return the manifest of the same set where it is in place, whole; None where it has to be written.

    Parts that are missing or damaged make it be written anew. The log may have grown since: the same cut
    with the same values is the same set.

    Raises:
        FolderTaken: something else is in place.
    """
    if not (folder.is_dir() and any(folder.iterdir())):
        return None
    present = read_manifest(folder) if (folder / MANIFEST).exists() else {}
    if any(present.get(key) != core[key] for key in ("digest", "cut", "log")):
        raise FolderTaken(folder)
    return present if _whole(folder, present) else None


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
    if manifest.get("format", FORMATS[0]) not in FORMATS:
        raise ManifestUnreadable(path, f"its format is {manifest['format']!r}")
    return manifest


def read_batches(folder: Path, manifest: dict[str, Any]) -> Iterator[pa.RecordBatch]:
    """Yield all rows, a row group at a time, from parts whose bytes are those of the manifest.

    Raises:
        TrainingSetDiffers: a part is missing or has other bytes.
        ManifestUnreadable: the list of parts is none.
    """
    for part in manifest["parts"]:
        if not isinstance(part, dict) or not {"file", "sha256"} <= set(part):
            raise ManifestUnreadable(folder / MANIFEST, "its list of parts is damaged")
        path = folder / part["file"]
        found = sha256_of(path) if path.is_file() else "nothing"
        if found != part["sha256"]:
            raise TrainingSetDiffers(str(manifest["id"]), f"Part {part['file']}", part["sha256"], found)
        yield from pq.ParquetFile(path).iter_batches(65_536)


def read_backfill(folder: Path) -> pa.Table | None:
    """Return the recomputed features that a set's folder keeps, None where it has none."""
    path = folder / BACKFILL
    return pq.read_table(path) if path.exists() else None


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _whole(folder: Path, manifest: dict[str, Any]) -> bool:
    """Return whether every part is there with the bytes that the manifest names."""
    parts = [(folder / part["file"], part["sha256"]) for part in manifest["parts"]]
    return all(path.is_file() and sha256_of(path) == expected for path, expected in parts)


def _beside(folder: Path) -> Path:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise ExportFailed(folder, str(error)) from error
