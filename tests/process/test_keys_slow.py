"""Wrappers of keys that are slow or go away midway, and wrapping anew while others make keys."""

import threading
from collections.abc import Callable
from contextlib import suppress

import psycopg
import pytest

from harness.cli.sidecar import _status
from harness.log.log import Log
from recorders.errors import KeysUnavailable
from recorders.subject_keys import AWAY_S, QUESTION_S, SubjectKeys
from recorders.wrapping import Checked, SecretWrapper
from tests.support.recording import HeldClock
from tests.support.sidecars import until
from tests.support.subjects import SECRET

OLDER = "an older secret of thirty-two characters"
NAMES = [f"person-{n}" for n in range(10)]


class Told(SecretWrapper):
    """Does something before each answer, and counts them."""

    def __init__(self, before: Callable[[int], None], secret: str = SECRET) -> None:
        super().__init__(secret)
        self._before = before
        self.calls = 0

    def wrap(self, key: bytes) -> bytes:
        self._count()
        return super().wrap(key)

    def unwrap(self, wrapped: bytes) -> bytes:
        self._count()
        return super().unwrap(wrapped)

    def _count(self) -> None:
        self.calls += 1
        self._before(self.calls)


@pytest.fixture
def sound(fresh_log: Log) -> SubjectKeys:
    """A key store with a pepper."""
    keys = SubjectKeys(fresh_log.url, [SecretWrapper(SECRET)])
    keys.create()
    keys.of(["nobody"])
    return keys


def wrappings(log: Log) -> list[str]:
    with psycopg.connect(log.url) as connection:
        found = connection.execute(
            "select wrapping from harness_keys.key union all select wrapping from harness_keys.pepper"
        )
        return sorted(row[0] for row in found)


@pytest.mark.parametrize("there", [False, True], ids=["new", "known"])
def test_a_slow_wrapper_is_left_for_the_next_question_which_goes_on(
    fresh_log: Log, sound: SubjectKeys, there: bool
) -> None:
    """Ten persons of three seconds each held all services for a minute, and began anew when it was killed."""
    if there:
        sound.of(NAMES)
    clock, questions = HeldClock(), 0

    def slow(_call: int) -> None:
        clock.seconds += 3

    wrapper = Told(slow)
    keys = SubjectKeys(fresh_log.url, [wrapper], clock=clock.monotonic)
    while wrapper.calls < 1 + (10 if there else 20):
        questions += 1
        begun, calls = clock.seconds, wrapper.calls
        with suppress(KeysUnavailable):
            keys.of(NAMES)
        assert clock.seconds - begun <= 3 + QUESTION_S + 6  # the pepper, and the key that was in hand
        assert wrapper.calls > calls, "it goes on"
        if len(keys._by_subject) < len(NAMES):
            asked = wrapper.calls
            with pytest.raises(KeysUnavailable, match=r"is slow: .*that was a moment ago"):
                keys.of(NAMES)
            assert wrapper.calls == asked, "the next frames do not wait too"
        clock.seconds += AWAY_S
    found = keys.of(NAMES)
    assert questions > 1
    assert {name: key.id for name, key in found.items()} == {
        name: key.id for name, key in sound.of(NAMES).items()
    }


def test_what_a_wrapper_gave_before_it_went_away_is_kept(fresh_log: Log, sound: SubjectKeys) -> None:
    def dying(call: int) -> None:
        if call % 8 == 0:
            raise KeysUnavailable("it does not answer")

    wrapper = Told(dying)
    keys = SubjectKeys(fresh_log.url, [wrapper])
    for _ in range(3):
        with pytest.raises(KeysUnavailable, match="does not answer"):
            keys.of(NAMES)
    assert set(keys.of(NAMES)) == set(NAMES)
    assert {key.id for key in keys.of(NAMES).values()} == {key.id for key in sound.of(NAMES).values()}


def test_who_may_only_unwrap_finds_a_person(fresh_log: Log, sound: SubjectKeys) -> None:
    class Reader(SecretWrapper):
        def wrap(self, key: bytes) -> bytes:
            raise KeysUnavailable("it may not be asked to wrap")

    sound.of(["ada"])
    assert len(SubjectKeys(fresh_log.url, [Reader(SECRET)]).ids_of("ada")) == 1


def test_a_wrapper_that_goes_away_while_keys_are_wrapped_anew_keeps_what_it_did(
    fresh_log: Log, sound: SubjectKeys
) -> None:
    sound.of(NAMES)

    def dying(call: int) -> None:
        if call == 9:
            raise KeysUnavailable("it does not answer")

    fresh = Told(dying, OLDER)
    keys = SubjectKeys(fresh_log.url, [fresh, SecretWrapper(SECRET)])
    with pytest.raises(KeysUnavailable, match="does not answer"):
        keys.rewrap()
    assert wrappings(fresh_log).count(fresh.name) == 1 + 3
    assert keys.rewrap() == 11 - 3
    assert wrappings(fresh_log) == [fresh.name] * 12


def test_no_key_is_made_with_what_was_given_up(fresh_log: Log, sound: SubjectKeys) -> None:
    """A sidecar that had the older secret alone went on: once that was destroyed, nobody could open those."""
    ada = sound.of(["ada"])["ada"]
    both = SubjectKeys(fresh_log.url, [SecretWrapper(OLDER), SecretWrapper(SECRET)])
    between = both.of(["bob"])["bob"]  # before the pepper is wrapped anew, as sidecars are started one by one
    assert both.rewrap() == 2
    with pytest.raises(KeysUnavailable, match=r"keys are wrapped with secret:.* by now, and we have secret:"):
        sound.of(["cleo"])
    assert sound.of(["ada"])["ada"].id == ada.id
    assert both.of(["bob"])["bob"].id == between.id
    assert len(set(wrappings(fresh_log))) == 1
    assert set(both.of(["cleo"])) == {"cleo"}


def test_wrapping_anew_waits_for_who_is_adding_a_key(fresh_log: Log, sound: SubjectKeys) -> None:
    older, fresh = SecretWrapper(SECRET), SecretWrapper(OLDER)
    row = (b"k" * 16, b"t" * 16, Checked(older).wrap(b"s" * 32), older.name)
    keys = SubjectKeys(fresh_log.url, [fresh, older])
    work = threading.Thread(target=keys.rewrap)
    with psycopg.connect(fresh_log.url) as adding, psycopg.connect(fresh_log.url, autocommit=True) as looking:
        adding.execute(
            "insert into harness_keys.key (key_id, tag, wrapped, wrapping) values (%s, %s, %s, %s)", row
        )
        work.start()
        waits = "select from pg_locks where not granted and relation = 'harness_keys.key'::regclass"
        until(lambda: bool(looking.execute(waits).fetchall()) or not work.is_alive())
        adding.commit()
        work.join(30)
    assert set(wrappings(fresh_log)) == {fresh.name}


def test_a_status_says_that_frames_went_back_for_want_of_keys() -> None:
    known = {
        "spool": {"frames": 1, "events": 2, "writers": 1},
        "disk": {"refusal": "", "used_bytes": 3},
        "ship": {"state": "shipping", "reason": "", "waiting": 0, "batches": 0, "events": 0, "log_id": ""},
    }
    assert "keys" not in _status(known)
    told = _status(known | {"keys": {"held": 4, "ago_s": 2.1, "why": "it is away"}})
    assert (
        "keys       4 frames went back to their services, which keep them; the last 2 s ago: it is away"
        in told
    )
