"""Sampling: every process decides alike, the chance is written down, and the counts add up."""

from decimal import Decimal
from enum import IntEnum, StrEnum
from hashlib import blake2b

import msgspec
import numpy as np
import pytest

from recorders.errors import FeatureSetError
from recorders.fields import FeatureSet, Field
from recorders.sampling import Sampler, Sampling
from tests.support.recording import MemoryLink, StillRecorder

SHOP = FeatureSet("shop", 1, (Field("country", "string"), Field("amount", "float64")))
COUNT = 20_000


def sampled(sampling: Sampling) -> tuple[StillRecorder, MemoryLink]:
    link = MemoryLink()
    return StillRecorder("p", SHOP, link, model="m", model_version="1", sampling=sampling), link


def kept(sampling: Sampling, count: int = COUNT, **known: object) -> set[str]:
    recorder, _ = sampled(sampling)
    features = {"country": "NL", "amount": 1.0}
    ids = [recorder.record(features, decision_id=f"d{number}", **known) for number in range(count)]  # type: ignore[arg-type]
    accepted = {name for name in ids if name is not None}
    counters = recorder.counters
    assert counters.accepted == len(accepted)
    assert counters.sampled_out == count - len(accepted)
    assert counters.rejected == counters.dropped == {}
    return accepted


def test_a_tenth_is_a_tenth_and_the_same_tenth_everywhere() -> None:
    tenth = kept(Sampling(rate=0.1))
    assert abs(len(tenth) - COUNT / 10) < 5 * (COUNT * 0.09) ** 0.5
    assert tenth == kept(Sampling(rate=0.1))
    by_hand = {
        f"d{n}"
        for n in range(COUNT)
        if int.from_bytes(blake2b(b"\x00" + f"d{n}".encode(), digest_size=8).digest(), "big") < 2**64 / 10
    }
    assert tenth == by_hand, "other languages can decide alike"


def test_a_higher_rate_keeps_what_a_lower_one_keeps() -> None:
    assert kept(Sampling(rate=0.1)) < kept(Sampling(rate=0.3)) < kept(Sampling(rate=1.0))


def test_another_salt_keeps_others() -> None:
    first, second = kept(Sampling(rate=0.5)), kept(Sampling(rate=0.5, salt="b"))
    assert abs(len(first & second) - COUNT / 4) < COUNT * 0.02


def test_all_decisions_of_a_unit_share_their_fate() -> None:
    whole = Sampling(rate=0.5, by="unit")
    assert all(len(kept(whole, 10, unit=f"user {number}")) in (0, 10) for number in range(20))
    assert len(kept(whole, 100, unit=None)) not in (0, 100), "without a unit the decision's id counts"


def test_the_chance_is_stored_times_the_callers() -> None:
    recorder, link = sampled(Sampling(rate=0.25))
    ids = [recorder.record({"country": "NL", "amount": 1.0}, inclusion=0.5) for _ in range(100)]
    recorder.carry_all()
    events = msgspec.msgpack.decode(link.frames[0].payload)
    assert {event[8] for event in events} == {0.125}
    assert [event[0] for event in events] == [name for name in ids if name]
    assert not [frame for frame in link.frames if frame.kind == "loss"], "sampled out is no loss"


def test_a_stratum_has_a_rate_of_its_own() -> None:
    recorder, link = sampled(Sampling(rate=0.0, stratum="country", rates={"NL": 1.0, "DE": 0.5}))
    found = {
        country: sum(
            recorder.record({"country": country, "amount": 1.0}) is not None  # type: ignore[dict-item]
            for _ in range(400)
        )
        for country in ("NL", "DE", "FR", None)
    }
    assert found["NL"] == 400
    assert 140 < found["DE"] < 260
    assert found["FR"] == found[None] == 0
    recorder.carry_all()
    chances = {
        (event[11], event[8]) for frame in link.frames for event in msgspec.msgpack.decode(frame.payload)
    }
    assert chances == {("NL", 1.0), ("DE", 0.5)}


class Country(StrEnum):
    NL = "NL"


@pytest.mark.parametrize(
    ("kind", "rated", "values"),
    [
        ("string", "NL", ["NL", Country.NL, np.str_("NL")]),
        ("int64", 3, [3, IntEnum("Tier", {"GOLD": 3}).GOLD, np.int8(3)]),
        ("bool", True, [True, np.True_]),
        ("float64", 3, [3, 3.0, np.float32(3), Decimal(3)]),
    ],
)
def test_what_is_recorded_alike_is_sampled_alike(kind: str, rated: str | int, values: list[object]) -> None:
    features = FeatureSet("shop", 1, (Field("stratum", kind),))
    only = Sampling(rate=0.0, stratum="stratum", rates={rated: 1.0})
    recorder = StillRecorder("p", features, MemoryLink(), model="m", model_version="1", sampling=only)
    assert all(recorder.record({"stratum": value}) for value in values)
    assert recorder.counters.sampled_out == 0


@pytest.mark.parametrize(
    ("kind", "rated"), [("int64", "3"), ("int64", True), ("string", 3), ("timestamp", "3")]
)
def test_a_rate_of_what_no_field_holds_is_refused(kind: str, rated: str | int) -> None:
    """It was ignored: the stratum that was meant had the rate of all others."""
    features = FeatureSet("shop", 1, (Field("stratum", kind),))
    sampling = Sampling(stratum="stratum", rates={rated: 1.0})
    with pytest.raises(FeatureSetError, match=f"of the field's type, {kind}"):
        Sampler(sampling, features)


@pytest.mark.parametrize(
    ("features", "known", "reason"),
    [
        ({"country": ["NL"], "amount": 1.0}, {}, "type"),
        ({"country": "NL", "amount": 1.0}, {"inclusion": None}, "type"),
        ({"country": "NL", "amount": 1.0}, {"inclusion": 2.0}, "range"),
        ({"country": "NL", "amount": 1.0}, {"decision_id": 7}, "type"),
        (None, {}, "exception"),
    ],
)
def test_what_is_wrong_is_still_refused(features: object, known: dict[str, object], reason: str) -> None:
    recorder, _ = sampled(Sampling(rate=1 - 1e-12, stratum="country", rates={"NL": 1 - 1e-12}))
    assert recorder.record(features, **known) is None  # type: ignore[arg-type]
    assert recorder.counters.rejected == {reason: 1}


def test_a_sampling_that_cannot_be_meant_is_refused() -> None:
    with pytest.raises(FeatureSetError, match="decision_id, unit or trace_id"):
        Sampling(by="user")  # type: ignore[arg-type]
    with pytest.raises(FeatureSetError, match="Expected both or neither"):
        Sampling(stratum="country")
    with pytest.raises(FeatureSetError, match="rate is nan"):
        Sampling(rate=float("nan"))
    with pytest.raises(FeatureSetError, match="a field of shop:1"):
        sampled(Sampling(stratum="land", rates={"NL": 1.0}))
