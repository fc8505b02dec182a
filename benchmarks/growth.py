"""How replay, look and re-look grow: 1 million decisions, 5 million, and 10 or 50 where they are asked for.

`python -m benchmarks.growth` takes about six minutes; the arguments are millions. `1 10 50` took 22 minutes
on a quiet machine. Temporary disk is 5 GB for 10 million and 22 GB for 50, as reckoned from 1 and 5: a log
of a million takes 0.25 GB, and a look writes 0.19 GB a million beside it. Each size is a log of
its own, one float feature, sealed; each figure is of a process of its own. Rates are by the clock; memory
is that of the largest process. With 5 million and more, the replay is also done by one worker and by two,
and twice at once by two processes that share the database and nothing else: what the machine allows. The
target of two workers is one from 10 million on.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.results import Row, at_least, at_most, publish
from benchmarks.scale import BATCH, MODEL, SHARE, Highest, cpu_s, fill, peak_mb
from harness.cli.entry import ALLOCATOR
from harness.database import create_log
from harness.engines.engine import Engine
from harness.engines.local import Local
from harness.experiments import get_experiment
from harness.log.log import Log
from harness.log.seal import seal
from harness.looks import range_at
from harness.mapped_parts import POSITIONS_MAX
from harness.measure import Spread, measure
from harness.model_check import Question, check
from harness.models import add_model
from harness.replay_runner import run_replay
from tests.support import servers
from tests.support.history import POINT

MILLION, WITH_WORKERS, DUE, LARGEST = 1_000_000, 5, 10, 50
KEEPS, KEPT = "look that keeps", "look at what is kept"
# The same function under other bytes: what another has scored would not be scored again.
WORKERS = {"replay": 0, "replay, 1 worker": 1, "replay, 2 workers": 2}
AT_ONCE, TOGETHER = "two replays at once", ("a replay", "another")
MODELS = {**WORKERS, **{what: number for number, what in enumerate(TOGETHER, start=3)}}
NAMES = {what: f"better{number or ''}" for what, number in MODELS.items()}


def checked(log: Log, folder: Path) -> None:
    """Register a model for each kind of replay, and check them: blocks share calls in all of them."""
    start, stop = range_at(log, get_experiment(log, "scale"), log.as_of(None))
    for what, number in MODELS.items():
        name = NAMES[what]
        if number:
            (folder / f"models{number}.py").write_text(f"{MODEL}# {number}\n")
            uri = f"py:models{number}:better?input=arrow"
            add_model(log, uri, name=name, version="1", trained_until=0, folder=folder)
        check(log, Question(f"{name}:1", POINT, start, min(stop, start + 100_000)), folder=folder)


def replayed(log: Log, folder: Path, what: str, engine: Engine | None) -> int:
    """Score the window; return how many decisions."""
    start, stop = range_at(log, get_experiment(log, "scale"), log.as_of(None))
    how: dict[str, Any] = {"decision_point": POINT, "start": start, "stop": stop, "folder": folder}
    return run_replay(log, f"{NAMES[what]}:1", **how, engine=engine).scored


def looked(log: Log, what: str) -> int:
    """Measure the window; return how many decisions were used."""
    experiment, place = get_experiment(log, "scale"), log.as_of(None)
    start, stop = range_at(log, experiment, place)
    spread = Spread(keep=what != "look")
    until = log.head().position
    found = measure(log, experiment, place, start=start, stop=stop, scores_up_to=until, spread=spread)
    return found.integrity.used


def one(folder: str, url: str, what: str) -> None:
    """Do one thing in this process and print its figures."""
    workers = WORKERS.get(what, 0)
    engine = Local(workers) if workers else None
    with create_log(folder, url=url) as log:
        base, workers_mb, began = cpu_s(), Highest(), time.perf_counter()
        rows = replayed(log, Path(folder), what, engine) if what in MODELS else looked(log, what)
        wall = time.perf_counter() - began
        peak = max(peak_mb("self"), workers_mb.stop())
        figures = {"wall": wall, "cpu": cpu_s() - base, "peak": peak, "rows": rows}
    print(json.dumps(figures))


def size(millions: float) -> dict[str, dict[str, float]]:
    """Return the figures of everything at one size."""
    found, rows = {}, round(millions * MILLION)
    assert rows % BATCH == 0, f"{rows} decisions are not whole batches of {BATCH}"
    with tempfile.TemporaryDirectory() as name, servers.embedded(synced=False) as url:
        with create_log(name, url=url, clock="event") as log:
            fill(log, Path(name), rows)
            checked(log, Path(name))
            start, stop = range_at(log, get_experiment(log, "scale"), log.as_of(None))
        steps = ["replay", "look"]
        steps += [KEEPS, KEPT] if stop - start > POSITIONS_MAX else []  # one part keeps nothing
        if millions >= WITH_WORKERS:
            steps += [*(what for what, workers in WORKERS.items() if workers), AT_ONCE]
        for what in steps:
            done = run(name, url, TOGETHER if what == AT_ONCE else (what,))
            found[what] = max(done, key=lambda each: each["wall"])
            assert all(each["rows"] == rows for each in done), done
            if what == "replay":
                with create_log(name, url=url) as log:
                    seal(log)
    return found


def run(folder: str, url: str, whats: tuple[str, ...]) -> list[dict[str, float]]:
    """Return the figures of each of these, begun at once, each in a process of its own."""
    # No module of ours is the main one, as in a command: workers would import it.
    words = "import sys; from benchmarks.growth import one; one(*sys.argv[1:])"
    how: dict[str, Any] = {"stdout": subprocess.PIPE, "text": True, "env": {**ALLOCATOR, **os.environ}}
    begun = [subprocess.Popen([sys.executable, "-c", words, folder, url, what], **how) for what in whats]
    said = [process.communicate()[0] for process in begun]
    assert not any(process.returncode for process in begun), said
    return [json.loads(each.splitlines()[-1]) for each in said]


def rows_of(found: dict[float, dict[str, dict[str, float]]]) -> list[Row]:
    """Return the table: rates and memory at each size, then what they are to those of the first."""
    rows = []
    for millions, steps in found.items():
        for what, each in steps.items():
            rows.append(Row(f"{millions:g}M: {what}", each["rows"] / each["wall"], "decisions/s", "wall"))
            rows.append(Row(f"{millions:g}M: {what}, memory", each["peak"], "MB", "the largest process"))
    first, last = found[min(found)], found[max(found)]
    for what in ("replay", "look"):
        per_row = [each[what]["wall"] / each[what]["rows"] for each in (first, last)]
        against = f"{min(found):g}M, time a decision"
        rows.append(at_most(f"{max(found):g}M: {what}", per_row[1] / per_row[0], "x", 1.2, against=against))
    if KEPT in last:
        rate, said = (
            last[KEPT]["rows"] / last[KEPT]["wall"],
            "measured" if max(found) == LARGEST else "reckoned",
        )
        rows.append(at_least(f"{max(found):g}M: re-look", rate, "decisions/s", 3e6, against="wall"))
        rows.append(at_most(f"re-look of {LARGEST} million", LARGEST * MILLION / rate, "s", 20, against=said))
    most = max(each["peak"] for each in last.values())
    rows.append(at_most(f"{max(found):g}M: memory of any process", most, "MB", 2_000))
    return [*rows, *_rows_of_workers(max(found), last)] if AT_ONCE in last else rows


def _rows_of_workers(millions: float, found: dict[str, dict[str, float]]) -> list[Row]:
    """Return what two workers gain, and two processes that are nothing to each other."""
    none, ones, twos, both = (found[what]["wall"] for what in (*WORKERS, AT_ONCE))
    name, against = "replay by 2 workers", "1 worker, wall"
    gained, allows = ones / twos, 2 * none / both
    first = (
        at_least(name, gained, "x", 1.8, against=against)
        if millions >= DUE
        else Row(name, gained, "x", against)
    )
    return [
        first,
        Row("two replays at once", allows, "x", "one, wall: what the machine allows"),
        at_least(f"{name}: share of that", gained / allows, "", SHARE, against="two replays at once"),
        Row(f"{name} beside none", none / twos, "x", "no worker, wall"),
    ]


def main(millions: list[float]) -> None:
    """Measure, print the table and write it."""
    found = {each: size(each) for each in sorted(millions)}
    sizes = " and ".join(f"{each:g} million" for each in found)
    publish("growth", rows_of(found), notes=f"{sizes} decisions with an outcome each, sealed; one turn.")


if __name__ == "__main__":
    main([float(word) for word in sys.argv[1:]] or [1, 5])
