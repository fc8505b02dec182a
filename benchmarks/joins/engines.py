"""The as-of joins that one writes by hand, ours among them, and a join on ids of what was served."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

NAMES = [f"x{n:02}" for n in range(30)]


def asof_duckdb(folder: Path) -> pa.Table:
    """Return the spine with the newest row of its entity's history, by DuckDB."""
    query = """
        select s.decision_id, s.occurred_at, s.label, h.* exclude (entity, valid_from)
        from read_parquet($spine) s asof left join read_parquet($history) h
        on s.entity = h.entity and s.occurred_at >= h.valid_from"""
    return _duck(query, spine=folder / "spine.parquet", history=folder / "history.parquet")


def asof_polars(folder: Path) -> pa.Table:
    """Return the same by Polars."""
    import polars as pl

    spine, history = (pl.read_parquet(folder / f"{name}.parquet") for name in ("spine", "history"))
    joined = spine.sort("occurred_at").join_asof(
        history.sort("valid_from"),
        left_on="occurred_at",
        right_on="valid_from",
        by="entity",
        check_sortedness=False,
    )
    return joined.to_arrow()


def asof_pandas(folder: Path) -> pa.Table:
    """Return the same by pandas."""
    import pandas as pd

    spine, history = (pd.read_parquet(folder / f"{name}.parquet") for name in ("spine", "history"))
    joined = pd.merge_asof(
        spine.sort_values("occurred_at"),
        history.sort_values("valid_from"),
        left_on="occurred_at",
        right_on="valid_from",
        by="entity",
    )
    return pa.Table.from_pandas(joined, preserve_index=False)


def asof_ours(folder: Path) -> pa.Table:
    """Return the same by keys first and a gather after."""
    from replay.as_of_join import gathered, newest_rows

    spine = pq.read_table(folder / "spine.parquet")
    # Its row groups are of a million rows: they are read as they are decoded.
    file = pq.ParquetFile(folder / "history.parquet", buffer_size=2**20, pre_buffer=False)
    keys = file.read(["entity", "valid_from"])
    found = newest_rows(spine, keys, key="entity", entity_time="occurred_at", history_time="valid_from")
    pieces = file.iter_batches(2**16, columns=NAMES)
    empty = file.schema_arrow.empty_table().select(NAMES)
    own = {name: spine.column(name) for name in ("decision_id", "occurred_at", "label")}
    return pa.table(own | gathered(pieces, found, NAMES, empty))


def served_on_id(folder: Path) -> pa.Table:
    """Return served decisions with their label, by DuckDB on ids, the latest outcome first reduced."""
    query = """
        with latest as (
            select decision_id, arg_max(value, position) as label, arg_max(occurred_at, position) as happened
            from read_parquet($outcomes) where label = 'late' group by decision_id)
        select d.*, l.label from read_parquet($decisions) d join latest l using (decision_id)
        where l.happened <= d.occurred_at + interval 1 hour order by d.position"""
    return _duck(query, decisions=folder / "decisions.parquet", outcomes=folder / "outcomes.parquet")


def _duck(query: str, **files: Path) -> pa.Table:
    import duckdb

    with duckdb.connect() as connection:
        return connection.sql(query, params={k: str(v) for k, v in files.items()}).to_arrow_table()
