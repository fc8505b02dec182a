"""A wrapper that gives other bytes back than it wrapped: no key is made with it."""

import psycopg
import pytest

from harness.log.log import Log
from recorders.errors import KeysUnavailable
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


@pytest.mark.parametrize("good", [0, 1], ids=["pepper", "key"])
def test_nothing_is_stored_or_remembered(fresh_log: Log, good: int) -> None:
    keys = SubjectKeys(fresh_log.url, [Forgetful(good)])
    keys.create()
    with pytest.raises(KeysUnavailable, match="gave other bytes back than it wrapped"):
        keys.of(["ada"])
    assert (keys._pepper, keys._by_id, keys._by_subject) == (None, {}, {})
    with psycopg.connect(fresh_log.url) as connection:
        for table in ("pepper", "key"):
            assert connection.execute(f"select count(*) from harness_keys.{table}").fetchone() == (0,)
    sound = SubjectKeys(fresh_log.url, [SecretWrapper(SECRET)])
    assert set(sound.of(["ada"])) == {"ada"}
