"""Write the log of a shop: 55 days of 40 offers, and what came back.

From day 20 on other prices come back.
"""

import datetime as dt
import random

from harness.database import open_log
from recorders import FeatureSet, Field, Recorder
from recorders.inprocess import InProcessLink

FIRST, DAYS, OFFERS, TURN = dt.datetime(2026, 3, 1, tzinfo=dt.UTC), 55, 40, 20
MIDDLE = (0.35, 0.65)


def live(price: float) -> float:
    """Return what the live model says: the higher the price, the likelier a return."""
    return 0.1 + 0.8 * price


def risk(price: float, day: int) -> float:
    """Return how likely a return is: as the live model says, and from day 20 on at middle prices."""
    if day < TURN:
        return live(price)
    return 0.85 if MIDDLE[0] <= price <= MIDDLE[1] else 0.15


def main() -> None:
    """Record every offer with the score that it was made at, and its outcome 20 hours later."""
    chance = random.Random(7)  # noqa: S311  # a play, the same each time
    features = FeatureSet("shop", 1, (Field("price", "float64"), Field("region", "category")))
    with open_log() as log:
        log.register_feature_set(features)
        link = InProcessLink(log.url, [features])
        recorder = Recorder("shop.returned", features, link, model="live", model_version="1")
        waiting: list[tuple[dt.datetime, str | None, bool]] = []
        for step in range(DAYS * OFFERS):
            at, day = FIRST + step * dt.timedelta(days=1) / OFFERS, step // OFFERS
            price, region = chance.random(), chance.choice(["north", "south"])
            snapshot = {"price": price, "region": region}
            name = recorder.record(snapshot, score=live(price), decision="offer", occurred_at=at)
            waiting.append((at + dt.timedelta(hours=20), name, chance.random() < risk(price, day)))
            while waiting[0][0] <= at:
                known, earlier, returned = waiting.pop(0)
                recorder.outcome(earlier, "returned", returned, occurred_at=known)
            if step % OFFERS == OFFERS - 1:
                recorder.flush()
        recorder.close()
        print(f"{DAYS * OFFERS:,} offers; the log ends at position {log.head().position:,}.")


if __name__ == "__main__":
    main()
