"""Pseudonyms: the value itself never leaves, on any path, and equal values stay equal."""

import msgspec
import pytest

from recorders.errors import FeatureSetError
from recorders.fields import FeatureSet, Field
from recorders.pseudonyms import KEY_VARIABLE, Pseudonyms
from tests.support.recording import MemoryLink, StillRecorder

SECRET = "a secret of the operator"
USERS = FeatureSet("users", 1, (Field("mail", "string", pseudonym=True), Field("amount", "float64")))
MAIL = "ada@example.org"


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, SECRET)


def recorded(features: dict[str, object], **known: object) -> tuple[StillRecorder, MemoryLink]:
    link = MemoryLink()
    recorder = StillRecorder("p", USERS, link, model="m", model_version="1")
    recorder.record(features, **known)  # type: ignore[arg-type]
    recorder.carry_all()
    return recorder, link


@pytest.mark.parametrize(
    "features",
    [
        {"mail": MAIL, "amount": 1.0},
        {"amount": 1, "mail": MAIL},
        {"mail": MAIL},
        {"mail": type("Mail", (str,), {})(MAIL), "amount": 1.0},
    ],
    ids=["plain", "converted", "sparse", "subclass"],
)
def test_the_log_gets_the_pseudonym_on_every_path(features: dict[str, object]) -> None:
    _, link = recorded(features)
    (event,) = msgspec.msgpack.decode(link.frames[0].payload)
    assert event[11] == Pseudonyms(SECRET).of(MAIL) == Pseudonyms.from_environment().of(MAIL)
    assert MAIL.encode() not in link.frames[0].payload


def test_none_stays_none() -> None:
    _, link = recorded({"mail": None, "amount": 1.0})
    (event,) = msgspec.msgpack.decode(link.frames[0].payload)
    assert event[11] is None


@pytest.mark.parametrize("features", [{"mail": MAIL.encode(), "amount": 1.0}, {"mail": [MAIL]}])
def test_a_refusal_does_not_show_it(features: dict[str, object]) -> None:
    recorder, link = recorded(features)
    assert recorder.counters.rejected == {"type": 1}
    assert "ada" not in recorder.samples["type"]
    assert all(b"ada" not in frame.payload for frame in link.frames)


def test_another_key_is_another_person() -> None:
    assert Pseudonyms(SECRET).of(MAIL) != Pseudonyms(SECRET + "!").of(MAIL)


def test_without_a_key_no_recorder_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "short")
    with pytest.raises(FeatureSetError, match="marks 'mail' as a pseudonym, and HARNESS_PSEUDONYM_KEY has 5"):
        recorded({})


def test_the_mark_is_part_of_the_set_and_its_absence_is_not() -> None:
    assert FeatureSet.from_toml(USERS.to_toml()) == FeatureSet.from_json(USERS.canonical()) == USERS
    plain = FeatureSet("users", 1, (Field("mail", "string"), Field("amount", "float64")))
    assert plain.digest != USERS.digest
    assert b"pseudonym" not in plain.canonical()


def test_only_text_can_be_hidden() -> None:
    with pytest.raises(FeatureSetError, match="true only for string or category"):
        Field("age", "int64", pseudonym=True)
    with pytest.raises(FeatureSetError, match="Expected true or false"):
        Field("mail", "string", pseudonym="yes")  # type: ignore[arg-type]
