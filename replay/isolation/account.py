"""What a challenger cost and did: measured beside its scores, and no part of them."""

from collections.abc import Mapping
from typing import Any

from replay.adapters.block_model import JoinedCalls
from replay.isolation.messages import Measured
from replay.latency import Latencies

SAMPLES_MAX = 4096
ATTEMPTS_MAX = 8


class Account:
    """Counts of one opened challenger. All are facts of this run on this machine; none decides a score.

    `kills` by reason are the ends of its process; `blocks` is the latency of whole blocks, `rows` that
    of single rows asked alone, of which `samples` are (decision position, microseconds).
    """

    def __init__(self) -> None:
        self.starts = 0
        self.kills: dict[str, int] = {}
        self.blocks = Latencies()
        self.rows = Latencies()
        self.samples: list[tuple[int, int]] = []
        self.cpu_us = 0
        self.resident_mb_max = 0
        self.noise_bytes = 0
        self.attempts: dict[str, int] = {}
        self.attempted: list[str] = []
        self.sandbox: dict[str, str] = {}
        self.joined: dict[str, int] = {}

    def note(self, measured: Measured) -> None:
        """Add what one reply says of memory and of attempts."""
        self.resident_mb_max = max(self.resident_mb_max, measured.resident_mb_max)
        for kind, count in measured.attempts.items():
            self.attempts[kind] = self.attempts.get(kind, 0) + count
        self.attempted += measured.attempted[: ATTEMPTS_MAX - len(self.attempted)]

    def sample(self, position: int, microseconds: int) -> None:
        """Count the latency of one row that was asked alone."""
        self.rows.add(microseconds)
        if len(self.samples) < SAMPLES_MAX:
            self.samples.append((position, microseconds))

    def join(self, calls: JoinedCalls) -> None:
        """Take over what was seen of calls that held several blocks; nothing when there was none."""
        self.joined = calls.counts if any(calls.counts.values()) else {}

    def merge(self, other: "Account") -> None:
        """Add another account, of the same model in another run."""
        self.starts += other.starts
        self.cpu_us += other.cpu_us
        self.noise_bytes += other.noise_bytes
        self.resident_mb_max = max(self.resident_mb_max, other.resident_mb_max)
        counted = ((self.kills, other.kills), (self.attempts, other.attempts), (self.joined, other.joined))
        for mine, theirs in counted:
            for name, count in theirs.items():
                mine[name] = mine.get(name, 0) + count
        self.attempted += other.attempted[: ATTEMPTS_MAX - len(self.attempted)]
        self.blocks.merge(other.blocks)
        self.rows.merge(other.rows)
        self.samples += other.samples[: SAMPLES_MAX - len(self.samples)]
        self.sandbox = other.sandbox or self.sandbox

    def as_dict(self) -> dict[str, Any]:
        """Return the account for people: percentiles in place of histograms."""
        return {
            "starts": self.starts,
            "kills": dict(sorted(self.kills.items())),
            "block_latency": self.blocks.summary(),
            "row_latency": self.rows.summary(),
            "cpu_us": self.cpu_us,
            "resident_mb_max": self.resident_mb_max,
            "noise_bytes": self.noise_bytes,
            "attempts": dict(sorted(self.attempts.items())),
            "attempted": self.attempted,
            "sandbox": self.sandbox,
            "joined": self.joined,
        }

    def to_log(self) -> dict[str, Any]:
        """Return the account for the log: what `from_log` reads back, so that it can be merged."""
        return self.as_dict() | {
            "block_latency": _to_text(self.blocks),
            "row_latency": _to_text(self.rows),
            "row_samples": [list(pair) for pair in self.samples],
        }

    @classmethod
    def from_log(cls, body: Mapping[str, Any]) -> "Account":
        """Return the account that `to_log` wrote."""
        account = cls()
        for name in ("starts", "cpu_us", "resident_mb_max", "noise_bytes"):
            setattr(account, name, int(body[name]))
        account.kills, account.attempts = dict(body["kills"]), dict(body["attempts"])
        account.attempted, account.sandbox = list(body["attempted"]), dict(body["sandbox"])
        account.joined = dict(body.get("joined", {}))
        account.blocks, account.rows = _from_text(body["block_latency"]), _from_text(body["row_latency"])
        account.samples = [(position, us) for position, us in body["row_samples"]]
        return account


def _to_text(latencies: Latencies) -> dict[str, int]:
    return {str(bucket): count for bucket, count in sorted(latencies.buckets.items())}


def _from_text(buckets: Mapping[str, int]) -> Latencies:
    return Latencies({int(bucket): count for bucket, count in buckets.items()})
