"""Feast's local stores on the same files, run by the peers' interpreter: `feast_stores.py KIND FOLDER OUT`.

Standard library and Feast alone: the product is not installed there. Prints one line of JSON.
"""

import json
import sys
import time
from datetime import timedelta
from pathlib import Path

import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.types import Float64, Int64

NAMES = [f"x{n:02}" for n in range(30)]


def main(kind: str, folder: Path, out: Path) -> None:
    """Retrieve the features of the spine and write them; CPU and peak memory are of this process."""
    config = RepoConfig(
        project="joins",
        registry=str(folder / f"registry-{kind}.db"),
        provider="local",
        offline_store={"type": kind},
        online_store={"type": "sqlite", "path": str(folder / f"online-{kind}.db")},
        entity_key_serialization_version=3,
    )
    store = FeatureStore(config=config)
    entity = Entity(name="entity", join_keys=["entity"], value_type=ValueType.INT64)
    source = FileSource(path=str(folder / "history.parquet"), timestamp_field="valid_from")
    fields = [Field(name=name, dtype=Float64 if n < 20 else Int64) for n, name in enumerate(NAMES)]
    view = FeatureView(
        name="v", entities=[entity], ttl=timedelta(0), schema=fields, source=source, online=False
    )
    store.apply([entity, view])
    spine = pd.read_parquet(folder / "spine.parquet").rename(columns={"occurred_at": "event_timestamp"})
    began = time.process_time()
    found = store.get_historical_features(spine, [f"v:{name}" for name in NAMES]).to_arrow()
    cpu = time.process_time() - began
    # What getrusage says is at least the peak of who started this process.
    peak = int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) / 1024
    import pyarrow.parquet as pq

    pq.write_table(found, out)
    print(json.dumps({"cpu": cpu, "peak_mb": peak, "rows": found.num_rows}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
