"""Monitors and proofs where persons are: nothing is opened or kept, and an erasure changes no answer."""

import datetime as dt
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from harness.erasure import erase
from harness.experiments import CLOSED
from harness.log.log import Log
from harness.measured_part import Question
from harness.monitor.errors import FeatureEncrypted
from harness.monitor.file import MonitorFile, read_monitor
from harness.monitor.registered import Monitor, register
from harness.monitor.run import explain, history, run
from harness.monitor.text import monitor_text
from harness.proof_inputs import inputs_of
from recorders.canonical import canonical_json
from recorders.fields import FeatureSet, Field
from recorders.inprocess import InProcessLink
from recorders.recorder import Recorder
from recorders.subject_keys import SubjectKeys
from tests.process.test_monitors import TEXT, day
from tests.support.shop import FIRST
from tests.support.subjects import SECRET, SHOP, snapshot

POINT = "shop.checkout"
CUSTOMER = Field("customer", "string", subject=True)
THEIRS = ["born", "customer", "income", "note"]


@pytest.fixture
def keys(event_log: Log, monkeypatch: pytest.MonkeyPatch) -> SubjectKeys:
    """Keys of persons beside a log that knows the feature set."""
    monkeypatch.setenv("HARNESS_SUBJECT_SECRET", SECRET)
    for name in ("HARNESS_KEYS_URL", "HARNESS_SUBJECT_SECRET_OLD"):
        monkeypatch.delenv(name, raising=False)
    found = SubjectKeys.from_environment(event_log.url)
    found.create()
    return found


def recorded(log: Log, first: int, stop: int, features: FeatureSet = SHOP) -> None:
    """Record the days [first, stop), thirty decisions each."""
    log.register_feature_set(features)
    names = [field.name for field in features.fields]
    with Recorder(
        POINT, features, InProcessLink(log.url, [features]), model="m", model_version="1"
    ) as recorder:
        for number in range(first, stop):
            for step in range(30):
                served = snapshot(f"person-{step % 7}", step)
                recorder.record(
                    {name: served[name] for name in names},
                    occurred_at=FIRST + dt.timedelta(days=number, hours=6, minutes=10 * step),
                    decision_id=f"{number}-{step}",
                    score=step / 30,
                )
            assert recorder.flush(30)


def declared(folder: Path, more: str = "") -> MonitorFile:
    path = folder / "monitor.toml"
    path.write_text(TEXT.format(id="inputs", more=more).replace("shop.returned", POINT))
    return read_monitor(path)


def watched(monitor: Monitor) -> list[str]:
    return [each.name for each in monitor.inputs.features]


def test_nothing_of_a_person_is_opened_or_kept_and_an_erasure_changes_no_answer(
    event_log: Log, keys: SubjectKeys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded(event_log, 0, 18)
    with monkeypatch.context() as without:
        without.delenv("HARNESS_SUBJECT_SECRET")  # whoever watches needs no key
        monitor = register(event_log, declared(tmp_path))
        found = run(event_log, "inputs", folder=tmp_path)
    assert watched(monitor) == ["amount", "country", "(score)"]
    assert monitor.encrypted == tuple(THEIRS)
    assert [body["day"] for body in found.inputs] == [day(15), day(16)]
    for body in found.inputs:
        assert body["encrypted"] == THEIRS
        assert {each["feature"] for each in body["drift"]["features"]} == {"amount", "country", "(score)"}
    assert f"encrypted   {', '.join(THEIRS)}: not watched" in monitor_text(
        monitor, *history(event_log, "inputs")
    )
    states = b"".join(path.read_bytes() for path in (tmp_path / ".harness").rglob("*.json"))
    told = canonical_json([event.body for event in event_log.controls("monitor.*")])
    for kept in (states, told):
        assert kept
        assert b"person-" not in kept
        assert b"confidential" not in kept
    erase(event_log, keys, "person-3")
    with Log(event_log.url) as anew:
        for body in found.inputs:
            assert explain(anew, "inputs", dt.date.fromisoformat(body["day"])) == [body]


def test_an_encrypted_feature_is_refused_by_its_name(
    event_log: Log, keys: SubjectKeys, tmp_path: Path
) -> None:
    recorded(event_log, 0, 16)
    with pytest.raises(FeatureEncrypted, match='"income", which is kept encrypted'):
        register(event_log, declared(tmp_path, '[[features]]\nname = "income"\n'))
    assert event_log.controls("monitor.*") == []


def test_what_is_encrypted_since_the_reference_is_broken_and_what_was_once_is_not_watched(
    event_log: Log, keys: SubjectKeys, tmp_path: Path
) -> None:
    plain = FeatureSet(
        "shop",
        1,
        (Field("amount", "float64"), Field("income", "float64"), CUSTOMER),
    )
    later = FeatureSet(
        "shop", 2, (*plain.fields[:1], Field("income", "float64", sensitive=True), plain.fields[2])
    )
    recorded(event_log, 0, 15, plain)
    recorded(event_log, 15, 17, later)
    monitor = register(event_log, declared(tmp_path))
    assert watched(monitor) == ["amount", "income", "(score)"]
    (body,) = run(event_log, "inputs", folder=tmp_path).inputs
    assert body["answer"] == "broken"
    assert body["reasons"][0].startswith("income: 30 of 30 rows have no finite value")
    path = tmp_path / "monitor.toml"

    path.write_text(path.read_text().replace("2026-03-16", "2026-03-17").replace('"inputs"', '"both"'))
    assert watched(register(event_log, read_monitor(path))) == ["amount", "(score)"]


def asked(log: Log, start: int, stop: int, **body: str) -> Question:
    """Return what a proof of retraining asks of [start, stop); `body` is what its registration says."""
    experiment = SimpleNamespace(decision_point=POINT, closed=body.get("inputs") == CLOSED)
    return cast("Question", SimpleNamespace(experiment=experiment, start=start, stop=stop))


def test_a_proof_of_retraining_opens_nothing_of_a_person_and_counts_what_it_left_closed(
    event_log: Log, keys: SubjectKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded(event_log, 0, 14)
    middle = event_log.head().position + 1
    recorded(event_log, 14, 17)
    end = event_log.head().position + 1
    opened = inputs_of(event_log, asked(event_log, middle, end), (1, middle))
    assert opened.encrypted == {}  # registered before: as it was, with the key
    monkeypatch.delenv("HARNESS_SUBJECT_SECRET")
    with Log(event_log.url) as without:
        found = inputs_of(without, asked(without, middle, end, inputs=CLOSED), (1, middle))
    assert found.encrypted == dict.fromkeys(THEIRS, 90)
    assert found.broken == ()
    assert (found.answer == opened.answer) or opened.broken


def test_a_feature_that_became_encrypted_is_no_broken_data_of_a_proof(
    event_log: Log, keys: SubjectKeys
) -> None:
    plain = FeatureSet("shop", 1, (Field("amount", "float64"), Field("income", "float64"), CUSTOMER))
    later = FeatureSet(
        "shop", 2, (*plain.fields[:1], Field("income", "float64", sensitive=True), plain.fields[2])
    )
    recorded(event_log, 0, 14, plain)
    middle = event_log.head().position + 1
    recorded(event_log, 14, 17, later)
    end = event_log.head().position + 1
    found = inputs_of(event_log, asked(event_log, middle, end, inputs=CLOSED), (1, middle))
    assert (found.broken, found.encrypted) == ((), {"customer": 90, "income": 90})
