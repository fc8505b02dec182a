"""Sampling: which decisions are recorded, decided by a hash of an id, with the chance written down."""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Final, Literal

import msgspec

from recorders.errors import FeatureSetError, InvalidEvent
from recorders.events import checked_name
from recorders.fields import FeatureSet
from recorders.limits import Limits
from recorders.values import plain_value, refusal, share

_SPACE: Final = 2**64
_LIMITS: Final = Limits()


class Sampling(msgspec.Struct, frozen=True, kw_only=True):
    """The share of decisions that is recorded, overall and by stratum.

    A decision is kept when the first 64 bits of BLAKE2b(salt, 0x00, id) lie below rate x 2**64: every
    process, replica and language decides alike, and what a rate keeps, every higher rate keeps too.
    `by` names the id that is hashed (with "unit", all decisions of a user are kept or none; where it is
    None, the decision's own id counts). `stratum` names a declared field, and `rates` its values that have
    a rate of their own, in the field's type. The rate is stored as `inclusion`, times what the caller gave.

    >>> Sampling(rate=2.0)
    Traceback (most recent call last):
    recorders.errors.FeatureSetError: A sampling rate is 2.0. Expected a share from 0 to 1. Write one in \
ten as 0.1.
    """

    rate: float = 1.0
    by: Literal["decision_id", "unit", "trace_id"] = "decision_id"
    stratum: str = ""
    rates: Mapping[str | int | bool, float] = {}
    salt: str = ""

    def __post_init__(self) -> None:
        """Refuse rates that are no shares, and a `by` that is no id."""
        for rate in (self.rate, *self.rates.values()):
            if not isinstance(rate, float | int) or not 0 <= rate <= 1:
                raise FeatureSetError(
                    f"A sampling rate is {rate!r}.",
                    "Expected a share from 0 to 1.",
                    "Write one in ten as 0.1.",
                )
        if self.by not in ("decision_id", "unit", "trace_id"):
            raise FeatureSetError(
                f"Sampling is by {self.by!r}.", "Expected decision_id, unit or trace_id.", "Name one of them."
            )
        if bool(self.rates) != bool(self.stratum):
            raise FeatureSetError(
                f"Sampling has the stratum {self.stratum!r} and {len(self.rates)} rates.",
                "Expected both or neither.",
                "Name the field, and the rates of its values.",
            )


class Sampler:
    """Answers, for one decision, the chance with which it was kept, or 0.0 when it was not."""

    def __init__(self, sampling: Sampling, feature_set: FeatureSet) -> None:
        types: dict[str, str] = {field.name: field.type for field in feature_set.fields}
        if sampling.stratum and sampling.stratum not in types:
            raise FeatureSetError(
                f"Sampling has the stratum {sampling.stratum!r}.",
                f"Expected a field of {feature_set.label}.",
                "Declare it, or name another.",
            )
        self._stratum = sampling.stratum
        self._type = types.get(sampling.stratum, "")
        self._by = sampling.by
        self._salted = blake2b(sampling.salt.encode() + b"\x00", digest_size=8)
        self._default = _limit(sampling.rate)
        self._limits = {self._declared(value): _limit(rate) for value, rate in sampling.rates.items()}
        self._plain = frozenset(map(type, self._limits))  # one type: that of the field

    def _declared(self, value: object) -> object:
        """Return a value that has a rate of its own as its field keeps it."""
        try:
            return plain_value(f"A rate of stratum {self._stratum!r}", self._type, value, _LIMITS)
        except InvalidEvent as error:
            raise FeatureSetError(
                error.happened,
                f"Expected a value of the field's type, {self._type}: no other is ever recorded.",
                "Write the value as the field has it.",
            ) from error

    def _as_recorded(self, value: object) -> object:
        """Return a member of an enumeration, or numpy's number, as the event will have it."""
        try:
            return plain_value(self._stratum, self._type, value, _LIMITS)
        except InvalidEvent:
            return None  # refused where it is encoded, in words that show nothing of a field with a pseudonym

    def chance(
        self, features: Mapping[str, object], decision_id: str, unit: str | None, trace_id: str | None
    ) -> float:
        """Return the rate that kept the decision, 0.0 when none did."""
        rate, limit = self._default
        if self._stratum:
            value = features.get(self._stratum)
            if type(value) not in self._plain:
                value = self._as_recorded(value)
            rate, limit = self._limits.get(value, self._default)
        if rate == 1.0:
            return rate
        name = unit if self._by == "unit" else trace_id if self._by == "trace_id" else decision_id
        if name is None:
            name = decision_id
        if type(name) is not str:
            name = checked_name(self._by, name)
        hashed = self._salted.copy()
        hashed.update(name.encode())
        return rate if int.from_bytes(hashed.digest(), "big") < limit else 0.0


def _limit(rate: float) -> tuple[float, int]:
    return float(rate), int(rate * _SPACE)


def kept_share(inclusion: float | None, rate: float) -> float:
    """Return the stored inclusion probability: the caller's, times the rate that kept the decision.

    Raises:
        InvalidEvent: the caller's is no probability in (0, 1].
    """
    if inclusion is None:
        raise refusal("type", "inclusion", inclusion, "a probability in (0, 1]", "It may not be None.")
    return share("inclusion", inclusion) * rate
