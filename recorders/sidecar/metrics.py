"""Metrics: what a sidecar knows of itself, as one status document and as Prometheus text."""

from collections.abc import Mapping
from typing import Any, Final

# Name, help and type of each series; the value is found in the status document by its dotted path.
SERIES: Final[tuple[tuple[str, str, str, str], ...]] = (
    ("spool_frames_total", "counter", "spool.frames", "Frames kept since the sidecar started."),
    ("spool_events_total", "counter", "spool.events", "Events kept since the sidecar started."),
    ("spool_commits_total", "counter", "spool.commits", "Commits to the spool."),
    ("spool_sync_seconds_total", "counter", "spool.sync_seconds", "Seconds spent committing."),
    ("spool_duplicates_total", "counter", "spool.duplicates", "Frames that were there already."),
    ("spool_forked_total", "counter", "spool.forked", "Frames refused: another history under their writer."),
    ("spool_full_total", "counter", "spool.full", "Frames refused for lack of room; services keep them."),
    ("spool_held_total", "counter", "spool.held", "Frames refused for want of keys; services keep them."),
    ("spool_io_errors_total", "counter", "spool.io_errors", "Errors of the disk while writing."),
    ("spool_frozen_segments_total", "counter", "spool.frozen", "Segments left alone after such an error."),
    ("spool_quarantined_total", "counter", "spool.quarantined", "Damaged files put aside."),
    ("quarantine_files", "gauge", "quarantine.files", "Files that lie in quarantine, whenever put there."),
    ("quarantine_bytes", "gauge", "quarantine.bytes", "Their bytes, which count towards no quota."),
    ("spool_rewound_total", "counter", "spool.rewound", "Writers that knew more kept than the spool holds."),
    (
        "spool_gone_back_total",
        "counter",
        "spool.gone_back",
        "Segments that held more when they were last read.",
    ),
    ("spool_writers", "gauge", "spool.writers", "Writers remembered."),
    ("spool_used_bytes", "gauge", "disk.used_bytes", "Bytes that the spool takes."),
    ("spool_quota_bytes", "gauge", "disk.quota_bytes", "Bytes that it may take."),
    ("spool_free_bytes", "gauge", "disk.free_bytes", "Bytes free on its disk."),
    ("spool_refusing", "gauge", "disk.refusing", "1 while nothing can be kept."),
    ("spool_ballast_dropped_total", "counter", "disk.ballast_dropped", "Times the ballast was given up."),
    ("outbox_waiting_batches", "gauge", "ship.waiting", "Batches that the log does not have yet."),
    (
        "outbox_unlinked_uncovered_total",
        "counter",
        "ship.unlinked_uncovered",
        "Files dropped before the log covered them.",
    ),
    ("ship_batches_total", "counter", "ship.batches", "Batches that the log answered for."),
    ("ship_events_total", "counter", "ship.events", "Events in them."),
    ("ship_duplicates_total", "counter", "ship.duplicates", "Batches that the log had already."),
    ("ship_asked_total", "counter", "ship.asked", "Times the log was asked before anything was sent."),
    ("ship_retries_total", "counter", "ship.retries", "Sends without an answer."),
    (
        "ship_rewound_total",
        "counter",
        "ship.rewound",
        "Times the log was found behind what it had acknowledged.",
    ),
    ("ship_unusable_total", "counter", "ship.unusable", "Frames that no batch could be made of."),
    ("ship_ahead_events_total", "counter", "ship.ahead", "Events put aside: over a day ahead of the log."),
    ("ship_refused_total", "counter", "ship.refused", "Batches put aside: the log calls them unusable."),
    ("ship_missing_total", "counter", "ship.missing", "Batches that could not be read again."),
    ("ship_set_aside_total", "counter", "ship.set_aside", "Batches of a copied spool, left to its original."),
    ("ship_waiting", "gauge", "ship.waits", "1 while shipping waits, for the log or for the disk."),
    ("ship_stopped", "gauge", "ship.stopped", "1 while shipping is stopped."),
    ("clock_steps_total", "counter", "clock.steps", "Times the machine's clock was set since the start."),
    ("clock_set_seconds", "gauge", "clock.set_s", "By how much it was set since the start, in all."),
    ("door_open_connections", "gauge", "door.open", "Connections open."),
    ("door_connections_total", "counter", "door.connections", "Connections taken."),
    ("door_refused_total", "counter", "door.refused_connections", "Connections ended for what they sent."),
    ("door_timeouts_total", "counter", "door.timeouts", "Connections ended for taking too long."),
    ("door_lost_writers_total", "counter", "door.lost_writers", "Writers that vanished without a goodbye."),
    ("door_recovered_writers_total", "counter", "door.recovered_writers", "Killed services taken over."),
    (
        "door_closed_memory_total",
        "counter",
        "door.closed_memory",
        "Files of crash-proof services that the sidecar may not read.",
    ),
    ("door_turned_away_total", "counter", "door.turned_away", "Connections beyond the limit."),
)


def prometheus(status: Mapping[str, Any]) -> str:
    """Return the status as Prometheus text, version 0.0.4.

    >>> prometheus({"spool": {"frames": 3}}).splitlines()[2]
    'harness_sidecar_spool_frames_total 3'
    """
    lines = []
    for name, kind, path, purpose in SERIES:
        section, _, key = path.partition(".")
        value = status.get(section, {}).get(key, 0)
        full = f"harness_sidecar_{name}"
        lines += [f"# HELP {full} {purpose}", f"# TYPE {full} {kind}", f"{full} {value:.17g}"]
    return "\n".join(lines) + "\n"


def readiness(status: Mapping[str, Any]) -> list[str]:
    """Return why the sidecar is not ready, nothing when it is.

    A database that is away is no reason: the spool keeps.

    >>> readiness({"disk": {"refusal": ""}, "ship": {"state": "stopped", "reason": "forked"}})
    ['shipping stopped: forked']
    """
    reasons = []
    if status["disk"]["refusal"]:
        reasons.append(f"nothing can be kept: {status['disk']['refusal']}")
    if status["ship"]["state"] == "stopped":
        reasons.append(f"shipping stopped: {status['ship']['reason']}")
    if status.get("draining"):
        reasons.append("it is being drained")
    return reasons
