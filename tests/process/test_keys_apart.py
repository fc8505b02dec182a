"""The keys of persons apart from the log: in another database, under a service; and what a receipt names."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from importlib import import_module
from pathlib import Path

import psycopg
import pytest

from harness.cli.main import run
from harness.erasure import erase
from harness.log.log import Log
from harness.models import add_model
from harness.training.sets import create_training_set
from recorders.errors import FeatureSetError, KeysUnavailable
from recorders.recorder import Recorder
from recorders.socket_link import SocketLink
from recorders.subject_keys import SubjectKeys
from recorders.wrapping import wrappers
from tests.support import servers
from tests.support.sidecars import Running, until
from tests.support.subjects import POINT, SECRET, SHOP, recorded, snapshot

VAULT = """
import threading


class Vault:
    name = "vault:persons/1"

    def wrap(self, key):
        return b"1" + bytes(byte ^ 0x5A for byte in key)

    def unwrap(self, wrapped):
        if wrapped[:1] != b"1":
            raise ValueError("of another key")
        return bytes(byte ^ 0x5A for byte in wrapped[1:])


class Away(Vault):
    def wrap(self, key):
        raise TimeoutError("no answer from https://vault.example/?token=secret")

    unwrap = wrap


class Hanging(Vault):
    ended, calls = threading.Event(), 0

    def wrap(self, key):
        Hanging.calls += 1
        Hanging.ended.wait(10)
        return super().wrap(key)


class Short(Vault):
    def unwrap(self, wrapped):
        return b"short"


class Textual(Vault):
    def wrap(self, key):
        return "text"


def nothing():
    return None
"""


@pytest.fixture
def shop(fresh_log: Log, monkeypatch: pytest.MonkeyPatch) -> Log:
    for name in ("URL", "SECRET", "SECRET_OLD", "WRAPPER"):
        monkeypatch.delenv(f"HARNESS_{'KEYS' if name == 'URL' else 'SUBJECT'}_{name}", raising=False)
    fresh_log.register_feature_set(SHOP)
    return fresh_log


@pytest.fixture
def vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a key management service in it, that Python finds."""
    (tmp_path / "vault_of_tests.py").write_text(VAULT)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


@pytest.fixture
def elsewhere(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A database for keys alone, and a secret."""
    with servers.fresh_database(database_url) as url:
        monkeypatch.setenv("HARNESS_KEYS_URL", url)
        monkeypatch.setenv("HARNESS_SUBJECT_SECRET", SECRET)
        yield url


def customers(log: Log) -> list[str | None]:
    with Log(log.url) as anew:
        batches = anew.read(1, anew.head().position + 1, kind="decision", columns=["f.customer"])
        return [row["f.customer"] for batch in batches for row in batch.to_pylist()]


def test_keys_in_another_database_leave_none_beside_the_log(shop: Log, elsewhere: str) -> None:
    keys = SubjectKeys.from_environment(shop.url)
    keys.create()
    recorded(shop, "ada", "bob")
    with psycopg.connect(shop.url) as connection:
        (found,) = connection.execute("select to_regnamespace('harness_keys')::text").fetchall()
    assert found == (None,)
    with psycopg.connect(elsewhere, autocommit=True) as connection:
        # Whoever uses keys makes and reads them; to erase takes another role.
        connection.execute("set role harness_keys_user")
        (count,) = connection.execute("select count(*) from harness_keys.key").fetchall()
        assert count == (2,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("update harness_keys.key set wrapped = null, destroyed_at = now()")
        connection.execute("set role harness_keys_eraser")
        connection.execute("update harness_keys.key set wrapped = wrapped")
    assert customers(shop) == ["ada", "bob"]
    erase(shop, keys, "ada")
    assert customers(shop) == [None, "bob"]


def test_a_key_management_service_takes_over_from_a_secret(
    shop: Log, vault: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HARNESS_SUBJECT_SECRET", SECRET)
    monkeypatch.setenv("HARNESS_DATABASE_URL", shop.url)
    SubjectKeys.from_environment(shop.url).create()
    recorded(shop, "ada")
    monkeypatch.setenv("HARNESS_SUBJECT_WRAPPER", "vault_of_tests:Vault")
    recorded(shop, "ada", "bob")
    assert run(["subject-keys", "rewrap", "-C", str(vault)]) == 0
    assert "1 keys are wrapped anew" in capsys.readouterr().out
    monkeypatch.delenv("HARNESS_SUBJECT_SECRET")
    assert customers(shop) == ["ada", "ada", "bob"]
    with psycopg.connect(shop.url) as connection:
        found = connection.execute("select distinct wrapping from harness_keys.key").fetchall()
    assert found == [("vault:persons/1",)]
    assert run(["erase", "--subject", "ada", "-C", str(vault)]) == 0
    assert customers(shop) == [None, None, "bob"]
    monkeypatch.setenv("HARNESS_SUBJECT_SECRET", SECRET)
    monkeypatch.delenv("HARNESS_SUBJECT_WRAPPER")
    with pytest.raises(KeysUnavailable, match="wrapped with vault:persons/1"):
        customers(shop)


@pytest.mark.parametrize(("name", "said"), [("Away", "TimeoutError"), ("Textual", "gave str, not bytes")])
def test_a_service_that_does_not_answer_costs_nobody_a_frame(
    shop: Log, vault: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, said: str
) -> None:
    monkeypatch.setenv("HARNESS_SUBJECT_WRAPPER", f"vault_of_tests:{name}")
    keys = SubjectKeys.from_environment(shop.url)
    keys.create()
    with pytest.raises(KeysUnavailable, match=said) as caught:
        keys.of(["ada"])
    assert "token" not in str(caught.value)
    environment = {"PYTHONPATH": str(vault), "HARNESS_SUBJECT_WRAPPER": f"vault_of_tests:{name}"}
    sidecar = Running(tmp_path / "spool", shop.url, environment=environment)
    with sidecar:
        recorder = Recorder(POINT, SHOP, SocketLink(sidecar.address, [SHOP]), model="m", model_version="1")
        recorder.record(snapshot("ada"))
        assert not recorder.flush(1)
        assert sidecar.stop() == 0
        sidecar._environment["HARNESS_SUBJECT_WRAPPER"] = "vault_of_tests:Vault"
        sidecar.start()
        assert recorder.flush(30)
        recorder.close()
        monkeypatch.setenv("HARNESS_SUBJECT_WRAPPER", "vault_of_tests:Vault")
        until(lambda: customers(shop) == ["ada"])


def test_a_service_that_hangs_is_not_waited_for(
    shop: Log, vault: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was, for ever, in the transaction that makes keys: nobody's frames were taken meanwhile."""
    monkeypatch.setenv("HARNESS_SUBJECT_WRAPPER", "vault_of_tests:Hanging")
    monkeypatch.setattr("recorders.wrapping.PATIENCE_S", 0.2)
    keys = SubjectKeys.from_environment(shop.url)
    keys.create()
    with pytest.raises(KeysUnavailable, match=r"did not answer in 0\.2 s"):
        keys.of(["ada"])
    for _ in range(3):
        with pytest.raises(KeysUnavailable, match="has not answered an earlier call yet"):
            keys.of(["ada"])
    hanging = import_module("vault_of_tests").Hanging
    assert hanging.calls == 1, "calls that hang do not add up"
    hanging.ended.set()
    until(lambda: not any(one.name == "harness-keys-wrapper" for one in threading.enumerate()))
    recorded(shop, "ada")
    assert customers(shop) == ["ada"]


def test_a_service_that_gives_back_another_key_opens_nothing(
    shop: Log, vault: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_SUBJECT_WRAPPER", "vault_of_tests:Vault")
    SubjectKeys.from_environment(shop.url).create()
    recorded(shop, "ada")
    monkeypatch.setenv("HARNESS_SUBJECT_WRAPPER", "vault_of_tests:Short")
    with pytest.raises(KeysUnavailable, match="gave 5 bytes, not 32"):
        customers(shop)


@pytest.mark.parametrize("name", ["nowhere:Vault", "vault_of_tests:Value", "vault_of_tests:nothing", "vault"])
def test_a_name_that_gives_no_wrapper_is_refused(vault: Path, name: str) -> None:
    with pytest.raises(FeatureSetError, match="HARNESS_SUBJECT_WRAPPER names"):
        wrappers({"HARNESS_SUBJECT_WRAPPER": name})


def test_the_receipt_names_all_that_held_the_person(
    shop: Log,
    elsewhere: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keys = SubjectKeys.from_environment(shop.url)
    keys.create()
    recorded(shop, "bob", "bob")
    before = shop.head().position
    recorded(shop, "ada", "bob", "ada")
    end = shop.head().position + 1

    def cut(name: str, start: int, stop: int) -> str:
        window = timedelta(hours=1)
        return create_training_set(
            shop, decision_point=POINT, start=start, stop=stop, label="bought", window=window,
            features=["amount", "income"], out_dir=tmp_path / name,
        ).id  # fmt: skip

    without, holding = cut("without", 1, before + 1), cut("holding", 1, end)
    for version, reached in (("1", before), ("2", end - 1)):
        uri = "py:tests.support.shop:oracle"
        add_model(
            shop, uri, name="m", version=version, trained_until=reached, inputs=["amount"], folder=tmp_path
        )
    monkeypatch.setenv("HARNESS_DATABASE_URL", shop.url)
    assert run(["erase", "--subject", "ada", "-C", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    (receipt,) = shop.controls("subject.erased")
    assert (receipt.body["rows"], receipt.body["training_sets"], receipt.body["models"]) == (
        2,
        [holding],
        ["m:2"],
    )
    assert f"training sets: {holding}\n" in said
    assert without not in said
    assert "models: m:2\n" in said
    assert run(["training-set", "verify", str(tmp_path / "holding"), "-C", str(tmp_path)]) == 0
    assert "2 of them were erased since" in capsys.readouterr().out
