"""Memory: the sidecar takes over what killed services left, under the right name, and nobody else's."""

import asyncio
import contextlib
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest

from recorders import abandoned
from recorders.fields import FeatureSet
from recorders.frame import Frame
from recorders.segment_file import SegmentFile
from recorders.sidecar import memory as module
from recorders.sidecar.door import Bounds, Reception
from recorders.sidecar.hub import Hub
from recorders.sidecar.memory import Memory
from recorders.sidecar.place import Place
from recorders.sidecar.sealed_frames import FrameSealer
from recorders.sidecar.settings import DoorSettings, Settings
from recorders.sidecar.spool import Spool
from tests.support.recording import PLAIN, TWO, MemoryLink, StillRecorder, down
from tests.support.sidecars import arrived, spool_in
from tests.support.subjects import HeldKeys


class SidecarLink(MemoryLink):
    """A link to a sidecar at `address`."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self.address = address


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "memory"
    made.mkdir()
    return made


def left_behind(folder: Path, address: str = "/there/door.sock", seed: int = 1) -> list[Frame]:
    """Return the frames of a recorder whose process is gone: one was answered, one under way, one not cut.

    Locks do not hold within a process, so this one's files look abandoned to it.
    """
    link = SidecarLink(address)
    recorder = StillRecorder("p", TWO, link, model="m", model_version="1", crash_proof=folder, seed=seed)
    for answer in (None, down):
        link.answer = answer
        assert all(recorder.record(PLAIN) for _ in range(5))
        recorder.outbox.hurry()
        assert recorder.carry()
    assert all(recorder.record(PLAIN) for _ in range(5))
    (owed,) = [one for one in abandoned.drain(folder) if one.writer == recorder.outbox.writer]
    assert [frame.sequence for frame in owed.frames] == [2, 3]
    return [*link.frames, *owed.frames]


def swept(
    folder: Path, spool: Spool, before: Callable[[Reception], None] = lambda _: None, *, again: bool = False
) -> Reception:
    """Return the reception of a sidecar that looked once at its memory, or again and again."""

    async def look() -> Reception:
        with ThreadPoolExecutor(1) as committer:
            hub = Hub(spool, committer, FrameSealer(HeldKeys), kept=lambda: None)
            reception = Reception(hub, Bounds(), "")
            before(reception)
            commits = asyncio.create_task(hub.run())
            settings = Settings(folder="/there", door=DoorSettings(memory=str(folder)))
            memory = Memory(settings, hub, reception)
            await asyncio.wait_for(memory.run() if again else memory.sweep(), 30)
            commits.cancel()
            return reception

    return asyncio.run(look())


def kept(spool: Spool) -> list[tuple[bytes, int, int]]:
    stored = spool.read(Place(0, 0), events=10**6, payload_bytes=10**9)
    return [(one.frame.writer, one.frame.sequence, one.frame.kind) for one in stored]


@pytest.fixture
def spool_of(tmp_path: Path) -> Iterator[Callable[..., Spool]]:
    """What opens a spool that holds frames; it is closed after the test."""
    with contextlib.ExitStack() as stack:

        def opened(frames: Sequence[Frame] = (), **bounds: int) -> Spool:
            spool = spool_in(tmp_path / "s", **bounds)
            stack.callback(spool.close)
            spool.commit([arrived(frame) for frame in frames])
            return spool

        yield opened


@pytest.mark.parametrize("arrived_before", [1, 2, 3])
def test_what_is_owed_is_kept_once_and_then_removed(
    spool_of: Callable[..., Spool], folder: Path, arrived_before: int
) -> None:
    frames = left_behind(folder)
    writer = frames[0].writer.bytes
    spool = spool_of(frames[:arrived_before])
    reception = swept(folder, spool, lambda reception: reception.gone.update({writer: 0.0}))
    assert kept(spool) == [(writer, 1, 0), (writer, 2, 0), (writer, 3, 0)]
    assert list(folder.iterdir()) == []
    assert reception.gone == {}, "nothing of it is missing"
    assert reception.counts["recovered_writers"] == 1
    assert spool.feature_set(bytes.fromhex(TWO.digest)) == TWO.canonical()


def test_a_service_that_had_to_rename_itself_is_followed(
    spool_of: Callable[..., Spool], folder: Path
) -> None:
    frames = left_behind(folder)
    # The spool was put back: it does not know the writer. The frame under way came under another name.
    spool = spool_of()
    spool.commit([arrived(frames[1])._replace(writer=b"a" * 16, sequence=1)])
    swept(folder, spool)
    alias, (writer, sequence, _) = kept(spool)
    assert alias == (b"a" * 16, 1, 0)
    assert sequence == 1
    assert writer not in (frames[0].writer.bytes, b"a" * 16)
    assert list(folder.iterdir()) == []


def test_a_death_between_commit_and_removal_doubles_nothing(
    spool_of: Callable[..., Spool], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left_behind(folder)
    spool = spool_of()  # it knows nobody, so that a name is made up
    monkeypatch.setattr(module.Abandoned, "remove", lambda _: None)
    swept(folder, spool)
    first = kept(spool)
    monkeypatch.undo()
    swept(folder, spool)
    assert kept(spool) == first
    assert [sequence for _, sequence, _ in first] == [1, 2]
    assert list(folder.iterdir()) == []


def test_what_cannot_be_read_is_reported(spool_of: Callable[..., Spool], folder: Path) -> None:
    frames = left_behind(folder)
    (path,) = folder.iterdir()
    data = bytearray(path.read_bytes())
    data[len(data.rstrip(b"\0")) - 1] ^= 0xFF
    path.write_bytes(data)
    spool = spool_of(frames[:1])
    swept(folder, spool)
    *events, report = spool.read(Place(0, 0), events=10**6, payload_bytes=10**9)
    assert sum(one.frame.events for one in events) == 14
    assert b'"reason":"memory_damaged"' in report.frame.payload
    assert list(folder.iterdir()) == []


def test_a_full_disk_leaves_it_where_it_is(spool_of: Callable[..., Spool], folder: Path) -> None:
    left_behind(folder)
    spool = spool_of(quota_bytes=1)
    swept(folder, spool)
    assert kept(spool) == []
    assert len(list(folder.iterdir())) == 1


def test_in_the_folder_of_all_a_sidecar_takes_only_its_own(
    spool_of: Callable[..., Spool], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FOLDER", folder)
    left_behind(folder, address="/elsewhere/door.sock", seed=2)
    left_behind(folder, address="", seed=3)
    mine = left_behind(folder)
    spool = spool_of(mine[:1])
    swept(folder, spool)
    assert {writer for writer, _, _ in kept(spool)} == {mine[0].writer.bytes}
    assert len(list(folder.iterdir())) == 2


def test_in_the_folder_of_all_another_users_file_is_nothing(
    spool_of: Callable[..., Spool], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FOLDER", folder)
    left_behind(folder)
    monkeypatch.setattr(os, "geteuid", lambda: 4_711)
    spool = spool_of()
    swept(folder, spool)
    assert kept(spool) == []


def test_strange_files_harm_nobody(spool_of: Callable[..., Spool], folder: Path) -> None:
    name = "0" * 32
    (folder / f"{name}-00000001.recorder").write_bytes(b"something else")
    os.mkfifo(folder / f"{'1' * 32}-00000001.recorder")
    (folder / f"{'2' * 32}-00000001.recorder").symlink_to("/etc/passwd")
    (folder / f"{'3' * 32}-00000001.born").write_bytes(b"")
    os.utime(folder / f"{'3' * 32}-00000001.born", (0, 0))
    (folder / f"{'4' * 32}-00000001.born").write_bytes(b"")
    frames = left_behind(folder)
    spool = spool_of(frames[:1])
    swept(folder, spool)
    assert kept(spool) == [(frames[0].writer.bytes, number, 0) for number in (1, 2, 3)]
    left = {path.name[0] + path.suffix for path in folder.iterdir()}
    assert left == {"0.recorder", "1.recorder", "2.recorder", "4.born"}


class Undeclared:
    """What stands where a feature set should."""

    digest = TWO.digest

    def canonical(self) -> bytes:
        return b'{"name": "two"}'


@pytest.mark.parametrize(("point", "feature_set"), [("p" * 300, TWO), ("p\0", TWO), ("p", Undeclared())])
def test_a_file_that_no_recorder_of_ours_can_have_made_is_passed_over(
    spool_of: Callable[..., Spool], folder: Path, point: str, feature_set: FeatureSet
) -> None:
    forged = SegmentFile(folder, uuid4(), point, feature_set, "/there/door.sock")
    assert forged.keep("decision", [b"\x90"], deque())
    frames = left_behind(folder)
    spool = spool_of(frames[:1])
    swept(folder, spool)
    assert {writer for writer, _, _ in kept(spool)} == {frames[0].writer.bytes}
    assert len(list(folder.iterdir())) == 1


def test_a_look_that_fails_is_followed_by_another(
    spool_of: Callable[..., Spool], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = left_behind(folder)
    spool = spool_of(frames[:1])
    looks = iter([OSError("no permission"), None])

    async def look(memory: Memory) -> None:
        problem = next(looks, None)
        if problem is not None:
            raise problem
        await sweep(memory)
        raise asyncio.CancelledError

    sweep = Memory.sweep
    monkeypatch.setattr(Memory, "sweep", look)
    monkeypatch.setattr(module, "LOOK_S", 0.0)
    with pytest.raises(asyncio.CancelledError):
        swept(folder, spool, again=True)
    assert len(kept(spool)) == 3
