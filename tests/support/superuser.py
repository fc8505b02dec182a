"""What somebody can do to a log who may do anything to its database: edit rows, make the chain fit again."""

import hashlib
from collections.abc import Callable
from typing import Any

import psycopg

from harness.log.chain import Header, genesis, link

Rows = list[dict[str, Any]]
COLUMNS = (
    "position", "events", "kind", "decision_point", "schema_digest", "writer", "sequence", "occurred_min",
    "occurred_max", "recorded_at", "digest", "chain", "payload",
)  # fmt: skip


def edit(url: str, *statements: str) -> None:
    """Run statements as a superuser who switches the triggers off."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("set session_replication_role = replica")
        for statement in statements:
            connection.execute(statement)  # type: ignore[arg-type]  # a test's own text


def rewrite(url: str, change: Callable[[Rows], None]) -> None:
    """Change rows as `change` does, then make positions, digests, chain and head consistent with them."""
    with psycopg.connect(url) as connection:
        connection.execute("set session_replication_role = replica")
        log_id, clock = connection.execute("select log_id, clock from harness.log").fetchone() or ("", "")
        found = connection.execute(f"select {', '.join(COLUMNS)} from harness.batch order by position")
        rows = [dict(zip(COLUMNS, row, strict=True)) for row in found]
        change(rows)
        chain, position = genesis(log_id, clock), 1
        for row in rows:
            row["position"] = position
            row["digest"] = hashlib.sha256(row["payload"]).digest()
            header = Header(*(row[name] for name in COLUMNS[:10]))
            row["chain"] = chain = link(chain, header, row["digest"])
            position += row["events"]
        connection.execute("delete from harness.batch")
        marks = ", ".join(f"%({name})s" for name in COLUMNS)
        for row in rows:
            connection.execute(f"insert into harness.batch ({', '.join(COLUMNS)}) values ({marks})", row)
        connection.execute("update harness.head set position = %s, chain = %s", [position - 1, chain])
