"""`harness log stats`: what the log holds, where it lies, and whose clock was ahead of the log's."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from harness.cli.output import emit, folder_option, json_option


@click.command()
@folder_option
@json_option
def stats(folder: Path | None, json: bool) -> None:
    """Show what the log holds, by kind and decision point: in the database, and sealed in the store.

    Writers whose events are ahead of the log's clock are named.
    """
    from harness.database import open_log

    with open_log(folder, create=False) as source:
        rows = source.rows("stats")
        stored = source.rows("stored_bytes")[0][0]
        ahead = [dict(zip(AHEAD, row, strict=True)) for row in source.rows("ahead")]
        end = source.head()
        segments = list(source.sealed.segments())
    kinds = [dict(zip(STATS, row, strict=True)) for row in rows]
    for found in kinds:
        which = (found["kind"], found["decision_point"])
        parts = [p for one in segments for p in one.parts if (p.kind, p.decision_point) == which]
        found |= {"sealed": sum(p.rows for p in parts), "sealed_bytes": sum(p.bytes for p in parts)}
    ledgers = sum(one.ledger.bytes + one.manifest.bytes for one in segments)
    store = {"segments": len(segments), "bytes": ledgers + sum(found["sealed_bytes"] for found in kinds)}
    for found in ahead:
        found["ahead_s"] = found["ahead_s"].total_seconds()
    data = {
        "position": end.position,
        "stored_bytes": stored,
        "store": store,
        "kinds": kinds,
        "ahead_of_the_clock": ahead,
    }
    emit(data, json=json, text=lambda: "\n".join(stats_lines(data)))


STATS = (
    "kind",
    "decision_point",
    "batches",
    "events",
    "bytes",
    "first",
    "last",
    "occurred_min",
    "occurred_max",
    "released",
)
AHEAD = ("kind", "decision_point", "writers", "batches", "first", "ahead_s")


_STATS_LINE = "{:<10}{:<24}{:>9}{:>12} |{:>12}{:>12} |{:>12}{:>12}"
_SIDES = ("events", "bytes/event")


def stats_lines(data: dict[str, Any]) -> Iterator[str]:
    """Yield a table of what there is, and how much of it is in the database and sealed in the store."""
    yield f"{'':<55} |{' in the database':<24} |{' sealed in the store':<24}".rstrip()
    yield _STATS_LINE.format("kind", "decision point", "batches", "events", *_SIDES, *_SIDES)
    for found in data["kinds"]:
        held, sealed = found["events"] - found["released"], found["sealed"]
        counts = (f"{count:,}" for count in (found["batches"], found["events"], held))
        sides = (each(found["bytes"], held), f"{sealed:,}", each(found["sealed_bytes"], sealed))
        yield _STATS_LINE.format(found["kind"], found["decision_point"], *counts, *sides)
    store = data["store"]
    yield f"{data['position']:,} events"
    yield f"{data['stored_bytes'] / 2**20:.1f} MiB on disk in the database"
    yield f"{store['bytes'] / 2**20:.1f} MiB in {store['segments']} segments (columns and ledgers)"
    yield from ahead_lines(data["ahead_of_the_clock"])


def each(size: int, events: int) -> str:
    """Return bytes per event, a dash where there is none."""
    return f"{size / events:.1f}" if events else "-"


def ahead_lines(ahead: list[dict[str, Any]]) -> Iterator[str]:
    """Say whose events had not happened yet when they were recorded, what follows, and what to do."""
    for found in ahead:
        writers = "1 writer" if found["writers"] == 1 else f"{found['writers']} writers"
        most = timedelta(seconds=round(found["ahead_s"]))
        said = f"{writers} recorded events up to {most} ahead of the log's clock"
        yield f"! {found['kind']} {found['decision_point']}: {said}, first in the batch at {found['first']}."
    if ahead:
        yield "  Expected events that have happened: a decision ahead of the clock matures so much later."
        yield "  Correct the clock of that host, or what gives occurred_at there. What is recorded stays."
