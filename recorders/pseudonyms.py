"""Pseudonyms: keyed digests that stand for values which must not leave the process."""

import os
from collections.abc import Callable, Mapping
from hashlib import blake2b, sha256
from typing import Final, Self

from recorders.errors import FeatureSetError, InvalidEvent
from recorders.fields import FeatureSet

KEY_VARIABLE: Final = "HARNESS_PSEUDONYM_KEY"
KEY_CHARACTERS_MIN: Final = 16
PSEUDONYM_BYTES: Final = 16


class Pseudonyms:
    """Replaces text by 32 hex digits of BLAKE2b, keyed with the SHA-256 of a secret.

    Equal texts have equal pseudonyms under one key, in every field, process and language, so that they
    can still be counted and joined; without the key they can be neither read nor guessed. Another key is
    another person: keep it as long as pseudonyms are compared.

    >>> Pseudonyms("0123456789abcdef").of("ada")
    '014f4794d0e42b5e6e057faaaccf8f15'
    """

    def __init__(self, secret: str, places: tuple[int, ...] = (), names: tuple[str, ...] = ()) -> None:
        key = sha256(secret.encode()).digest()
        self._keyed = blake2b(key=key, digest_size=PSEUDONYM_BYTES)
        self._places = places
        self._names = names

    @classmethod
    def of_feature_set(cls, feature_set: FeatureSet) -> Self | None:
        """Return what hides the marked fields of a set, with the key from HARNESS_PSEUDONYM_KEY, or None.

        Raises:
            FeatureSetError: fields are marked, and there is no key, or too short a one.
        """
        places = tuple(place for place, field in enumerate(feature_set.fields) if field.pseudonym)
        if not places:
            return None
        names = tuple(feature_set.fields[place].name for place in places)
        return cls(
            _secret(f"Feature set {feature_set.label} marks {names[0]!r} as a pseudonym"), places, names
        )

    @classmethod
    def from_environment(cls) -> Self:
        """Return pseudonyms under the environment's key, for what is not a feature, such as `unit`.

        Raises:
            FeatureSetError: there is no key, or too short a one.
        """
        return cls(_secret("A pseudonym is asked for"))

    def of(self, text: str) -> str:
        """Return the pseudonym of `text`."""
        hashed = self._keyed.copy()
        hashed.update(text.encode())
        return hashed.hexdigest()

    def hide(self, values: tuple[object, ...]) -> tuple[object, ...]:
        """Return a snapshot's values with pseudonyms at the marked places; None stays None.

        Raises:
            InvalidEvent: a marked value that is no text. The error does not show it.
        """
        hidden = list(values)
        for place, name in zip(self._places, self._names, strict=True):
            value = hidden[place]
            if value is None:
                continue
            if not isinstance(value, str):
                raise InvalidEvent(
                    "type",
                    f"Feature {name!r} holds an object of type {type(value).__name__}.",
                    "Expected text, for it is recorded as a pseudonym.",
                    "Convert it before it is recorded.",
                )
            hidden[place] = self.of(str.__str__(value))
        return tuple(hidden)

    def hiding(
        self, fetch: Callable[[Mapping[str, object]], tuple[object, ...]]
    ) -> Callable[[Mapping[str, object]], tuple[object, ...]]:
        """Return `fetch` with its values hidden."""
        return lambda features: self.hide(fetch(features))


def _secret(what: str) -> str:
    secret = os.environ.get(KEY_VARIABLE, "")
    if len(secret) < KEY_CHARACTERS_MIN:
        raise FeatureSetError(
            f"{what}, and {KEY_VARIABLE} has {len(secret)} characters.",
            f"Expected a secret of at least {KEY_CHARACTERS_MIN}.",
            "Set it to the same secret in every service that writes to this log: `openssl rand -hex 32`.",
        )
    return secret
