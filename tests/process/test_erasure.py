"""Erasing a person from a real log: through a sidecar, with nothing of theirs in clear on any disk."""

import json
from datetime import timedelta
from pathlib import Path

import psycopg
import pyarrow as pa
import pytest

from harness.cli.main import run
from harness.database import create_log
from harness.erasure import ERASED, erase, reapply
from harness.errors import UsageError
from harness.integrity.checkpoints import take
from harness.integrity.compare import compare
from harness.integrity.log_keys import the_key
from harness.integrity.memory import open_memory
from harness.integrity.proof import check_proof
from harness.integrity.prove import prove
from harness.log.log import Log
from harness.log.release import release
from harness.log.seal import seal
from recorders.errors import FeatureSetError, LinkUnavailable
from recorders.inprocess import InProcessLink
from recorders.recorder import Recorder
from recorders.socket_link import SocketLink
from recorders.subject_keys import REMEMBERED_S, SubjectKeys
from recorders.wrapping import SecretWrapper, wrappers
from tests.support import servers
from tests.support.recording import HeldClock
from tests.support.sidecars import Running, until
from tests.support.subjects import SECRET, SHOP, snapshot

POINT = "shop.checkout"


@pytest.fixture
def shop(fresh_log: Log, monkeypatch: pytest.MonkeyPatch) -> Log:
    """A log with the feature set and a key store beside it."""
    monkeypatch.setenv("HARNESS_SUBJECT_SECRET", SECRET)
    for name in ("HARNESS_KEYS_URL", "HARNESS_SUBJECT_SECRET_OLD"):
        monkeypatch.delenv(name, raising=False)
    SubjectKeys.from_environment(fresh_log.url).create()
    fresh_log.register_feature_set(SHOP)
    return fresh_log


def recorded(log: Log, *customers: str | None) -> None:
    link = InProcessLink(log.url, [SHOP])
    with Recorder(POINT, SHOP, link, model="m", model_version="1") as recorder:
        for number, customer in enumerate(customers):
            recorder.record(snapshot(customer, number))
        assert recorder.flush(30)


def rows(log: Log, columns: list[str] | None = None) -> list[dict[str, object]]:
    """Return the decisions of a log as somebody reads them who has not read before."""
    with Log(log.url) as anew:
        batches = anew.read(1, anew.head().position + 1, kind="decision", columns=columns)
        return [row for batch in batches for row in batch.to_pylist()]


def stored_bytes(log: Log) -> bytes:
    with psycopg.connect(log.url) as connection:
        found = connection.execute("select payload from harness.batch where kind = 'decision'").fetchall()
    return b"".join(
        pa.ipc.open_stream(payload).read_all().to_pandas().to_csv().encode() for (payload,) in found
    )


def test_a_person_is_erased_from_a_log_that_still_holds(shop: Log, tmp_path: Path) -> None:
    recorded(shop, "ada", "bob", "ada", None)
    take(shop, tmp_path / "host")
    before = rows(shop)
    assert [row["f.customer"] for row in before] == ["ada", "bob", "ada", None]
    assert [row["f.income"] for row in before] == [1000.5, 1001.5, 1002.5, 1003.5]
    assert list(before[0])[-8:] == [
        "trace_id", "f.amount", "f.income", "f.customer", "f.country", "f.note", "f.born", "statuses",
    ]  # fmt: skip
    assert b"confidential" not in stored_bytes(shop)
    keys = SubjectKeys.from_environment(shop.url)
    receipt = erase(shop, keys, "ada")
    assert receipt.body["rows"] == 2
    assert receipt.body["decision_points"] == {POINT: {"rows": 2, "first": 2, "last": 4}}
    assert "ada" not in str(receipt)
    after = rows(shop)
    assert [row["f.customer"] for row in after] == [None, "bob", None, None]
    assert [row["f.amount"] for row in after] == [0.0, 1.0, 2.0, 3.0], "what is not sensitive stays"
    gone = {one["field"]: one["status"] for one in after[0]["statuses"]}  # type: ignore[attr-defined]
    assert gone == {"income": "erased", "customer": "erased", "note": "erased", "born": "erased"}
    assert after[1]["statuses"] is None
    assert shop.verify().holds
    assert compare(shop, tmp_path / "host").checkpoints == 1
    key = the_key(shop, open_memory(shop, tmp_path / "host"))
    check_proof(prove(shop, tmp_path / "host", 2).proof, key)
    assert erase(shop, keys, "ada") == receipt, "once is enough"
    with pytest.raises(UsageError, match="No key"):
        erase(shop, keys, "nobody")


def test_only_what_is_asked_for_is_opened(shop: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded(shop, "ada", "bob")
    assert list(rows(shop, ["f.note", "f.amount"])[0]) == ["position", "recorded_at", "f.note", "f.amount"]
    with pytest.raises(UsageError, match="encrypted"):
        list(shop.read(1, 9, kind="decision", where=[("f.income", ">", 1.0)]))
    monkeypatch.delenv("HARNESS_SUBJECT_SECRET")
    assert [row["f.amount"] for row in rows(shop, ["f.amount"])] == [0.0, 1.0]
    with pytest.raises(FeatureSetError, match="HARNESS_SUBJECT_SECRET"):
        rows(shop)


def test_a_sidecar_keeps_nothing_in_clear(shop: Log, tmp_path: Path) -> None:
    sidecar = Running(tmp_path / "spool", shop.url, environment={"HARNESS_SUBJECT_SECRET": SECRET})
    with sidecar:
        link = SocketLink(sidecar.address, [SHOP])
        with Recorder(POINT, SHOP, link, model="m", model_version="1") as recorder:
            for number in range(300):
                recorder.record(snapshot(f"person-{number % 5}", number))
            assert recorder.flush(30)
        until(
            lambda: (
                shop.rows("stats")
                and sum(row[3] for row in shop.rows("stats") if row[0] == "decision") == 300
            )
        )
        on_disk = b"".join(path.read_bytes() for path in (tmp_path / "spool").rglob("*") if path.is_file())
        assert b"shop.checkout" in on_disk
        assert b"confidential" not in on_disk
        assert b"person-" not in on_disk
        assert sidecar.stop() == 0
    assert [row["f.note"] for row in rows(shop)] == [f"confidential-person-{n % 5}-{n}" for n in range(300)]
    assert erase(shop, SubjectKeys.from_environment(shop.url), "person-3").body["rows"] == 60


def test_frames_wait_in_the_service_while_there_are_no_keys(shop: Log, tmp_path: Path) -> None:
    sidecar = Running(tmp_path / "spool", shop.url, environment={"HARNESS_SUBJECT_SECRET": ""})
    with sidecar:
        link = SocketLink(sidecar.address, [SHOP])
        recorder = Recorder(POINT, SHOP, link, model="m", model_version="1")
        recorder.record(snapshot("ada"))
        assert not recorder.flush(1)
        assert sidecar.stop() == 0
        sidecar._environment["HARNESS_SUBJECT_SECRET"] = SECRET
        sidecar.start()
        assert recorder.flush(30)
        recorder.close()
        until(lambda: [row["f.customer"] for row in rows(shop)] == ["ada"])


def test_a_resent_frame_is_stored_once(shop: Log) -> None:
    class Deaf(InProcessLink):
        def send(self, frame):  # type: ignore[no-untyped-def]
            super().send(frame)
            again = InProcessLink(self._url, [SHOP])
            assert again.send(frame).duplicate
            again.close()
            return super().send(frame)

    with Recorder(POINT, SHOP, Deaf(shop.url, [SHOP]), model="m", model_version="1") as recorder:
        recorder.record(snapshot("ada"))
        assert recorder.flush(30)
    assert len(rows(shop)) == 1


def test_who_comes_back_has_another_key(shop: Log) -> None:
    keys = SubjectKeys.from_environment(shop.url)
    recorded(shop, "ada")
    first = erase(shop, keys, "ada")
    recorded(shop, "ada")
    assert [row["f.customer"] for row in rows(shop)] == [None, "ada"]
    second = erase(shop, keys, "ada")
    assert second.body["keys"] != first.body["keys"]
    assert second.body["rows"] == 1
    assert [row["f.customer"] for row in rows(shop)] == [None, None]


def test_wrapping_keys_are_rotated_and_the_old_one_opens_nothing(
    shop: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded(shop, "ada", "bob")
    monkeypatch.setenv("HARNESS_SUBJECT_SECRET_OLD", SECRET)
    monkeypatch.setenv("HARNESS_SUBJECT_SECRET", SECRET.upper())
    recorded(shop, "ada", "cleo")
    assert SubjectKeys.from_environment(shop.url).rewrap() == 2
    assert SubjectKeys.from_environment(shop.url).rewrap() == 0
    monkeypatch.delenv("HARNESS_SUBJECT_SECRET_OLD")
    assert [row["f.customer"] for row in rows(shop)] == ["ada", "bob", "ada", "cleo"]
    assert len(SubjectKeys.from_environment(shop.url).ids_of("ada")) == 1
    old = SubjectKeys(shop.url, wrappers({"HARNESS_SUBJECT_SECRET": SECRET}))
    with pytest.raises(LinkUnavailable, match="wrapped with"):
        old.of(["ada"])


def test_a_restored_key_store_is_erased_again(shop: Log) -> None:
    recorded(shop, "ada", "bob")
    with psycopg.connect(shop.url, autocommit=True) as connection:
        connection.execute("create table public.backup as select * from harness_keys.key")
        erase(shop, SubjectKeys.from_environment(shop.url), "ada")
        connection.execute("delete from harness_keys.key")
        connection.execute("insert into harness_keys.key select * from public.backup")
    assert [row["f.customer"] for row in rows(shop)] == ["ada", "bob"], "a backup brings keys back"
    keys = SubjectKeys.from_environment(shop.url)
    assert (reapply(shop, keys), reapply(shop, keys)) == (1, 0)
    assert [row["f.customer"] for row in rows(shop)] == [None, "bob"]
    assert len(shop.controls("subject.erased_again")) == 1


def test_keys_are_forgotten_after_a_while_and_a_store_that_is_away_costs_no_wait(shop: Log) -> None:
    clock = HeldClock()
    keys = SubjectKeys(shop.url, [SecretWrapper(SECRET)], clock=clock.monotonic)
    first = keys.of(["ada"])["ada"]
    SubjectKeys.from_environment(shop.url).destroy([first.id])
    assert keys.of(["ada"])["ada"].id == first.id
    clock.seconds += REMEMBERED_S + 1
    assert keys.of(["ada"])["ada"].id != first.id
    assert keys.by_id([first.id]) == {}
    away = SubjectKeys("postgresql://127.0.0.1:9/none", [SecretWrapper(SECRET)], clock=clock.monotonic)
    for text in ("key store", "a moment ago"):
        with pytest.raises(LinkUnavailable, match=text):
            away.of(["ada"])


def test_neither_reader_nor_recorder_has_a_right_on_keys(shop: Log) -> None:
    for role in ("harness_reader", "harness_recorder", "harness_operator"):
        with psycopg.connect(shop.url, autocommit=True) as connection:
            connection.execute(f"set role {role}")  # type: ignore[arg-type]  # a test's own text
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute("select * from harness_keys.key")
    with psycopg.connect(shop.url, autocommit=True) as connection:
        connection.execute("set role harness_keys_user")
        connection.execute("select * from harness_keys.key")
        for change in ("update harness_keys.key set wrapped = null", "delete from harness_keys.key"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(change)  # type: ignore[arg-type]  # a test's own text


def test_the_command_says_what_held_the_person(
    shop: Log, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HARNESS_DATABASE_URL", shop.url)
    recorded(shop, "ada", "bob", "ada")
    folder = ["-C", str(tmp_path)]
    assert run(["subject-keys", "init", *folder]) == 0
    assert run(["erase", "--subject", "ada", "--dry-run", *folder]) == 0
    assert "Would erase 2 rows. Nothing was changed." in capsys.readouterr().out
    assert not shop.controls(ERASED)
    assert [row["f.customer"] for row in rows(shop)] == ["ada", "bob", "ada"]
    assert run(["erase", "--subject", "ada", *folder]) == 0
    shown = capsys.readouterr().out
    assert "Erased: 2 rows" in shown
    assert run(["erase", "--subject", "ada", "--dry-run", *folder]) == 0
    assert capsys.readouterr().out == shown, "who is erased already has that receipt"
    assert run(["erase", "--subject", "eve", *folder]) == 2
    assert run(["subject-keys", "reapply", *folder]) == 0
    assert run(["subject-keys", "rewrap", *folder]) == 0
    assert len(shop.controls(ERASED)) == 1


def test_an_event_is_shown_with_what_was_erased_of_it(
    shop: Log, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def shown(*more: str) -> tuple[str, str]:
        assert run(["log", "show", "2", *more, "-C", str(tmp_path)]) == 0
        seen = capsys.readouterr()
        return seen.out, seen.err

    monkeypatch.setenv("HARNESS_DATABASE_URL", shop.url)
    recorded(shop, "ada", "bob")
    lines = dict(line.split(maxsplit=1) for line in shown()[0].splitlines()[1:])
    assert (lines["f.customer"], lines["f.income"]) == ("ada", "1000.5")
    assert run(["erase", "--subject", "ada", "-C", str(tmp_path)]) == 0
    capsys.readouterr()
    lines = dict(line.split(maxsplit=1) for line in shown()[0].splitlines()[1:])
    assert "sealed" not in lines
    assert (lines["f.customer"], lines["f.income"], lines["f.amount"]) == (*["null (erased)"] * 2, "0.0")
    found = json.loads(shown("--json")[0])
    assert {"field": "income", "status": "erased"} in found["statuses"]
    monkeypatch.delenv("HARNESS_SUBJECT_SECRET")
    out, told = shown()
    assert "  sealed   " in out
    assert "as it is kept, encrypted. " in told
    assert "HARNESS_SUBJECT_SECRET" in told


def test_segments_hold_nothing_in_clear_and_lose_a_person_too(
    database_url: str, migrated: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_SUBJECT_SECRET", SECRET)
    monkeypatch.delenv("HARNESS_KEYS_URL", raising=False)
    with (
        servers.fresh_database(database_url, migrated) as url,
        create_log(tmp_path, url=url, clock="event", partition_positions=5) as log,
    ):
        keys = SubjectKeys.from_environment(url)
        keys.create()
        log.register_feature_set(SHOP)
        recorded(log, *["ada", "bob"] * 10)
        recorded(log, *["cleo"] * 10)
        take(log, tmp_path / "host")
        before = log.read(1, 100, kind="decision")
        whole = [row for batch in before for row in batch.to_pylist()]
        (segment,) = seal(log)
        assert release(log, timedelta(0))
        files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
        assert len(files) >= 4
        assert not any(word in data for data in files for word in (b"confidential", b"bob", b"cleo"))
        after = [row for batch in log.read(1, 100, kind="decision") for row in batch.to_pylist()]
        assert after == whole
        assert [row["f.note"] for row in after][:2] == ["confidential-ada-0", "confidential-bob-1"]
        receipt = erase(log, keys, "ada")
        assert receipt.body["rows"] == 10
        assert receipt.body["segments"] == [f"{segment.first}-{segment.stop - 1}"]
        gone = [row for batch in log.read(1, 100, kind="decision") for row in batch.to_pylist()]
        assert [row["f.customer"] for row in gone][:4] == [None, "bob", None, "bob"]
        assert log.verify().holds
        for host in ("host", "another host"):
            assert compare(log, tmp_path / host).checkpoints == 1
            check_proof(prove(log, tmp_path / host, 2).proof, the_key(log, open_memory(log, tmp_path / host)))
