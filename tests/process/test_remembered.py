"""Models that remember, on a real log: what they know is a function of the log, whoever dies in between."""

import os
import signal
import subprocess
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from harness import scored_parts
from harness.challengers import challenger
from harness.config import StorePlace
from harness.engines.futures import Futures
from harness.log.log import Log
from harness.models import add_model, get_model
from harness.remembered import RememberedModel
from harness.replay_batches import GROUP_ROWS
from harness.replay_errors import StateAltered
from harness.replay_runner import run_replay, run_replays
from harness.replays import NAMESPACE, list_replays, read_scores
from harness.states import KEPT, keep
from harness.tail.follower import Follower, begin
from recorders.fields import FeatureSet, Field
from replay.adapters.in_order import WAVE_ROWS
from replay.isolation import Limits
from replay.model import Joins
from replay.model_errors import StateLost
from replay.score import BLOCK_ROWS, JOINED, score_joined
from tests.support.command_line import HARNESS
from tests.support.history import FEATURES, POINT, History

ROWS = 6_000
WITH_WHO = FeatureSet("fraud", 2, (*FEATURES.fields, Field("who", "string")))
IN_PROCESS = Limits(in_process=True)
SOURCE = """
import json, os, time

class Count:
    # How many decisions of this customer came before, and the amounts that they had together.
    inputs = ("who", "items")

    def __init__(self):
        self.seen = {}

    def predict(self, frame):
        return [n * 1.5 + self.seen.get(w, 0) for w, n in zip(frame["who"], frame["items"])]

    def observe(self, frame):
        for who, items in zip(frame["who"], frame["items"]):
            self.seen[who] = self.seen.get(who, 0) + int(items) + 1

    def snapshot(self):
        return json.dumps(sorted(self.seen.items())).encode()

    def restore(self, state):
        self.seen = dict(json.loads(state))

class Dies(Count):
    def predict(self, frame):
        if (frame["note"] == "die").any():
            os._exit(3)
        return super().predict(frame)

class Slow(Count):
    def predict(self, frame):
        time.sleep(0.002)
        return super().predict(frame)

def plain(frame):
    return frame["items"] * 0.5
plain.inputs = ("items",)

class Fatal(Count):
    def observe(self, frame):
        os._exit(3)
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "counting.py").write_text(SOURCE)
    return tmp_path


@pytest.fixture
def log(event_log, tmp_path):
    with Log(event_log.url, store=StorePlace(str(tmp_path / "store"))) as opened:
        yield opened


class Shop(History):
    """A history whose snapshots name the customer."""

    def decisions(self, first, stop, **_more):
        return super().decisions(first, stop, feature_set=WITH_WHO)


def added(log, folder, name="Count", **more):
    add_model(log, f"py:counting:{name}?key=who", name=name, version="1", folder=folder, **more)
    return f"{name}:1"


def expected(log, start, stop, since=1):
    """Return position -> score by the definition."""
    seen, found = {}, {}
    for batch in log.read(since, stop, kind="decision", decision_point=POINT):
        for row in batch.select(["position", "f.who", "f.items"]).to_pylist():
            who, items = row["f.who"], row["f.items"]
            if row["position"] >= start:
                found[row["position"]] = items * 1.5 + seen.get(who, 0)
            seen[who] = seen.get(who, 0) + items + 1
    return found


def scores_of(log, reference, start, stop):
    scores = read_scores(log, get_model(log, reference).digest, POINT, start, stop)
    assert scores.column("error").null_count == scores.num_rows
    return dict(zip(scores["decision_position"].to_pylist(), scores["score"].to_pylist(), strict=True))


def test_a_replay_from_the_middle_knows_what_came_before_but_not_what_it_was_trained_on(log, folder):
    history = Shop(log)
    history.decisions(0, 700)
    start, stop = history.decisions(700, 2_000)
    history.outcomes(0, 500)
    reference = added(log, folder)
    run_replay(log, reference, decision_point=POINT, start=start, stop=stop, folder=folder)
    assert scores_of(log, reference, start, stop) == expected(log, start, stop)
    add_model(
        log,
        "py:counting:Count?key=who&nulls=pass",
        name="Count",
        version="2",
        trained_until=500,
        folder=folder,
    )
    run_replay(log, "Count:2", decision_point=POINT, start=start, stop=stop, folder=folder, limits=IN_PROCESS)
    assert scores_of(log, "Count:2", start, stop) == expected(log, start, stop, since=501)


def test_a_tail_that_begins_where_a_replay_ended_has_its_bits_in_steps_of_any_size(log, folder):
    history = Shop(log)
    first = history.decisions(0, 1_500)
    reference = added(log, folder)
    run_replay(log, reference, decision_point=POINT, start=first[0], stop=first[1], folder=folder)
    kept = [event.body["through"] for event in log.controls(KEPT)]
    assert kept == [first[1] - 1]
    with challenger(log, reference, decision_point=POINT, folder=folder) as model:
        follower = Follower(log, model, begin(log, model, reference, POINT, 1))
        for size in (1, 130, 7, 400):
            last = history.decisions(1_500 + size, 1_500 + 2 * size)[1]
            while follower.step(log.head().position):
                pass
    assert scores_of(log, reference, 1, last) == expected(log, 1, last)


def test_what_was_scored_and_not_stored_is_gone_back_to(log, folder):
    start, stop = Shop(log).decisions(0, 300)
    reference = added(log, folder)
    with challenger(log, reference, decision_point=POINT, folder=folder) as model:
        assert isinstance(model, RememberedModel)
        follower = Follower(log, model, begin(log, model, reference, POINT, start))
        (batch, *_rest) = follower._waiting(start, stop)
        names = ["decision_position" if name == "position" else name for name in batch.schema.names]
        model.score(batch.rename_columns(names))
        while follower.step(stop - 1):
            pass
    assert scores_of(log, reference, start, stop) == expected(log, start, stop)


def test_a_row_that_ends_the_process_costs_that_row_and_nothing_that_is_known(log, folder):
    start, stop = Shop(log).decisions(0, 200)
    add_model(
        log,
        "py:counting:Dies?key=who&nulls=pass",
        name="Dies",
        version="1",
        inputs=("who", "items", "note"),
        folder=folder,
    )
    with challenger(log, "Dies:1", decision_point=POINT, folder=folder) as model:
        (batch,) = log.read(start, stop, kind="decision", decision_point=POINT)
        names = ["decision_position" if name == "position" else name for name in batch.schema.names]
        plain = batch.rename_columns(names).select(
            ["decision_position", "decision_id", "f.who", "f.items", "f.note"]
        )
        notes = ["die" if at == 41 else "x" for at in range(200)]
        dying = plain.set_column(4, "f.note", notes)
        found = model.score(dying)
        assert model.account.kills
    wanted = expected(log, start, stop) | {start + 41: None}
    assert found.column("score").to_pylist() == list(wanted.values())
    errors = found.column("error").to_pylist()
    assert [at for at, error in enumerate(errors) if error is not None] == [41]


def test_in_company_and_on_an_engine_it_is_scored_in_order_too(log, folder, monkeypatch):
    monkeypatch.setattr(scored_parts, "PART_ROWS", GROUP_ROWS)
    history = Shop(log)
    history.decisions(0, 300)
    start, stop = history.decisions(300, GROUP_ROWS + 900)
    first, second = added(log, folder), added(log, folder, "Slow")
    add_model(log, "py:counting:plain", name="plain", version="1", folder=folder)
    runs = run_replays(
        log, [first, "plain:1", second], decision_point=POINT, start=start, stop=stop, folder=folder
    )
    assert [run.scored for run in runs] == [stop - start] * 3
    for reference in (first, second):
        assert scores_of(log, reference, start, stop) == expected(log, start, stop)
    add_model(log, "py:counting:Count?key=who&nulls=pass", name="Count", version="2", folder=folder)
    with ThreadPoolExecutor(2) as pool:
        run_replay(
            log, "Count:2", decision_point=POINT, start=start, stop=stop, folder=folder, engine=Futures(pool)
        )
    assert scores_of(log, "Count:2", start, stop) == expected(log, start, stop)


def test_parts_of_a_run_that_was_cut_up_are_scored_one_after_the_other(log, folder, monkeypatch):
    """Two at once would observe the same decisions twice, and keep each other's states from being found."""
    history = Shop(log)
    start, stop = history.decisions(0, 3_000)
    reference = added(log, folder)
    middle = {"decision_point": POINT, "start": start + 1_000, "stop": start + 1_300, "folder": folder}
    run_replay(log, reference, **middle)
    at_once, most = [], []
    real = scored_parts._scored

    def watched(*args):
        at_once.append(args[-1])
        most.append(len(at_once))
        found = real(*args)
        at_once.remove(args[-1])
        return found

    monkeypatch.setattr(scored_parts, "_scored", watched)
    with ThreadPoolExecutor(2) as pool:
        run = run_replay(
            log, reference, decision_point=POINT, start=start, stop=stop, folder=folder, engine=Futures(pool)
        )
    assert run.ranges == ((start, start + 1_000), (start + 1_300, stop))
    assert most == [1, 1]
    assert scores_of(log, reference, start, stop) == expected(log, start, stop)


def test_blocks_of_what_remembers_are_never_joined(log, folder, monkeypatch):
    """Even where a check says so: a row that shares its call with those before it knows nothing of them."""
    rows = JOINED * BLOCK_ROWS
    names = [f"c{n % 9_000}" for n in range(rows)]
    decisions = pa.record_batch(
        {
            "position": np.arange(1, rows + 1),
            "decision_id": [f"d{n}" for n in range(rows)],
            "f.who": names,
            "f.items": np.ones(rows, dtype=np.int64),
        }
    )
    monkeypatch.setattr(scored_parts, "may_join", lambda *_: True)
    with challenger(log, added(log, folder), decision_point=POINT, folder=folder) as model:
        remembering = model._model
        found = pa.Table.from_batches(score_joined(remembering, [decisions]))
        assert remembering.joined.calls == 0
        in_groups = list(scored_parts.scored(log, model, iter([decisions]), first=True))
        assert model.account.blocks.count == 2 * rows // WAVE_ROWS
    assert found.column("score").to_pylist() == [1.5 if n < 9_000 else 3.5 for n in range(rows)]
    assert sum(group.num_rows for group in in_groups) == rows
    assert not isinstance(model, Joins)


def test_a_process_that_ends_while_it_observes_ends_the_run_by_name(log, folder):
    start, stop = Shop(log).decisions(0, 20)
    reference = added(log, folder, "Fatal")
    with pytest.raises(StateLost, match=r"'Fatal' failed in observe\(\): crash: exit code 3"):
        run_replay(log, reference, decision_point=POINT, start=start, stop=stop, folder=folder)
    assert not log.controls(KEPT)


def test_a_kept_state_that_was_altered_is_refused_and_one_that_is_gone_is_made_again(log, folder, tmp_path):
    history = Shop(log)
    first = history.decisions(0, 1_200)
    reference = added(log, folder)
    run_replay(log, reference, decision_point=POINT, start=first[0], stop=first[1], folder=folder)
    start, stop = history.decisions(1_200, 1_400)
    path = tmp_path / "store" / log.controls(KEPT)[0].body["path"]
    state = path.read_bytes()
    path.write_bytes(state[:-1] + b" ")
    with pytest.raises(StateAltered, match="then delete the file"):
        run_replay(log, reference, decision_point=POINT, start=start, stop=stop, folder=folder)
    path.unlink()
    run_replay(log, reference, decision_point=POINT, start=start, stop=stop, folder=folder)
    assert scores_of(log, reference, start, stop) == expected(log, start, stop)


def test_what_is_kept_encrypted_is_kept_in_no_snapshot(log, folder):
    reference = added(log, folder)
    info = get_model(log, reference)
    assert keep(log, info, POINT, 5, b"[]") is not None
    log.register_feature_set(FeatureSet("fraud", 3, (Field("who", "string", subject=True),)))
    assert keep(log, info, POINT, 6, b"[]") is None
    assert len(log.controls(KEPT)) == 1


def test_without_a_store_it_observes_from_the_beginning(event_log, folder):
    history = Shop(event_log)
    history.decisions(0, 1_100)
    start, stop = history.decisions(1_100, 1_200)
    with Log(event_log.url) as log:
        reference = added(log, folder)
        run_replay(log, reference, decision_point=POINT, start=start, stop=stop, folder=folder)
        assert scores_of(log, reference, start, stop) == expected(log, start, stop)
        assert not log.controls(KEPT)


def test_a_run_that_is_killed_goes_on_with_the_scores_of_an_undisturbed_one(log, folder, fresh_log):
    start, stop = Shop(log, size=2_000).decisions(0, ROWS)
    reference = added(log, folder, "Slow")
    (folder / "harness.toml").write_text(f'[store]\nurl = "{folder / "store"}"\n')
    words = ("replay", "run", "--model", reference, "-d", POINT, "--from", str(start), "--to", str(stop))
    process = subprocess.Popen(
        [*HARNESS, *words],
        cwd=folder,
        env={**os.environ, "HARNESS_DATABASE_URL": log.url, "PYTHONPATH": str(Path.cwd())},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        runs = list_replays(log)
        if runs and log.writer_high_water(uuid.uuid5(NAMESPACE, runs[0].id)) >= 1:
            break
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    killed = run_replay(log, reference, decision_point=POINT, start=start, stop=stop, folder=folder)

    Shop(fresh_log, size=2_000).decisions(0, ROWS)
    added(fresh_log, folder, "Slow")
    whole = run_replay(fresh_log, reference, decision_point=POINT, start=start, stop=stop, folder=folder)
    assert whole.digest == killed.digest
    assert scores_of(log, reference, start, stop) == expected(log, start, stop)
