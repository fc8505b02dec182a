"""Persons for tests: a feature set with what is theirs, keys in memory, snapshots that name them."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from harness.log.log import Log
from recorders.errors import LinkUnavailable
from recorders.fields import FeatureSet, Field
from recorders.inprocess import InProcessLink
from recorders.recorder import Recorder
from recorders.sealing import SubjectKey

POINT, FIRST = "shop.checkout", datetime(2026, 1, 1, tzinfo=UTC)
SECRET = "a secret for tests that is long enough"
SHOP = FeatureSet(
    "shop",
    1,
    (
        Field("amount", "float64"),
        Field("income", "float64", sensitive=True),
        Field("customer", "string", subject=True),
        Field("country", "category"),
        Field("note", "string", sensitive=True),
        Field("born", "timestamp", sensitive=True),
    ),
)


# One event of SHOP as it is encoded.
PERSON = [
    "d-1", 1_700_000_000_000_000, None, "m", "1", 0.5, "allow", None, 1.0, 7, None, 2.5, 1000.5, "ada", "NZ",
    "of ada's", datetime(1969, 7, 20, 20, 17, 40, tzinfo=UTC), [["born", "stale"]],
]  # fmt: skip


def snapshot(customer: str | None, number: int = 0) -> dict[str, object]:
    return {
        "amount": float(number),
        "income": 1_000.5 + number,
        "customer": customer,
        "country": "NZ",
        "note": f"confidential-{customer}-{number}",
        "born": None,
    }


def recorded(log: Log, *customers: str) -> None:
    """Record a decision of each customer, and what came of it."""
    with Recorder(POINT, SHOP, InProcessLink(log.url, [SHOP]), model="m", model_version="1") as recorder:
        for number, customer in enumerate(customers):
            made = recorder.record(snapshot(customer, number), occurred_at=FIRST)
            recorder.outcome(made, "bought", True, occurred_at=FIRST)
        assert recorder.flush(30)


class HeldKeys:
    """Keys in memory. `away` is a store that does not answer."""

    def __init__(self) -> None:
        self.away = False
        self.by_subject: dict[str, SubjectKey] = {}
        self.destroyed: set[bytes] = set()

    def of(self, subjects: Iterable[str]) -> Mapping[str, SubjectKey]:
        if self.away:
            raise LinkUnavailable("the key store: away")
        for subject in [one for one in subjects if one not in self.by_subject]:
            number = len(self.by_subject) + 1
            key = SubjectKey.of(number.to_bytes(16, "big"), number.to_bytes(32, "big"))
            self.by_subject[subject] = key
        return self.by_subject

    def by_id(self, identifiers: Iterable[bytes]) -> Mapping[bytes, SubjectKey]:
        return {key.id: key for key in self.by_subject.values() if key.id not in self.destroyed}
