"""One form for every benchmark's result: a table for a person, a JSON file for the record."""

import json
import os
import platform
import subprocess
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

from benchmarks.tools import readme
from benchmarks.tools.pace import pace

FOLDER = Path(__file__).parent / "results"
LIBRARIES = ("numpy", "pandas", "psycopg", "pyarrow", "duckdb", "msgspec", "scikit-learn", "sqlalchemy")


class Row(msgspec.Struct, frozen=True):
    """One figure. `holds` is None where there is no target; a target that is missed stays in the table.

    `against` names what it was compared with in the same run.
    """

    name: str
    value: float
    unit: str
    against: str = ""
    target: str = ""
    holds: bool | None = None


def at_least(name: str, value: float, unit: str, target: float, *, against: str = "") -> Row:
    """Return a row that holds when the value is the target or more."""
    return Row(name, value, unit, against, f">= {target:g}", value >= target)


def at_most(name: str, value: float, unit: str, target: float, *, against: str = "") -> Row:
    """Return a row that holds when the value is the target or less."""
    return Row(name, value, unit, against, f"<= {target:g}", value <= target)


def of_turns(
    held: Callable[..., Row],
    name: str,
    found: Sequence[float],
    unit: str,
    target: float,
    *,
    against: str = "",
) -> list[Row]:
    """Return the row of the median of `found`, one figure a turn, and the row of the best of all turns.

    `held` is `at_least` or `at_most`. Where others share the machine, the best turn is the one that they
    disturbed least; a target that holds there alone is shown to be missed in the median.
    """
    best = min(found) if held is at_most else max(found)
    return [
        held(name, median(found), unit, target, against=against),
        held(f"{name}, best of all turns", best, unit, target, against=against),
    ]


def publish(
    name: str, rows: Iterable[Row], *, notes: str = "", versions: dict[str, str] | None = None
) -> None:
    """Print the table, write `benchmarks/results/<name>.json` with machine and versions, and the README."""
    found = list(rows)
    for row in found:
        mark = {True: "holds", False: "MISSED", None: ""}[row.holds]
        print(f"{row.name:<44}{row.value:>14,.3f} {row.unit:<12}{row.target:>9} {mark:<7}{row.against}")
    if notes:
        print(notes)
    FOLDER.mkdir(exist_ok=True)
    report = {
        "benchmark": name,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": {**_versions(), **(versions or {})},
        "notes": notes,
        "rows": [msgspec.to_builtins(row) for row in found],
    }
    (FOLDER / f"{name}.json").write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n")
    readme.main()


def machine() -> dict[str, Any]:
    """Return what the figures depend on: processor, cores, memory, load now, pace now (us, see `pace`)."""
    model = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(
            (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), model
        )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "memory_gib": round(memory / 2**30, 1),
        "load": [round(value, 2) for value in os.getloadavg()],
        "pace_us": round(pace(), 1),
        "system": f"{platform.system()} {platform.release()}",
    }


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for library in LIBRARIES:
        try:
            found[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            continue
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=FOLDER.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return {**found, "commit": done.stdout.strip()}


def interleaved(tasks: dict[str, Callable[[], float]], repeats: int) -> dict[str, list[float]]:
    """Return each task's figures, run in turns with the order reversed every second time.

    On a shared machine the load changes within a run: neighbours in time are what can be compared.
    """
    found: dict[str, list[float]] = {name: [] for name in tasks}
    for repeat in range(repeats):
        names = list(tasks) if repeat % 2 == 0 else list(reversed(tasks))
        for name in names:
            found[name].append(tasks[name]())
    return found
