"""Keys of subjects in PostgreSQL: made when first needed, remembered for a while, destroyed for ever."""

import os
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import psycopg
from psycopg.conninfo import make_conninfo

from recorders.append import SESSION
from recorders.errors import KeysUnavailable
from recorders.sealing import ID_BYTES, SubjectKey
from recorders.sidecar.segment import statements
from recorders.wrapping import Checked, Wrapper, wrappers

T = TypeVar("T")
URL_VARIABLE: Final = "HARNESS_KEYS_URL"
# For so long a process goes on with a key after somebody destroyed it; what it encrypts then nobody can read.
REMEMBERED_S: Final = 600.0
KEYS_MAX: Final = 200_000
AWAY_S: Final = 2.0
# So long one question may keep the wrapper busy, and one of its answers (recorders.wrapping) longer at most.
QUESTION_S: Final = 5.0
_SECRET_BYTES: Final = 32
_SQL: Final = statements(Path(__file__).with_suffix(".sql"))


class _Made(NamedTuple):
    """A new key, and what the store is to keep of it."""

    wrapped: bytes
    key: SubjectKey


class SubjectKeys:
    """The keys of one store. For many threads; each call is one transaction of its own.

    The store does not know subjects: a key is found by its tag, a keyed digest of the subject's name.
    """

    def __init__(
        self, url: str, wrapping: Sequence[Wrapper], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._url = url
        self._wrapping = {one.name: Checked(one) for one in wrapping}
        self._now = Checked(wrapping[0])
        self._clock = clock
        self._lock = threading.RLock()
        self._pepper: bytes | None = None
        self._by_subject: dict[str, SubjectKey] = {}
        self._by_id: dict[bytes, SubjectKey] = {}
        self._since = clock()
        self._away_until, self._away_why = 0.0, ""

    @classmethod
    def from_environment(cls, url: str) -> "SubjectKeys":
        """Return the keys at HARNESS_KEYS_URL, or beside the log at `url` when that is not set.

        Raises:
            FeatureSetError: there is no secret to wrap them with.
        """
        return cls(os.environ.get(URL_VARIABLE) or url, wrappers())

    def create(self) -> None:
        """Make the store where there is none. It takes a login that may make schemas and roles."""
        with self._connected() as connection:
            connection.execute(_SQL["tables"])

    def of(self, subjects: Iterable[str]) -> Mapping[str, SubjectKey]:
        """Return each subject's key, made now when there is none that lives.

        Raises:
            KeysUnavailable: the store does not answer, or cannot be read with our wrapping key.
        """
        asked = set(subjects)
        with self._lock:
            self._forget()
            missing = [subject for subject in asked if subject not in self._by_subject]
            if missing:
                self._fetch(sorted(missing))
            return {subject: self._by_subject[subject] for subject in asked}

    def by_id(self, identifiers: Iterable[bytes]) -> Mapping[bytes, SubjectKey]:
        """Return the keys that exist still, by id.

        Raises:
            KeysUnavailable: the store does not answer, or cannot be read with our wrapping key.
        """
        asked = set(identifiers)
        with self._lock:
            self._forget()
            missing = [one for one in asked if one not in self._by_id]
            if missing:
                with self._connected() as connection:
                    found = connection.execute(_SQL["by_id"], {"ids": missing}).fetchall()
                for key_id, wrapped, name in found:
                    self._by_id[key_id] = SubjectKey.of(key_id, self._unwrapped(wrapped, name))
            return {one: self._by_id[one] for one in asked if one in self._by_id}

    def ids_of(self, subject: str) -> dict[bytes, bool]:
        """Return the id of every key that a subject ever had, and whether it is destroyed."""
        with self._connected() as connection:
            return dict(
                connection.execute(_SQL["of_tag"], {"tag": self._tag(connection, subject)}).fetchall()
            )

    def destroy(self, identifiers: Iterable[bytes]) -> int:
        """Destroy keys, and return how many of them lived."""
        with self._lock, self._connected() as connection:
            self._by_subject.clear()
            self._by_id.clear()
            return connection.execute(_SQL["destroy"], {"ids": list(identifiers)}).rowcount

    def wrapped_otherwise(self) -> int:
        """Return how many living keys are not wrapped with the present wrapping key, as `rewrap` begins."""
        with self._connected() as connection:
            found = connection.execute(_SQL["count_otherwise"], {"wrapping": self._now.name}).fetchone()
        return 0 if found is None else int(found[0])

    def rewrap(self, progress: Callable[[int], None] = lambda _done: None) -> int:
        """Wrap all living keys and the pepper with the present wrapping key; return how many were not.

        The pepper goes first: who does not know its wrapping makes no key any more. The wrapper is asked
        between transactions: nobody waits for it, and what it wrapped before it failed stays. `progress` is
        told how many the wrapper has answered for: what is slow is a service that keeps keys.

        Raises:
            KeysUnavailable: it was not done for all; the same again goes on.
        """
        with self._connected() as connection:
            pepper = self._wrapped(self._secret_pepper(connection))
            connection.execute(_SQL["rewrap_pepper"], {"wrapped": pepper, "wrapping": self._now.name})
        count = 0
        while found := self._some_otherwise():
            again: list[dict[str, Any]] = []
            try:
                for key_id, wrapped, name in found:
                    fresh = self._wrapped(self._unwrapped(wrapped, name))
                    again.append({"id": key_id, "wrapped": fresh, "wrapping": self._now.name})
                    progress(count + len(again))
            finally:
                with self._connected() as connection:
                    connection.cursor().executemany(_SQL["rewrap"], again)
            count += len(again)
        return count

    def _some_otherwise(self) -> list[tuple[Any, ...]]:
        """Return some keys that are not wrapped as now; none, when whoever was adding one has ended too."""
        asked = {"wrapping": self._now.name}
        with self._connected() as connection:
            found = connection.execute(_SQL["wrapped_otherwise"], asked).fetchall()
            if not found:
                connection.execute(_SQL["await_adding"])
                found = connection.execute(_SQL["wrapped_otherwise"], asked).fetchall()
            return found

    def _fetch(self, subjects: Sequence[str]) -> None:
        """Remember the keys of subjects: those that are there, then those that are made now.

        Nobody's frames are taken meanwhile. So a slow wrapper is left for the next question, which begins
        where this one ended: what it gave is kept.
        """
        begun = self._clock()
        found: dict[bytes, SubjectKey] = {}
        made: dict[bytes, _Made] = {}
        failed: KeysUnavailable | None = None
        with self._connected() as connection:
            tags = {self._tag(connection, subject): subject for subject in subjects}
            living = connection.execute(_SQL["live"], {"tags": list(tags)}).fetchall()
            missing = sorted(tags.keys() - {tag for tag, *_ in living})
            try:
                for tag, key_id, wrapped, name in self._in_time(living, begun):
                    found[tag] = SubjectKey.of(key_id, self._unwrapped(wrapped, name))
                for tag in self._in_time(missing, begun):
                    made[tag] = self._made()
            except KeysUnavailable as error:
                failed = error
                if not found and not made:
                    raise
            if made:
                found |= self._added(connection, made)
        # Only now: what a refused transaction made is in no store.
        self._by_subject.update((tags[tag], key) for tag, key in found.items())
        self._by_id.update((key.id, key) for key in found.values())
        if failed is not None:
            if self._clock() - begun > QUESTION_S:
                self._leave(failed.what)
            raise failed

    def _in_time(self, those: Sequence[T], begun: float) -> Iterator[T]:
        """Yield these until the wrapper took too long for them; the first in any case."""
        for done, one in enumerate(those):
            if done and self._clock() - begun > QUESTION_S:
                raise KeysUnavailable(
                    f"the keys' wrapper {self._now.name} is slow: {done} of {len(those)} keys in "
                    f"{self._clock() - begun:.0f} s, the next when they are asked for again"
                )
            yield one

    def _made(self) -> "_Made":
        """Return a new key, which its wrapping opens: nobody may seal with one that is lost later."""
        key_id, secret = secrets.token_bytes(ID_BYTES), secrets.token_bytes(_SECRET_BYTES)
        return _Made(self._wrapped(secret), SubjectKey.of(key_id, secret))

    def _added(
        self, connection: psycopg.Connection[Any], made: Mapping[bytes, "_Made"]
    ) -> dict[bytes, SubjectKey]:
        """Return the keys that the store has for these tags: ours, or those of whoever was first."""
        values = {
            "ids": [one.key.id for one in made.values()],
            "tags": list(made),
            "wrapped": [one.wrapped for one in made.values()],
            "wrapping": self._now.name,
            "known": list(self._wrapping),
        }
        connection.execute(_SQL["add"], values)
        rows = connection.execute(_SQL["live"], {"tags": list(made)}).fetchall()
        if len(rows) < len(made):
            (name,) = connection.execute(_SQL["pepper"]).fetchall()[0][1:]
            known = ", ".join(self._wrapping)
            raise KeysUnavailable(
                f"keys are wrapped with {name} by now, and we have {known}: no new one is made"
            )
        return {
            tag: made[tag].key
            if key_id == made[tag].key.id
            else SubjectKey.of(key_id, self._unwrapped(*rest))
            for tag, key_id, *rest in rows
        }

    def _tag(self, connection: psycopg.Connection[Any], subject: str) -> bytes:
        pepper = self._secret_pepper(connection)
        return blake2b(subject.encode(), key=pepper, digest_size=ID_BYTES).digest()

    def _secret_pepper(self, connection: psycopg.Connection[Any]) -> bytes:
        if self._pepper is None:
            row = connection.execute(_SQL["pepper"]).fetchone()
            if row is None:
                wrapped = self._now.wrap(secrets.token_bytes(_SECRET_BYTES))
                connection.execute(_SQL["add_pepper"], {"wrapped": wrapped, "wrapping": self._now.name})
                row = connection.execute(_SQL["pepper"]).fetchone()
            assert row is not None, "there is a pepper after one was added"
            self._pepper = self._unwrapped(*row)
        return self._pepper

    def _wrapped(self, secret: bytes) -> bytes:
        """Wrap what must not be lost: it is opened once before anything relies on it."""
        wrapped = self._now.wrap(secret)
        self._unwrapped(wrapped, self._now.name)
        return wrapped

    def _unwrapped(self, wrapped: bytes, name: str) -> bytes:
        wrapper = self._wrapping.get(name)
        if wrapper is None:
            known = ", ".join(self._wrapping)
            raise KeysUnavailable(f"a subject's key is wrapped with {name}, and we have {known}")
        try:
            return wrapper.unwrap(wrapped)
        except ValueError as error:
            raise KeysUnavailable(f"a subject's key cannot be unwrapped with {name}: {error}") from error

    def _forget(self) -> None:
        now = self._clock()
        if now - self._since > REMEMBERED_S or len(self._by_id) > KEYS_MAX:
            self._by_subject.clear()
            self._by_id.clear()
            self._since = now

    @contextmanager
    def _connected(self) -> Iterator[psycopg.Connection[Any]]:
        """Yield a connection for one transaction; the driver's errors become KeysUnavailable.

        Who asks right after a failure is answered at once: a sidecar's intake must not wait for each frame.
        """
        if self._clock() < self._away_until:
            raise KeysUnavailable(f"{self._away_why} (that was a moment ago)")
        pepper, done = self._pepper, False
        try:
            with self._connect() as connection:
                yield connection
            done = True
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName) as error:
            raise KeysUnavailable(
                'there is no key store: make it with "harness subject-keys init"'
            ) from error
        except psycopg.Error as error:
            reason = error.diag.message_primary or str(error)
            raise self._leave(f"the key store: {reason.strip().splitlines()[0]}") from error
        finally:
            if not done:  # nobody would find the tags of a pepper that is in no store
                self._pepper = pepper

    def _connect(self) -> psycopg.Connection[Any]:
        try:
            return psycopg.connect(make_conninfo(self._url, application_name="harness-keys", **SESSION))
        except OSError as error:  # where no descriptor is left, the driver lets it through
            raise self._leave(f"the key store: {error}") from error

    def _leave(self, why: str) -> KeysUnavailable:
        """Return the error, and ask nothing more for a while: frames whose keys are known go on then."""
        self._away_until, self._away_why = self._clock() + AWAY_S, why
        return KeysUnavailable(why)
