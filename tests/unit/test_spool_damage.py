"""Torn, flipped and missing bytes: what is read is proven or not read, and what is lost is said."""

import json
import random
import shutil
from pathlib import Path

import pytest

from recorders.sidecar import segment
from recorders.sidecar.place import INBOX, Place
from recorders.sidecar.salvage import QUARANTINE
from tests.support.sidecars import arrived, decisions, new_writer, spool_in

ALL = {"events": 10**9, "payload_bytes": 10**12}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory):
    """A closed spool with forty frames, and the frames."""
    folder = tmp_path_factory.mktemp("whole") / "s"
    writer = new_writer()
    frames = [arrived(decisions(writer, n, 8, padding=40)) for n in range(1, 41)]
    spool = spool_in(folder)
    spool.commit(frames)
    spool.close()
    return folder, frames


def reopened(folder: Path):
    """Return the frames that a spool still has, the reports that it made, and how many files it put aside."""
    spool = spool_in(folder)
    try:
        found = [item for item in spool.read(Place(0, 0), **ALL) if item.proven()]
        frames = [item.frame for item in found if item.frame.kind < 3]
        reports = [json.loads(item.frame.payload) for item in found if item.frame.kind == 3]
        return frames, reports, spool.counts.quarantined
    finally:
        spool.close()


def damaged(whole_folder: Path, to: Path, change) -> Path:
    shutil.copytree(whole_folder, to)
    ((_, path),) = segment.numbered(to, INBOX)
    data = bytearray(path.read_bytes())
    path.write_bytes(change(data))
    return to


@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.9, 0.999])
def test_a_torn_file_is_put_aside_and_reported(whole, tmp_path: Path, share: float) -> None:
    folder, frames = whole
    torn = damaged(folder, tmp_path / "s", lambda data: data[: int(len(data) * share)])
    held, reports, quarantined = reopened(torn)
    assert all(frame in frames for frame in held)
    if share > 0.99 and len(held) >= len(frames) - 1:
        return  # the missing bytes were unused, or of one frame, whose digest tells when it is composed
    assert quarantined == 1
    assert [r["body"]["reason"] for r in reports] == ["spool_damaged"]
    assert reports[0]["body"]["salvaged"] == len(held)
    assert len(list((torn / QUARANTINE).glob("inbox-*.db"))) == 1


def test_a_flipped_byte_is_noticed_or_harmless(whole, tmp_path: Path) -> None:
    """Never a wrong frame; what is not there any more was reported, or fails its digest."""
    folder, frames = whole
    ((_, path),) = segment.numbered(folder, INBOX)
    size = path.stat().st_size
    chance = random.Random(11)
    for number, place in enumerate(sorted(chance.sample(range(size), 60))):
        to = tmp_path / f"s{number}"

        def flip(data: bytearray, place: int = place) -> bytearray:
            data[place] ^= 1 << chance.randrange(8)
            return data

        held, reports, quarantined = reopened(damaged(folder, to, flip))
        assert all(frame in frames for frame in held), place
        assert bool(reports) == bool(quarantined), place
        unproven = len(frames) - len(held)
        assert quarantined or unproven <= 1, place
        shutil.rmtree(to)


@pytest.mark.parametrize(("composed", "lost"), [(Place(0, 0), 9), (Place(1, 2), None), (Place(2, 0), 0)])
def test_what_a_later_segment_says_a_damaged_one_held_is_counted(
    tmp_path: Path, composed: Place, lost: int | None
) -> None:
    spool = spool_in(tmp_path / "s")
    writer = new_writer()
    spool.commit([arrived(decisions(writer, sequence, 3)) for sequence in (1, 2, 3)])
    spool.close()
    spool_in(tmp_path / "s").close()  # a second segment, which says how far the first one went
    (first, *_) = segment.numbered(tmp_path / "s", INBOX)
    first[1].write_bytes(first[1].read_bytes()[:8192])
    spool = spool_in(tmp_path / "s", composed=composed)
    (report,) = [json.loads(item.frame.payload)["body"] for item in spool.read(Place(2, 0), **ALL)]
    assert (report["reason"], report["count"]) == ("spool_damaged", lost)
    spool.close()


def test_settled_damage_is_reported_once(whole, tmp_path: Path) -> None:
    folder, _ = whole
    torn = damaged(folder, tmp_path / "s", lambda data: data[:8192])
    assert len(reopened(torn)[1]) == 1
    assert len(reopened(torn)[1]) == 1  # the same report, which is still in the spool
    spool = spool_in(torn)
    assert spool.salvaged == []
    spool.close()


def test_what_was_composed_is_not_salvaged_again(whole, tmp_path: Path) -> None:
    folder, frames = whole
    to = damaged(folder, tmp_path / "s", lambda data: data[:-4096] + bytes(4096))
    spool = spool_in(to, composed=Place(1, 25))
    salvaged = [item.frame for found in spool.salvaged for item in found.frames]
    assert salvaged
    assert all(frame.sequence > 25 for frame in salvaged)
    assert all(frame in frames for frame in salvaged)
    spool.close()


def test_marks_survive_damage_as_far_as_frames_do(whole, tmp_path: Path) -> None:
    folder, frames = whole
    to = damaged(folder, tmp_path / "s", lambda data: data[:-4096] + bytes(4096))
    spool = spool_in(to)
    held = [item.frame.sequence for item in spool.read(Place(0, 0), **ALL) if item.frame.kind == 0]
    (mark,) = spool.marks([frames[0].writer])
    assert mark.sequence == max(held)
    spool.close()


def test_a_half_made_segment_is_no_segment(whole, tmp_path: Path) -> None:
    folder, frames = whole
    shutil.copytree(folder, tmp_path / "s")
    (tmp_path / "s" / f"inbox-00000002.db{segment.NEW}").write_bytes(b"half")
    held, reports, quarantined = reopened(tmp_path / "s")
    assert (held, reports, quarantined) == (frames, [], 0)
