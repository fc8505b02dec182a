"""What a run may cost: time, processor and memory. Spent, it ends where the same command goes on."""

import os
import platform
import resource
import sys
import time
from typing import Literal, NamedTuple

import msgspec

from harness.replay_errors import BudgetSpent

Reason = Literal["time", "cpu", "memory"]
# What `ru_maxrss` counts in.
_MAXRSS_BYTES = 1 if sys.platform == "darwin" else 1_024


class Budget(msgspec.Struct, frozen=True):
    """The most that one command may use, None for whatever it takes.

    `time_s` by the clock; `cpu_s` of all processors, of this process, its workers and their models;
    `memory_mb` the largest resident size of each of those processes, added up.
    """

    time_s: float | None = None
    cpu_s: float | None = None
    memory_mb: float | None = None


class Used(NamedTuple):
    """What a worker has used since it began: `who` names its process on all machines."""

    who: str
    cpu_s: float
    memory_mb: float


class Meter:
    """Counts what is used from now on, here and by whom it is told of."""

    def __init__(self, budget: Budget | None = None) -> None:
        self.budget = budget or Budget()
        self._began, self._cpu = time.monotonic(), time.process_time()
        self._workers: dict[str, Used] = {}
        self._models: dict[str, tuple[float, float]] = {}

    def worker(self, used: Used) -> None:
        """Take what a worker says last; one that is this very process is counted already."""
        if used.who != here():
            self._workers[used.who] = used

    def model(self, run_id: str, cpu_s: float, memory_mb: float = 0.0) -> None:
        """Take what the processes of a run's model have used so far."""
        self._models[run_id] = (cpu_s, memory_mb)

    def used(self) -> dict[Reason, float]:
        """Return what was used so far."""
        others = [*((one.cpu_s, one.memory_mb) for one in self._workers.values()), *self._models.values()]
        return {
            "time": time.monotonic() - self._began,
            "cpu": time.process_time() - self._cpu + sum(cpu for cpu, _mb in others),
            "memory": resident_mb_max() + sum(mb for _cpu, mb in others),
        }

    def left_s(self) -> float | None:
        """Return the seconds that are left of the time, None without a limit."""
        limit = self.budget.time_s
        return None if limit is None else max(0.0, limit - self.used()["time"])

    def out_of_time(self) -> BudgetSpent:
        """Return what to raise when a worker saw that the time is over."""
        return BudgetSpent("time", self.budget.time_s or 0.0, self.used()["time"])

    def check(self) -> None:
        """Return nothing while there is some left.

        Raises:
            BudgetSpent: the first of time, processor and memory that is spent.
        """
        limits = {"time": self.budget.time_s, "cpu": self.budget.cpu_s, "memory": self.budget.memory_mb}
        if all(limit is None for limit in limits.values()):
            return
        for reason, used in self.used().items():
            limit = limits[reason]
            if limit is not None and used >= limit:
                raise BudgetSpent(reason, limit, used)


def here() -> str:
    """Return the name of this process, on all machines."""
    return f"{platform.node()}:{os.getpid()}"


def used_here() -> Used:
    """Return what this process has used since it began."""
    return Used(here(), time.process_time(), resident_mb_max())


def resident_mb_max() -> float:
    """Return the largest resident size of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _MAXRSS_BYTES / 1e6
