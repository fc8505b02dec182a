"""A full disk at export: a clear error, nothing half-written, nothing registered; then it works."""

import resource
import shutil
import signal
import subprocess
from datetime import timedelta

import pyarrow as pa
import pytest

from harness.config import StorePlace
from harness.log.log import Log
from harness.log.seal import seal
from harness.replay_errors import ExportFailed
from harness.segment_errors import StoreFull
from harness.training.export import export_training_set
from harness.training.extend import extend_training_set
from harness.training.registry import list_training_sets
from harness.training.sets import Place, create_training_set
from tests.support.history import POINT, History


@pytest.fixture
def history(event_log):
    made = History(event_log, size=4_000)
    made.part = made.decisions(0, 20_000)
    made.outcomes(0, 20_000)
    made.decisions(21_000, 21_001)
    return made


def create(log, history, out):
    start, stop = history.part
    return create_training_set(
        log,
        decision_point=POINT,
        start=start,
        stop=stop,
        label="fraud",
        window=timedelta(hours=3),
        out_dir=out,
        rows_per_part=5_000,
    )


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 256 KiB; the set needs more."""
    place = tmp_path / "small"
    place.mkdir()
    mount = shutil.which("mount")
    if (
        mount is None
        or subprocess.run(
            [mount, "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)], check=False, capture_output=True
        ).returncode
    ):
        pytest.skip("mounting a tmpfs needs the right to")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_leaves_nothing_behind(event_log, history, small_disk, tmp_path):
    with pytest.raises(ExportFailed, match=r"No space left on device.*run the same command again") as caught:
        create(event_log, history, small_disk / "set")
    assert caught.value.exit_code == 1
    assert list(small_disk.iterdir()) == []
    assert list_training_sets(event_log) == []
    made = create(event_log, history, tmp_path / "set")
    with pytest.raises(ExportFailed):
        export_training_set(event_log, made.id, small_disk / "again")
    assert list(small_disk.iterdir()) == []
    assert made.verify(event_log)["holds"]


def test_a_longer_set_that_a_full_disk_does_not_take_leaves_the_set_it_was(
    event_log, history, small_disk, tmp_path
):
    made = create(event_log, history, tmp_path / "set")
    history.decisions(30_000, 36_000)
    history.decisions(40_000, 40_001)
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(ExportFailed, match="No space left on device"):
        extend_training_set(event_log, made.folder, place=Place(small_disk / "longer"))
    assert list(small_disk.iterdir()) == []
    assert len(list_training_sets(event_log)) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert made.verify(event_log)["holds"]


def test_a_store_on_a_full_disk_takes_no_segment_and_loses_nothing(event_log, history, small_disk, tmp_path):
    end = event_log.head().position + 1
    rows = pa.Table.from_batches(event_log.read(1, end, kind="decision", decision_point=POINT))
    with Log(event_log.url, store=StorePlace(str(small_disk))) as log:
        with pytest.raises(StoreFull) as caught:
            seal(log)
        assert caught.value.exit_code == 1
        assert log.sealed.stop() == 1
        assert [path for path in small_disk.rglob("*.part*") if path.is_file()] == []
    with Log(event_log.url, store=StorePlace(str(tmp_path / "larger"))) as log:
        assert seal(log)
        assert pa.Table.from_batches(log.read(1, end, kind="decision", decision_point=POINT)).equals(rows)


def test_a_file_size_limit_is_told_in_the_same_way(event_log, history, tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(ExportFailed, match="File too large"):
            create(event_log, history, tmp_path / "out" / "set")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert list((tmp_path / "out").iterdir()) == []
    assert create(event_log, history, tmp_path / "out" / "set").verify(event_log)["holds"]


def test_a_place_that_cannot_be_written_is_named(event_log, history, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ExportFailed, match=r"in the way|Not a directory|File exists"):
        create(event_log, history, tmp_path / "file" / "set")
    assert list_training_sets(event_log) == []
