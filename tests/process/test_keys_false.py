"""A wrapper that gives other bytes than it wrapped: no key is made with it, and none of the store is used."""

import psycopg
import pytest

from harness.log.log import Log
from recorders.errors import KeysUnavailable
from recorders.sealing import SubjectKey
from recorders.subject_keys import SubjectKeys
from recorders.wrapping import SecretWrapper
from tests.support.subjects import SECRET


class Forgetful(SecretWrapper):
    """Gives what it wrapped for the first calls, then 32 other bytes."""

    def __init__(self, good: int) -> None:
        super().__init__(SECRET)
        self._good = good

    def unwrap(self, wrapped: bytes) -> bytes:
        self._good -= 1
        return super().unwrap(wrapped) if self._good >= 0 else bytes(32)


def opens(key: SubjectKey, other: SubjectKey) -> bool:
    """Return whether one key opens what the other sealed, and is called the same."""
    sealed = other.cipher.encrypt(bytes(12), b"words", None)
    return key.id == other.id and key.cipher.decrypt(bytes(12), sealed, None) == b"words"


@pytest.mark.parametrize("good", [0, 1], ids=["pepper", "key"])
def test_nothing_is_stored_or_remembered(fresh_log: Log, good: int) -> None:
    keys = SubjectKeys(fresh_log.url, [Forgetful(good)])
    keys.create()
    with pytest.raises(KeysUnavailable, match="it gave other bytes than were wrapped"):
        keys.of(["ada"])
    assert (keys._pepper, keys._by_id, keys._by_subject) == (None, {}, {})
    with psycopg.connect(fresh_log.url) as connection:
        for table in ("pepper", "key"):
            assert connection.execute(f"select count(*) from harness_keys.{table}").fetchone() == (0,)
    sound = SubjectKeys(fresh_log.url, [SecretWrapper(SECRET)])
    assert set(sound.of(["ada"])) == {"ada"}


@pytest.mark.parametrize("good", [0, 1], ids=["pepper", "key"])
def test_keys_that_are_in_the_store_are_not_taken_from_it(fresh_log: Log, good: int) -> None:
    sound = SubjectKeys(fresh_log.url, [SecretWrapper(SECRET)])
    sound.create()
    key_id = sound.of(["ada"])["ada"].id
    keys = SubjectKeys(fresh_log.url, [Forgetful(good)])
    with pytest.raises(KeysUnavailable, match="it gave other bytes than were wrapped"):
        keys.of(["ada"])
    with pytest.raises(KeysUnavailable, match="it gave other bytes than were wrapped"):
        SubjectKeys(fresh_log.url, [Forgetful(0)]).by_id([key_id])
    with pytest.raises(KeysUnavailable, match="it gave other bytes than were wrapped"):
        SubjectKeys(fresh_log.url, [Forgetful(0)]).ids_of("ada")


def test_a_good_wrapping_is_not_replaced_by_one_that_cannot_be_opened(fresh_log: Log) -> None:
    older = SecretWrapper("an older secret of thirty-two characters")
    sound = SubjectKeys(fresh_log.url, [older])
    sound.create()
    made = sound.of(["ada"])["ada"]
    with pytest.raises(KeysUnavailable, match="it gave other bytes than were wrapped"):
        SubjectKeys(fresh_log.url, [Forgetful(0), older]).rewrap()
    assert opens(SubjectKeys(fresh_log.url, [older]).of(["ada"])["ada"], made)


def test_what_was_wrapped_without_a_check_value_is_opened_and_gets_one_when_it_is_wrapped_anew(
    fresh_log: Log,
) -> None:
    older = SecretWrapper("an older secret of thirty-two characters")
    sound = SubjectKeys(fresh_log.url, [older])
    sound.create()
    made = sound.of(["ada"])["ada"]
    with psycopg.connect(fresh_log.url) as connection:
        for table in ("pepper", "key"):  # as they were written before: the wrapping alone
            connection.execute(f"update harness_keys.{table} set wrapped = substr(wrapped, 25)")
    assert opens(SubjectKeys(fresh_log.url, [older]).of(["ada"])["ada"], made)
    assert SubjectKeys(fresh_log.url, [SecretWrapper(SECRET), older]).rewrap() == 1
    with pytest.raises(KeysUnavailable, match="it gave other bytes than were wrapped"):
        SubjectKeys(fresh_log.url, [Forgetful(0)]).of(["ada"])


def test_a_pepper_that_was_not_stored_is_not_remembered(fresh_log: Log) -> None:
    class Silent(SecretWrapper):
        """Wraps the pepper, and no key."""

        asked = 0

        def wrap(self, key: bytes) -> bytes:
            self.asked += 1
            if self.asked == 2:
                raise KeysUnavailable("it does not answer")
            return super().wrap(key)

    keys = SubjectKeys(fresh_log.url, [Silent(SECRET)])
    keys.create()
    with pytest.raises(KeysUnavailable, match="does not answer"):
        keys.of(["ada"])
    other = SubjectKeys(fresh_log.url, [SecretWrapper(SECRET)])
    assert opens(other.of(["ada"])["ada"], keys.of(["ada"])["ada"])
