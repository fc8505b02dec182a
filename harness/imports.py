"""Imports: files that others captured go into the log once, however often they are imported."""

import hashlib
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import NAMESPACE_URL, UUID, uuid5

import msgspec

from harness.errors import UsageError
from harness.log.gaps import IMPORT
from harness.log.log import Log
from recorders.doors import captures
from recorders.doors.absent import Absent
from recorders.doors.frames import Packing
from recorders.doors.mapping import Mapping
from recorders.doors.router import Routed, Router
from recorders.errors import InvalidEvent, WriterForked
from recorders.inprocess import InProcessLink

SAMPLES = 5
_CHUNK = 1 << 20


class RowsRejected(UsageError):  # noqa: N818  # as all errors of the shell are named
    """A file holds rows that no event can be made of. Nothing of it was appended."""

    def __init__(self, file: str, rejected: dict[str, int], samples: tuple[str, ...]) -> None:
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(rejected.items()))
        first = f" {samples[0]}" if samples else ""
        super().__init__(
            f"{file} has rows that cannot be taken: {reasons}.{first}",
            "Expected rows that the mapping fits; nothing was appended.",
            "Correct the mapping, or import the others with --skip-rejected.",
        )
        self.rejected = rejected
        self.samples = samples


class Imported(msgspec.Struct, frozen=True):
    """What an import did with one file. `known` says that the log held all of it already.

    `rejected` counts rows by reason, `samples` shows the first of them; `absent` is as in `Contents`.
    """

    file: str
    writer: UUID
    decisions: int
    outcomes: int
    rejected: dict[str, int]
    samples: tuple[str, ...]
    absent: tuple[str, ...]
    known: bool


class Contents(msgspec.Struct, frozen=True):
    """What a file holds under a mapping; `digest` is the SHA-256 of its bytes.

    `absent` names what the mapping looks for and no decision has.
    """

    digest: str
    decisions: int
    outcomes: int
    rejected: dict[str, int]
    samples: tuple[str, ...]
    absent: tuple[str, ...]


def examine(path: Path, mapping: Mapping, done: Callable[[int], None] = lambda _: None) -> Contents:
    """Return what an import of a file would append and refuse. Appends nothing.

    Raises:
        Unreadable: the file cannot be read.
    """
    kinds: Counter[str] = Counter()
    rejected: Counter[str] = Counter()
    samples: list[str] = []
    absent = Absent(mapping)
    named = _digest(path)
    for rows, (place, found) in enumerate(_rows(path, mapping), start=1):
        if isinstance(found, InvalidEvent):
            rejected[found.reason] += 1
            if len(samples) < SAMPLES:
                samples.append(f"{place}: {found}")
        else:
            kinds.update(one.event.kind for one in found)
            absent.look(found)
        done(rows)
    return Contents(
        digest=named,
        decisions=kinds["decision"],
        outcomes=kinds["outcome"],
        rejected=dict(rejected),
        samples=tuple(samples),
        absent=absent.found(),
    )


def import_file(
    log: Log,
    path: Path,
    mapping: Mapping,
    *,
    skip_rejected: bool = False,
    done: Callable[[int], None] = lambda _: None,
) -> Imported:
    """Append what a file holds, and return what that was. The same file under the same mapping adds nothing.

    The writer is a function of the file's bytes and the mapping, and so is each batch: an import that was
    interrupted goes on where it stopped. `done` is called with how many rows were read, to be examined and
    then to be appended.

    Raises:
        RowsRejected: rows cannot be taken, and `skip_rejected` is false.
        Unreadable: the file cannot be read.
        AppendError, LinkUnavailable: see recorders.errors; import again.
    """
    rows = 0

    def examined(count: int) -> None:
        nonlocal rows
        rows = count
        done(rows)

    contents = examine(path, mapping, examined)
    writer = uuid5(NAMESPACE_URL, f"import/1:{mapping.digest}:{contents.digest}")
    known = bool(log.controls(IMPORT, str(writer)))
    if contents.rejected and not skip_rejected and not known:
        raise RowsRejected(str(path), contents.rejected, contents.samples)
    if not known:
        log.register_feature_set(mapping.feature_set)
        _append(log, path, mapping, writer, lambda count: done(rows + count))
        if _digest(path) != contents.digest:
            raise UsageError(
                f"{path} changed while it was imported.",
                "Expected a file at rest.",
                "Import it again when it is: what was appended has the same ids and counts once.",
            )
        body = {
            "digest": contents.digest,
            "decisions": contents.decisions,
            "outcomes": contents.outcomes,
            "rejected": contents.rejected,
            "samples": list(contents.samples),
            "file": path.name,
            "decision_point": mapping.decision_point,
            "mapping": mapping.digest,
            "source": mapping.source,
        }
        known = _registered(log, writer, body)
    return Imported(
        file=str(path),
        writer=writer,
        decisions=contents.decisions,
        outcomes=contents.outcomes,
        rejected=contents.rejected,
        samples=contents.samples,
        absent=contents.absent,
        known=known,
    )


def _registered(log: Log, writer: UUID, body: dict[str, object]) -> bool:
    """Register an import that is complete. Return whether another one of the same bytes was first.

    Two at a time append the same batches; but each names its file as its user does: that is another event.
    """
    try:
        log.control(IMPORT, str(writer), body, key=f"import:{writer}")
    except WriterForked:
        if not log.controls(IMPORT, str(writer)):
            raise
        return True
    return False


def _append(log: Log, path: Path, mapping: Mapping, writer: UUID, done: Callable[[int], None]) -> None:
    packing = Packing(writer)
    link = InProcessLink(log.url, [mapping.feature_set])
    try:
        for rows, (_, found) in enumerate(_rows(path, mapping), start=1):
            done(rows)
            if not isinstance(found, InvalidEvent):
                for frame in packing.add(found):
                    link.send(frame)
        for frame in packing.rest():
            link.send(frame)
    finally:
        link.close()


def _rows(path: Path, mapping: Mapping) -> Iterator[tuple[str, list[Routed] | InvalidEvent]]:
    """Yield the events of each row, or why there are none."""
    router = Router([mapping])
    for entry in captures.read(path, mapping.source):
        if entry.error is not None:
            yield entry.place, entry.error
            continue
        try:
            found = router.document(mapping.source, entry.document, row=entry.row)
        except InvalidEvent as error:
            yield entry.place, error
        else:
            yield entry.place, found


def _digest(path: Path) -> str:
    found = hashlib.sha256()
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe: opened again it is empty, or waits for ever
            raise UsageError(
                f"{path} is no regular file.",
                "Expected one that can be read more than once: it is examined first, then appended.",
                "Write a pipe's bytes to a file, and import that.",
            )
        with path.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                found.update(chunk)
    except OSError as error:
        raise UsageError(f"Cannot read {path}: {error}.", "Expected a file.", "Check the path.") from error
    return found.hexdigest()
