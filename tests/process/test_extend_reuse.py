"""What `extend` takes over, why it does not where it does not, and what a kill leaves behind."""

import json
import os
import signal
import subprocess
import sys

import pyarrow.parquet as pq
import pytest

from harness.cli.main import run
from harness.erasure import erase
from harness.log.connection import Connection
from harness.log.log import Log
from harness.log.queries import query
from harness.replay_errors import TrainingSetDiffers
from harness.training import parts
from harness.training.compare import diff_training_sets
from harness.training.errors import ErasedSince
from harness.training.extend import extend_training_set
from harness.training.files import BUILDING
from harness.training.registry import list_training_sets, verify_training_set
from harness.training.sets import Place, build_training_set
from harness.training.spec import Gate, Spec
from recorders.canonical import canonical_json, digest
from recorders.inprocess import InProcessLink
from recorders.recorder import Recorder
from recorders.subject_keys import SubjectKeys
from tests.process.test_extend_law import PLAIN
from tests.support.history import POINT, START, History
from tests.support.subjects import SECRET, SHOP, snapshot


def first(log, folder, **more):
    """Return a set of 9,000 decisions, of which two parts are full and one is begun."""
    history = History(log, size=3_000)
    start, stop = history.decisions(0, 9_000)
    history.outcomes(0, 9_000)
    history.decisions(9_300, 9_301)
    spec = Spec(decision_point=POINT, start=start, stop=stop, labels=PLAIN, **more)
    return history, build_training_set(log, spec, place=Place(folder / "first", rows_per_part=4_096))


def longer(log, made, folder):
    history = History(log, name="later")
    history.decisions(9_400, 9_500)
    history.outcomes(9_400, 9_500)
    history.decisions(9_900, 9_901)
    return extend_training_set(log, made.folder, place=Place(folder / "longer"))


def test_parts_that_cannot_have_changed_are_the_same_files(event_log, tmp_path):
    _history, made = first(event_log, tmp_path)
    found, reused = longer(event_log, made, tmp_path)
    assert (reused.parts, reused.of_parts, reused.why) == (2, 3, None)
    assert reused.rows == found.manifest["rows"] - made.manifest["rows"]
    for old, new in zip(made.manifest["parts"][:2], found.manifest["parts"], strict=False):
        assert old == new
        assert (made.folder / old["file"]).samefile(found.folder / new["file"])
    assert found.verify(event_log)["holds"]
    assert made.verify(event_log)["holds"]


def test_small_parts_are_not_compressed_and_older_ones_that_are_hold(event_log, tmp_path, monkeypatch):
    history = History(event_log, size=3_000)
    start, stop = history.decisions(0, 9_000)
    history.outcomes(0, 9_000)
    history.decisions(9_300, 9_301)
    spec = Spec(decision_point=POINT, start=start, stop=stop, labels=PLAIN)
    made = {}
    for name, most in (("older", 0), ("first", parts.PLAIN_ROWS)):
        monkeypatch.setattr(parts, "PLAIN_ROWS", most)
        made[name] = build_training_set(event_log, spec, place=Place(tmp_path / name, rows_per_part=8_192))
    assert codecs(made["older"]) == [(8_192, "ZSTD"), (808, "ZSTD")]
    assert codecs(made["first"]) == [(8_192, "ZSTD"), (808, "UNCOMPRESSED")]
    assert made["older"].digest == made["first"].digest
    found, reused = longer(event_log, made["older"], tmp_path)
    assert (reused.parts, reused.of_parts, reused.why) == (1, 2, None)
    assert codecs(found) == [(8_192, "ZSTD"), (908, "UNCOMPRESSED")]
    assert made["older"].verify(event_log)["holds"]
    assert found.verify(event_log)["holds"]


def codecs(made):
    """Return the rows of each part of a set and how its first column is compressed."""
    found = [pq.read_metadata(made.folder / part["file"]) for part in made.manifest["parts"]]
    return [(each.num_rows, each.row_group(0).column(0).compression) for each in found]


def test_the_log_is_asked_once_for_its_end_and_once_for_what_was_said(event_log, tmp_path, monkeypatch):
    _history, made = first(event_log, tmp_path)
    asked, rows = [], Connection.rows
    monkeypatch.setattr(
        Connection,
        "rows",
        lambda self, statement, **values: asked.append(statement) or rows(self, statement, **values),
    )
    history = History(event_log, name="later")
    history.decisions(9_400, 9_500)
    with Log(event_log.url) as log:
        asked.clear()
        extend_training_set(log, made.folder, place=Place(tmp_path / "longer"))
        assert [asked.count(query(name)) for name in ("controls", "head", "place")] == [1, 0, 1]
        # It was cut at the end of the log, so no batch reaches into what came since. Its range ended earlier.
        assert [asked.count(query(name)) for name in ("start_of_point", "next_of_point")] == [1, 2]
        # What is said later by others is heard by the same log, though it was not asked for all the while.
        with Log(event_log.url) as other:
            other.control("subject.erased", "one", {})
        _again, reused = extend_training_set(log, made.folder, place=Place(tmp_path / "again"))
        assert reused.why == "1 erasures came since"


def test_a_correction_costs_the_part_that_it_is_in(event_log, tmp_path):
    history, made = first(event_log, tmp_path)
    history.outcomes(5_000, 5_001, flip=True)
    found, reused = longer(event_log, made, tmp_path)
    assert (reused.parts, reused.of_parts) == (1, 3)
    assert diff_training_sets(event_log, made.id, found.id).counts["relabelled"] == 1
    assert found.verify(event_log)["holds"]


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        (lambda folder: kept(folder, "columns", -1).write_bytes(b"?"), "keeps is damaged"),
        (lambda folder: altered(kept(folder, "columns", -1)), "keeps is damaged"),
        (lambda folder: kept(folder, "columns", 0).unlink(), "keeps is damaged"),
        (lambda folder: altered(kept(folder, "ids", 0)), "keeps is damaged"),
        (lambda folder: altered(folder / "kept" / "orphans.arrow"), "keeps is damaged"),
        (lambda folder: altered(folder / "kept" / "cells"), "keeps is not what was registered"),
        (lambda folder: (folder / "kept" / "kept.json").write_text("{}"), "keeps is damaged"),
        (lambda folder: (folder / "kept" / "kept.json").unlink(), "no folder of it is here"),
        (lambda folder: older(folder / "kept" / "kept.json"), "its folder keeps kept/1 of ts-"),
        (lambda folder: renamed(folder, "../../kept.parquet"), "list of parts is damaged"),
        (lambda folder: altered(max(folder.glob("data/*"))), "is damaged"),
    ],
)
def test_what_cannot_be_used_is_named_and_the_set_built_anew(event_log, tmp_path, harm, why):
    _history, made = first(event_log, tmp_path)
    harm(made.folder)
    found, reused = longer(event_log, made, tmp_path)
    assert reused.parts == 0
    assert why in reused.why
    assert found.verify(event_log)["holds"]


def kept(folder, kind, number):
    """Return a file of one of the set's blocks."""
    return sorted((folder / "kept").glob(f"{kind}-*"))[number]


def older(path):
    """Have it be what an earlier version of this program kept."""
    body = json.loads(path.read_text())["kept"] | {"format": "kept/1", "chunks": [], "files": {}}
    path.write_bytes(canonical_json({"sha256": digest(canonical_json(body)), "kept": body}))


def renamed(folder, name):
    """Have the manifest name another file as its first part."""
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["parts"][0]["file"] = name
    (folder / "manifest.json").write_text(json.dumps(manifest))


def altered(path):
    """Change a byte in the middle of a file; its size stays."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_a_part_that_rotted_is_found_by_who_reads_it(event_log, tmp_path):
    _history, made = first(event_log, tmp_path)
    found, _reused = longer(event_log, made, tmp_path)
    altered(made.folder / made.manifest["parts"][0]["file"])
    with pytest.raises(TrainingSetDiffers, match="Part data"):
        found.verify(event_log)


def test_gates_judge_every_row(event_log, tmp_path, monkeypatch, capsys):
    _history, made = first(event_log, tmp_path, gates=(Gate(feature="amount", max_null=0.5),))
    monkeypatch.setenv("HARNESS_DATABASE_URL", event_log.url)
    monkeypatch.chdir(tmp_path)
    assert run(["training-set", "extend", str(made.folder), "--out", "longer"]) == 0
    assert "reused   nothing: built anew because its gates judge every row" in capsys.readouterr().out


def test_an_erasure_is_seen_by_extend_verify_and_diff(fresh_log, tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_SUBJECT_SECRET", SECRET)
    keys = SubjectKeys.from_environment(fresh_log.url)
    keys.create()
    fresh_log.register_feature_set(SHOP)
    with Recorder(
        POINT, SHOP, InProcessLink(fresh_log.url, [SHOP]), model="m", model_version="1"
    ) as recorder:
        for number, customer in enumerate(["ada", "bob", "ada", "cem"]):
            made = recorder.record(snapshot(customer, number), occurred_at=START)
            recorder.outcome(made, "fraud", value=False, occurred_at=START)
        assert recorder.flush(30)
    spec = Spec(decision_point=POINT, start=1, stop=fresh_log.head().position + 1, labels=PLAIN)
    before = build_training_set(fresh_log, spec, place=Place(tmp_path / "before"))
    assert before.manifest["rows"] == 4
    assert before.verify(fresh_log)["holds"]
    erase(fresh_log, keys, "ada")
    after, reused = extend_training_set(fresh_log, before.folder, place=Place(tmp_path / "after"))
    assert reused.why == "1 erasures came since"
    assert after.to_arrow()["income"].to_pylist() == [None, 1_001.5, None, 1_003.5]
    told = before.verify(fresh_log)
    assert (told["holds"], told["erased"], len(told["erased_ids"])) == (True, 2, 2)
    with pytest.raises(ErasedSince, match="2 are erased by now") as caught:
        verify_training_set(fresh_log, before.id)
    assert caught.value.exit_code == 30
    found = diff_training_sets(fresh_log, before.folder, after.folder)
    assert found.counts == dict.fromkeys(found.counts, 0) | {"erased": 2}
    assert pq.read_table(before.folder / before.manifest["parts"][0]["file"])["income"].null_count == 0


@pytest.mark.parametrize("command", ["create", "extend"])
def test_a_kill_leaves_nothing_under_the_name_and_is_swept(event_log, tmp_path, command):
    _history, made = first(event_log, tmp_path)
    registered = len(list_training_sets(event_log))
    log = event_log
    history = History(log, name="later", size=4_000)
    _, stop = history.decisions(9_400, 13_400)
    history.outcomes(9_400, 13_400)
    history.decisions(14_000, 14_001)
    words = {
        "create": ["create", "-d", POINT, "--label", "fraud", "--window", "3h", "--to", str(stop)],
        "extend": ["extend", str(made.folder), "--to", str(stop)],
    }[command]
    program = (
        "import os, signal\n"
        "from harness.training import files\n"
        "files.write_manifest = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "from harness.cli.main import run\n"
        f"run({['training-set', *words, '--out', str(tmp_path / 'out' / 'set')]!r})\n"
    )
    environment = {**os.environ, "HARNESS_DATABASE_URL": log.url}
    done = subprocess.run([sys.executable, "-c", program], env=environment, cwd=tmp_path, check=False)
    assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / "out" / "set").exists()
    left = list((tmp_path / "out").iterdir())
    assert [path.name.startswith(BUILDING) for path in left] == [True]
    assert len(list_training_sets(log)) == registered
    spec = Spec(decision_point=POINT, start=1, stop=stop, labels=PLAIN)
    again = build_training_set(log, spec, place=Place(tmp_path / "out" / "set"))
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["set"]
    assert again.verify(log)["holds"]
