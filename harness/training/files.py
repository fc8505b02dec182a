"""The files of a training set: Parquet parts and a manifest, in place whole or not at all."""

import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from harness.errors import UsageError
from harness.replay_errors import ExportFailed, FolderTaken, ManifestUnreadable, TrainingSetDiffers
from harness.training.parts import Entry, sha256_of
from harness.training.spec import FORMATS
from recorders.version import VERSION

MANIFEST, BACKFILL = "manifest.json", "backfill.parquet"
BUILDING = ".building-"
_NAME_BYTES_MAX = 255  # of one file on the usual systems; ours are short


@contextmanager
def beside(folder: Path) -> Iterator[Path]:
    """Yield a new folder next to `folder`, on the same disk; what is left of it afterwards is removed.

    What a killed process left there is swept. A folder is locked while its process lives.

    Raises:
        ExportFailed: the disk is full, or the place cannot be written.
    """
    partial, lock = _beside(folder)
    try:
        _sweep(folder.parent)
        yield partial
    except OSError as error:
        raise ExportFailed(folder, str(error)) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        os.close(lock)


def linked(base: Path, partial: Path, entry: Entry) -> bool:
    """Put a part of another set into a folder, and return whether it is there.

    It is a second name of the same file, whose bytes are compared with the manifest whenever it is read, in
    either folder. On another disk it is copied, and its bytes are compared now.
    """
    source, target = base / entry["file"], partial / entry["file"]
    try:
        if source.stat().st_size != entry["bytes"]:
            return False
        target.parent.mkdir(exist_ok=True)
        target.hardlink_to(source)
    except FileNotFoundError:
        return False
    except OSError:
        shutil.copyfile(source, target)
        if sha256_of(target) != entry["sha256"]:
            target.unlink()
            return False
    return True


def write_manifest(partial: Path, core: dict[str, Any], parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the manifest of these parts, written and synced."""
    tool = f"shadow-harness {VERSION}"
    manifest = {**core, "tool": tool, "parts": parts}
    write_json(partial / MANIFEST, manifest)
    partial.chmod(0o755)  # mkdtemp keeps it to the owner; a data set is for its readers
    return manifest


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON for people, synced."""
    with path.open("wb") as file:
        plain = json.dumps(value, sort_keys=True, ensure_ascii=False).encode()
        file.write(
            msgspec.json.format(plain, indent=2)
        )  # json itself indents in Python, at ten times the cost
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
            with beside(folder) as damaged:
                folder.rename(damaged / "damaged")
                partial.rename(folder)
            return
        if folder.is_dir():
            folder.rmdir()
        partial.rename(folder)
    except OSError as error:
        raise ExportFailed(folder, str(error)) from error


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest in `folder`.

    Raises:
        UsageError: there is none.
        ManifestUnreadable: it is damaged, or not one of ours.
    """
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(
            f"{folder} holds no training set: there is no {MANIFEST}.",
            'Expected a folder that "harness training-set create" or "export" wrote.',
            'Name that folder, or an id out of "harness training-set list".',
        ) from error
    except (ValueError, RecursionError) as error:  # brackets within brackets without end
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
    if not _listed(manifest):
        raise ManifestUnreadable(folder / MANIFEST, "its list of parts is damaged")
    for part in manifest["parts"]:
        path = folder / part["file"]
        found = sha256_of(path) if path.is_file() else "nothing"
        if found != part["sha256"]:
            raise TrainingSetDiffers(str(manifest["id"]), f"Part {part['file']}", part["sha256"], found)
        yield from pq.ParquetFile(path).iter_batches(65_536)


def read_backfill(folder: Path) -> pa.Table | None:
    """Return the recomputed features that a set's folder keeps, None where it has none."""
    path = folder / BACKFILL
    return pq.read_table(path) if path.exists() else None


def _whole(folder: Path, manifest: dict[str, Any]) -> bool:
    """Return whether every part is there with the bytes that the manifest names."""
    if not _listed(manifest):
        return False
    parts = [(folder / part["file"], part["sha256"]) for part in manifest["parts"]]
    return all(path.is_file() and sha256_of(path) == expected for path, expected in parts)


def _listed(manifest: dict[str, Any]) -> bool:
    """Return whether the list of parts is one."""
    return isinstance(manifest["parts"], list) and all(
        isinstance(part, dict)
        and all(isinstance(part.get(key), str) for key in ("file", "sha256"))
        and len(part["file"].encode(errors="replace")) <= _NAME_BYTES_MAX
        for part in manifest["parts"]
    )


def _beside(folder: Path) -> tuple[Path, int]:
    """Return a new folder and its lock, which dies with this process."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        while True:
            partial = Path(tempfile.mkdtemp(prefix=BUILDING, dir=folder.parent))
            lock = os.open(partial, os.O_RDONLY)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if partial.is_dir():
                return partial, lock
            os.close(lock)  # swept by another process before it was locked
    except OSError as error:
        raise ExportFailed(folder, str(error)) from error


def _sweep(parent: Path) -> None:
    """Remove the folders of builds whose process is gone."""
    with os.scandir(parent) as there:
        found = [entry.path for entry in there if entry.name.startswith(BUILDING)]
    for left in found:
        try:
            lock = os.open(left, os.O_RDONLY)
        except OSError:  # it was put in place, or swept, meanwhile; or it is another account's
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left, ignore_errors=True)
        except BlockingIOError:  # its process lives
            pass
        finally:
            os.close(lock)
