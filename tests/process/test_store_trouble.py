"""An object store that is cut short, without its bucket, full or silent: told as it is, nothing left."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.cli.main import run
from harness.config import StorePlace
from harness.log.compact import compact
from harness.log.log import Log
from harness.log.seal import seal, swept_after
from harness.log.store import Store
from harness.segment_errors import SegmentAltered, StoreFull, StoreUnknown, StoreUnreachable
from tests.support import stores
from tests.support.filled import fill, reads, small_log


@pytest.fixture
def log(database_url: str, migrated: str, tmp_path: Path) -> Iterator[Log]:
    with small_log(database_url, migrated, tmp_path / "segments") as log:
        fill(log)
        yield log


def test_an_object_that_was_cut_short_is_altered_and_not_silent(
    database_url: str, migrated: str, tmp_path: Path
) -> None:
    """A store answers with an error where a range begins after the end, which was taken for no answer."""
    with stores.s3() as place, small_log(database_url, migrated, place) as log:
        fill(log, 1)
        before = reads(log)
        (segment,) = seal(log)
        part = log.sealed.manifest(segment).parts[0].path
        for path in (part, segment.ledger.path, segment.manifest.path):
            whole = log.sealed.store.read(path)
            for size in (0, 1, len(whole) // 2, len(whole) - 1):
                cut = tmp_path / "cut"
                cut.write_bytes(whole[:size])
                log.sealed.store.put(path, cut)
                with Log(log.url, store=place) as other:
                    found = other.verify()
                    assert (found.altered, found.file) == (1, path), size
                    if path != segment.ledger.path:  # which nobody reads for columns
                        with pytest.raises(SegmentAltered):
                            reads(other)
            cut.write_bytes(whole)
            log.sealed.store.put(path, cut)
        assert reads(log) == before
        elsewhere = StorePlace("s3://no-such-bucket/of", place.options)
        fill(log, 1)
        with Log(log.url, store=elsewhere) as other, pytest.raises(StoreUnknown) as caught:
            seal(other)
        assert caught.value.exit_code == 2
        assert "Make the bucket, or correct [store]" in str(caught.value)


@pytest.mark.parametrize("put", [1, 2, 3, 4])
def test_a_full_store_keeps_nothing_of_what_did_not_fit(
    log: Log, monkeypatch: pytest.MonkeyPatch, put: int
) -> None:
    """Each try of a log that grows has other names: what they left took the room that was freed for them."""
    seal(log, events=100)
    fill(log, 1)
    before, kept = reads(log), log.sealed.store.files()
    real, calls = Store.put, []

    def full(self: Store, path: str, source: Path) -> None:
        calls.append(path)
        if len(calls) == put:
            raise StoreFull(self.shown, path)
        real(self, path, source)

    for work in (seal, compact):
        calls.clear()
        head = log.head().position
        with monkeypatch.context() as patch:
            patch.setattr(Store, "put", full)
            with pytest.raises(StoreFull, match="run the same command again"):
                work(log)
        assert log.sealed.store.files() == kept
        assert swept_after(log, head) == put - 1
    assert seal(log)
    assert compact(log)
    assert reads(log) == before


def test_what_is_small_is_not_waited_for_as_if_it_were_large(log: Log) -> None:
    """A manifest is some KiB: of a store that fell silent it was awaited for four minutes more."""
    seal(log)
    with stores.silent() as port:
        place = StorePlace("s3://segments/of", stores.s3_options(port), timeout_s=0.5)
        with (
            Log(log.url, store=place) as other,
            pytest.raises(StoreUnreachable, match=r"cat_file in 0\.5\d* s\."),
        ):
            reads(other)


def test_the_command_says_the_same(
    log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(store: Store, path: str, _source: Path) -> Any:
        raise StoreFull(store.shown, path)

    monkeypatch.setenv("HARNESS_DATABASE_URL", log.url)
    monkeypatch.setattr(Store, "put", full)
    assert run(["log", "seal", "-C", str(tmp_path)]) == 1
    assert "nothing of it was registered, and the log has it all" in capsys.readouterr().err
