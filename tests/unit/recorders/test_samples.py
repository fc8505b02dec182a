"""Samples: what the operator reads about a refused event."""

import gc
import weakref

from recorders.unknown import UnknownFeature
from tests.support.recording import PLAIN, MemoryLink, still


def test_an_unknown_feature_is_told_with_the_nearest_declared_one() -> None:
    recorder = still(MemoryLink())
    assert recorder.record({**PLAIN, "amuont": 1.0}) is None
    assert recorder.samples["undeclared"].startswith(
        "Unknown feature 'amuont': the nearest declared one is 'amount'. Expected the fields of two:1."
    )


def test_a_key_that_is_no_name_has_no_neighbour() -> None:
    recorder = still(MemoryLink())
    recorder.record({**PLAIN, 7: 1})  # type: ignore[dict-item]
    assert recorder.samples["undeclared"].startswith("Unknown feature: 7 (int). Expected")


def test_a_sample_keeps_no_request_alive() -> None:
    class Value:
        pass

    recorder, value = still(MemoryLink()), Value()
    gone = weakref.ref(value)
    assert recorder.record({"age": value, "amount": 1.0}) is None
    del value
    gc.collect()
    assert gone() is None
    assert "an object of type Value" in recorder.samples["type"]


def test_a_sample_keeps_no_more_of_a_key_than_it_shows() -> None:
    recorder = still(MemoryLink())
    recorder.record({**PLAIN, "k" * 10**6: 1.0})
    sample = recorder._refusals._last["undeclared"]
    assert isinstance(sample, UnknownFeature)
    assert len(sample.key) < 200
