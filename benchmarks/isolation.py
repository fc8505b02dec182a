"""What a process of its own costs a challenger, and how soon a hung one is noticed.

`python -m benchmarks.isolation` takes about a minute. Thirty floats, blocks of 1,024 rows, one thread.
CPU seconds of both processes together against the same model in this one, interleaved; medians of turns.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import tempfile
import time
from pathlib import Path
from statistics import median

import pyarrow as pa
import skops.io

from benchmarks.replay import NAMES, decisions, trained
from benchmarks.results import Row, at_most, publish
from replay.adapters import open_model
from replay.isolation import IsolatedModel, Limits, open_isolated
from replay.model import Model
from replay.score import score_blocks

TURNS = 7
HANGS = 5
TIMEOUT_S = 0.5
HUNG = """
import time
inputs = ("x00",)
def hung(frame):
    time.sleep(3600 if (frame.x00 > 1e9).any() else 0)
    return frame.x00
hung.inputs = inputs
"""


class InTurn:
    """A model whose blocks are asked in turn, none under way while another is answered."""

    def __init__(self, model: IsolatedModel) -> None:
        self.info, self.score = model.info, model.score


def scored(model: Model, rows: pa.Table, *, in_turn: bool = False) -> tuple[float, float, pa.Table]:
    """Return the CPU seconds of this process and of the model's own, and the scores."""
    isolated = model if isinstance(model, IsolatedModel) else None
    asked = InTurn(isolated) if isolated and in_turn else model
    before = isolated.account.cpu_us if isolated else 0
    begun = time.process_time()
    scores = pa.Table.from_batches(score_blocks(asked, rows.to_batches()))
    ours = time.process_time() - begun
    return ours, (isolated.account.cpu_us - before) / 1e6 if isolated else 0.0, scores


def cost(kind: str, folder: Path, rows: pa.Table) -> list[Row]:
    """Return the CPU of an isolated model against the same in this process, on the same rows."""
    plain = open_model(f"sklearn:{kind}.skops", folder=folder)
    ratios, per_row, in_turn = [], [], []
    with open_isolated(f"sklearn:{kind}.skops", folder=folder) as isolated:
        assert isinstance(isolated, IsolatedModel)
        for model in (plain, isolated):
            scored(model, rows.slice(0, 20_000))
        for _turn in range(TURNS):
            inside, _none, known = scored(plain, rows)
            ours, its, found = scored(isolated, rows)
            assert found.equals(known), "isolation changes no bit"
            ratios.append((ours + its) / inside)
            per_row.append((ours + its - inside) / rows.num_rows * 1e6)
            ours, its, _found = scored(isolated, rows, in_turn=True)
            in_turn.append((ours + its) / inside)
    return [
        at_most(
            f"CPU of isolation, {kind}", median(ratios), "ratio", 1.3, against="the same in this process"
        ),
        Row(f"CPU of isolation, {kind}, blocks asked in turn", median(in_turn), "ratio"),
        Row(f"CPU that isolation adds, {kind}", median(per_row), "us/row"),
    ]


def noticed(folder: Path) -> list[Row]:
    """Return how long after its timeout a hung challenger is ended, and until another can answer."""
    (folder / "hung_model.py").write_text(HUNG)
    block = pa.record_batch(
        {"decision_position": pa.array([1], pa.int64()), "decision_id": ["a"], "f.x00": [2e9]}
    )
    good = block.set_column(2, "f.x00", pa.array([1.0]))
    late, again = [], []
    with open_isolated("py:hung_model:hung", folder=folder, limits=Limits(timeout_s=TIMEOUT_S)) as model:
        model.score(good)
        for _turn in range(HANGS):
            begun = time.perf_counter()
            error = model.score(block)["error"][0].as_py()
            late.append((time.perf_counter() - begun - TIMEOUT_S) * 1e3)
            assert error == f"timeout: no answer in {TIMEOUT_S:g} s", error
            begun = time.perf_counter()
            model.score(good)
            again.append((time.perf_counter() - begun) * 1e3)
    return [
        at_most("hung challenger noticed and ended after timeout", max(late), "ms", 100.0),
        Row("first answer of the next process", median(again), "ms"),
    ]


def main() -> None:
    """Measure and publish."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        rows = decisions().slice(0, 60_000)
        found: list[Row] = []
        for kind, model in trained().items():
            skops.io.dump(model, folder / f"{kind}.skops")
            found += cost(kind, folder, rows)
        found += noticed(folder)
    publish("isolation", found, notes=f"{len(NAMES)} features, one thread, medians of {TURNS} turns.")


if __name__ == "__main__":
    main()
