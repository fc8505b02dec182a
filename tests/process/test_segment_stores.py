"""Sealing into a folder and into S3, as moto's server speaks it; and into stores that fail."""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pytest

from harness.config import Config, StorePlace
from harness.errors import ConfigError
from harness.log.compact import compact
from harness.log.log import Log
from harness.log.release import release
from harness.log.seal import seal
from harness.log.store import Store
from harness.segment_errors import (
    SealFailed,
    SegmentAltered,
    SegmentMissing,
    StoreFull,
    StoreRefused,
    StoreUnknown,
    StoreUnreachable,
)
from tests.support import stores
from tests.support.filled import fill, reads, small_log, table


@contextmanager
def folder(tmp_path: Path) -> Iterator[StorePlace]:
    yield StorePlace(str(tmp_path / "segments"))


PLACES = {
    "folder": folder,
    "s3": lambda _path: stores.s3(),
    "azure": lambda _path: stores.azure(),
    "gcs": lambda _path: stores.gcs(),
}


@pytest.fixture(params=list(PLACES))
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StorePlace]:
    made: AbstractContextManager[StorePlace] = PLACES[request.param](tmp_path)
    with made as found:
        yield found


@pytest.fixture
def log(database_url: str, migrated: str, tmp_path: Path) -> Iterator[Log]:
    with small_log(database_url, migrated, tmp_path / "segments") as log:
        yield log


def test_a_log_lives_in_the_store(place: StorePlace, database_url: str, migrated: str) -> None:
    with small_log(database_url, migrated, place) as log:
        fill(log, 12)
        before = reads(log)
        assert len(seal(log, events=100)) == 6
        assert len(compact(log, events=400)) == 2
        assert release(log, timedelta(0))
        assert reads(log) == before
        found = table(
            log.read(1, 500, kind="decision", columns=["score"], where=[("f.distance", ">", 400.0)])
        )
        rows = before[0].filter(pc.less(before[0].column("position"), 500))
        assert found.num_rows == pc.sum(pc.greater(rows.column("f.distance"), 400.0)).as_py()
        assert log.verify().segments == 2
        named = {path for segment in log.sealed.segments() for path in segment.paths()}
        assert {found.path for found in log.sealed.store.files()} == named
        part = log.sealed.segments()[0].parts[0]
        data = bytearray(log.sealed.store.read(part.path))
        data[99] ^= 1
        altered = Path(os.environ.get("TMPDIR", "/tmp")) / f"altered-{os.getpid()}"
        altered.write_bytes(data)
        log.sealed.store.put(part.path, altered)
        altered.unlink()
        with pytest.raises(SegmentAltered):
            reads(log)
        assert not log.verify().holds
        log.sealed.store.delete(part.path)
        log.sealed.store.delete(part.path)
        with pytest.raises(SegmentMissing) as caught:
            reads(log)
        assert caught.value.exit_code == 40
        assert log.verify().altered == 1


def test_any_flipped_byte_of_a_part_is_found_before_a_row_of_it_is_used(log: Log) -> None:
    """Every byte of a whole part: the read refuses, or gives the very same rows."""
    fill(log, 1)
    before = reads(log)
    (segment,) = seal(log)
    path = Path(log.sealed.store.url(segment.parts[0].path))
    data = path.read_bytes()
    for at in range(len(data)):
        path.write_bytes(data[:at] + bytes([data[at] ^ (1 << at % 8)]) + data[at + 1 :])
        try:
            assert reads(log) == before
        except SegmentAltered:
            continue
        assert at < 4, "only the magic at the start is nothing that a reader uses"
    for size in (0, 1, len(data) - 1, len(data) // 2):
        path.write_bytes(data[:size])
        with pytest.raises(SegmentAltered):
            reads(log)
    path.write_bytes(data)
    assert reads(log) == before


def test_what_is_sealed_to_its_end_is_read_without_a_batch_of_the_database(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(log, 2)
    end = seal(log)[-1].stop
    asked: list[int] = []

    def reading(start: int, stop: int) -> list[int]:
        found = log.read(start, stop, kind="decision", decision_point="flights.late")
        return [batch.num_rows for batch in found]

    def chunks(_: Any, start: int, *__: Any, **___: Any) -> Iterator[Any]:
        asked.append(start)
        return iter(())

    before = reading(1, end)
    monkeypatch.setattr("harness.log.reader.chunks", chunks)
    assert reading(1, end) == before
    assert (sum(before) > 0, asked) == (True, [])
    assert reading(1, log.head().position + 1) == before
    assert asked == [end], "what is not sealed is asked of it"


@pytest.mark.parametrize("which", ["manifest", "ledger"])
def test_a_flipped_byte_of_a_manifest_or_ledger_is_found(log: Log, which: str) -> None:
    fill(log, 12)
    (segment,) = seal(log)
    assert release(log, timedelta(0))
    path = Path(log.sealed.store.url(getattr(segment, which).path))
    data = path.read_bytes()
    for at in range(0, len(data), max(1, len(data) // 60)):
        path.write_bytes(data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :])
        with Log(log.url, store=log.sealed._place) as other:
            assert not other.verify().holds


def full(*_: Any, **__: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def refused(*_: Any, **__: Any) -> None:
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def read_only(*_: Any, **__: Any) -> None:
    raise OSError(errno.EROFS, os.strerror(errno.EROFS))


FAULTS = [(full, StoreFull), (refused, StoreRefused), (read_only, StoreRefused)]


@pytest.mark.parametrize(("fails", "error"), FAULTS)
def test_a_store_that_takes_nothing_harms_nothing(
    log: Log, monkeypatch: pytest.MonkeyPatch, fails: Any, error: type[Exception]
) -> None:
    fill(log)
    before = reads(log)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fails)
        with pytest.raises(error):
            seal(log)
    assert (log.sealed.stop(), reads(log)) == (1, before)
    assert [found for found in log.sealed.store.files() if found.path.endswith(".part")] == []
    seal(log)
    assert reads(log) == before


SILENT = {
    "s3": ("s3://segments/of/logs", stores.s3_options),
    "azure": ("abfs://segments/of", lambda port: {"connection_string": stores.azure_account(port)}),
    "gcs": ("gs://segments/of", lambda port: {"endpoint_url": f"http://127.0.0.1:{port}", "token": "anon"}),
}


@pytest.mark.parametrize("kind", SILENT)
def test_a_store_that_accepts_and_never_answers_is_not_waited_for(
    log: Log, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
    fill(log, 1)
    before = reads(log)
    with stores.silent() as port:
        address, options = SILENT[kind]
        place = StorePlace(address, options(port), timeout_s=0.5)
        with Log(log.url, store=place) as other:
            with pytest.raises(StoreUnreachable) as caught:
                seal(other)
            assert reads(other) == before
    assert "does not answer" in str(caught.value)
    (waited,) = re.findall(r"no answer to \w+ in (\S+) s\.", str(caught.value))
    assert 0.5 <= float(waited) < 300, "what it was given, which was told as 0 s"
    assert caught.value.exit_code == 1
    assert log.sealed.stop() == 1


def test_a_store_that_nobody_listens_for_is_unreachable(log: Log) -> None:
    fill(log, 1)
    place = StorePlace("s3://segments/of", stores.s3_options(stores.free_port()), timeout_s=60)
    with Log(log.url, store=place) as other, pytest.raises(StoreUnreachable):
        seal(other)


def test_a_store_that_gives_back_other_bytes_is_not_believed(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(log)
    put = Store.put

    def garbled(self: Store, path: str, source: Path) -> None:
        data = bytearray(source.read_bytes())
        data[len(data) // 2] ^= 16
        source.write_bytes(data)
        put(self, path, source)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "put", garbled)
        with pytest.raises(SealFailed) as caught:
            seal(log)
    assert (caught.value.exit_code, log.sealed.stop()) == (40, 1)
    assert len(seal(log)) == 1


def test_an_address_that_names_no_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreUnknown) as caught:
        Store("ftq://nowhere")
    assert caught.value.exit_code == 2
    (tmp_path / "harness.toml").write_text("[store]\nurl = 7\n")
    with pytest.raises(ConfigError, match="is not an address"):
        Config.load(tmp_path)
    (tmp_path / "harness.toml").write_text('[store]\nurl = ""\n')
    with pytest.raises(ConfigError, match=r"url in .* is empty"):
        Config.load(tmp_path)
    (tmp_path / "harness.toml").write_text('[store]\nurl = "kept"\n')
    assert Config.load(tmp_path).store.url == str(tmp_path / "kept")


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("memory://kept", "gone when the command ends"),
        ("dir::memory://kept", "gone when the command ends"),
        ("simplecache::s3://models/log", "out of a cache"),
        ("data:,kept", "nothing can be put there"),
        ("zip://kept", "directory"),
    ],
)
def test_a_store_that_forgets_or_answers_for_another_is_refused(address: str, said: str) -> None:
    with pytest.raises(StoreUnknown, match=said):
        Store(address)
