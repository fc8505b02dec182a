"""A service that fetches its features from Feast and records what it was served.

`python app.py` makes a small store beside it, answers three requests and prints what the log holds. The fetch
stays what it is; the recorder sees the very values that the model sees, with a status where there was none.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.types import Float64, Int64

from harness.database import open_log
from harness.training.historical import get_historical_features
from recorders import FeatureSet, Recorder
from recorders import Field as Recorded
from recorders.inprocess import InProcessLink

HOME = Path(__file__).parent / "store"
NAMES = ("account:age_days", "account:mean_amount")
FEATURES = FeatureSet(
    "fraud.checkout",
    1,
    (Recorded("age_days", "int64"), Recorded("mean_amount", "float64"), Recorded("amount", "float64")),
)


def feature_store() -> FeatureStore:
    """Return a local store with two accounts, materialised for serving."""
    HOME.mkdir(exist_ok=True)
    now = datetime.now(UTC)
    rows = {
        "account": [1, 2],
        "at": [now - timedelta(days=1)] * 2,
        "age_days": [400, 3],
        "mean_amount": [20.0, 95.5],
    }
    pd.DataFrame(rows).to_parquet(HOME / "accounts.parquet")
    config = RepoConfig(
        project="shop",
        registry=str(HOME / "registry.db"),
        provider="local",
        offline_store={"type": "duckdb"},
        online_store={"type": "sqlite", "path": str(HOME / "online.db")},
        entity_key_serialization_version=3,
    )
    store = FeatureStore(config=config)
    account = Entity(name="account", join_keys=["account"], value_type=ValueType.INT64)
    view = FeatureView(
        name="account",
        entities=[account],
        ttl=timedelta(days=30),
        schema=[Field(name="age_days", dtype=Int64), Field(name="mean_amount", dtype=Float64)],
        source=FileSource(path=str(HOME / "accounts.parquet"), timestamp_field="at"),
    )
    store.apply([account, view])
    store.materialize(now - timedelta(days=7), now + timedelta(minutes=1))
    return store


def fetched(store: FeatureStore, account: int) -> dict[str, Any]:
    """Return what Feast serves for one account by plain name; None where it has nothing."""
    served = store.get_online_features(features=list(NAMES), entity_rows=[{"account": account}]).to_dict()
    return {name.partition(":")[2]: served[name.partition(":")[2]][0] for name in NAMES}


def decide(recorder: Recorder, store: FeatureStore, account: int, amount: float) -> str:
    """Return the decision on one payment, recorded with the features that it rests on."""
    features = fetched(store, account) | {"amount": amount}
    known = features["mean_amount"] is not None
    score = min(1.0, amount / (10 * features["mean_amount"])) if known else 0.5
    decision = "check" if score >= 0.5 else "accept"  # noqa: PLR2004  a rule is enough here
    recorder.record(features, score=score, decision=decision, unit=f"account-{account}")
    return decision


def main() -> None:
    """Answer three requests, then ask the log as one asks Feast."""
    store = feature_store()
    with open_log() as log:
        log.register_feature_set(FEATURES)
        link = InProcessLink(log.url, [FEATURES])
        recorder = Recorder("fraud.checkout", FEATURES, link, model="rule", model_version="1")
        for account, amount in ((1, 30.0), (2, 900.0), (3, 10.0)):
            print(account, amount, decide(recorder, store, account, amount))
        recorder.close()
        now = pd.Timestamp.now(tz="UTC")
        asked = pd.DataFrame({"unit": [f"account-{n}" for n in (1, 2, 3)], "event_timestamp": [now] * 3})
        names = [f"fraud.checkout:{field.name}" for field in FEATURES.fields]
        print(get_historical_features(log, asked, names).to_df().drop(columns="event_timestamp"))


if __name__ == "__main__":
    main()
