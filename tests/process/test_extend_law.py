"""The law of `extend`: whatever happened in between, it is the folder of a build from nothing, to the byte.

Random histories with late, corrected and withdrawn outcomes, outcomes before their decision, repeated ids and
newer feature sets. More of them: `python -m tests.process.test_extend_law SEEDS`.
"""

import sys
import tempfile
from datetime import timedelta
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from harness.database import create_log
from harness.training import blocks, parts, reuse, stream
from harness.training.extend import extend_training_set
from harness.training.sets import Place, build_training_set
from harness.training.spec import Spec
from recorders.columns import OUTCOME_SCHEMA, decision_schema
from recorders.fields import FeatureSet, Field
from replay import digest
from replay.errors import TooFewEffective
from replay.evolution import Change
from replay.labels import LabelRule
from replay.splits import Split
from replay.weights import Weights
from tests.support import servers
from tests.support.history import FEATURES, MINUTE, POINT, START, History
from tests.support.history import rows as decisions

NEWER = FeatureSet("fraud", 2, (*FEATURES.fields, Field("age", "float64")))
WINDOW = timedelta(hours=3)
PLAIN = (LabelRule(name="fraud", window=WINDOW),)
KINDS = {
    "plain": {"labels": PLAIN},
    "chosen, split by time": {
        "labels": PLAIN,
        "where": {"kind": ["card", "bank"]},
        "split": Split(by="time", test_from=START + 600 * MINUTE, gap=timedelta(minutes=30)),
    },
    "split by unit": {"labels": PLAIN, "split": Split(by="unit", test=0.3)},
    "rolling": {
        "labels": PLAIN,
        "split": Split(
            by="rolling", test_from=START + 200 * MINUTE, every=timedelta(hours=4), folds=3, gap=WINDOW
        ),
    },
    "censored": {"labels": (LabelRule(name="fraud", window=WINDOW, immature="censor"),)},
    "weighted": {"labels": (LabelRule(name="fraud", window=timedelta(hours=9), immature="weight"),)},
    "two labels": {"labels": (*PLAIN, LabelRule(name="late", window=timedelta(hours=1), immature="censor"))},
    "weights": {"labels": PLAIN, "weights": Weights(inclusion=True, policy="ips", min_effective=1.0)},
    "weights that depend on all": {
        "labels": PLAIN,
        "weights": Weights(policy="snips", target="decision:block", min_effective=1.0),
    },
    "newer feature set": {
        "labels": PLAIN,
        "feature_set": "fraud:1",
        "changes": (Change(feature_set="fraud:2", drop=("age",)),),
    },
}


class Story:
    """A random history: decisions in order, and everything that may befall their outcomes."""

    def __init__(self, log, rng, *, newer):
        self.history, self.rng, self.newer, self.count = History(log, size=97), rng, newer, 0
        self.calm = False  # nothing comes of decisions long ago

    def tell(self, decided):
        """Append `decided` decisions among outcomes of all kinds."""
        for turn in range(int(self.rng.integers(2, 5))):
            many = max(1, int(decided / 3))
            chosen = NEWER if self.newer and turn % 2 else FEATURES
            self._decide(np.arange(self.count, self.count + many), chosen)
            self.count += many
            if (
                not self.calm and self.rng.random() < 0.5
            ):  # ids that there were before, and outcomes of what is still to come
                self._decide(self.rng.integers(0, self.count, 3), FEATURES)
            self._outcomes(self.rng.integers(max(0, self.count - 4 * many), self.count + 9, many))
            old = 0 if self.calm else int(self.rng.choice([0, 0, 3]))
            self._outcomes(self.rng.integers(0, self.count, old))

    def _decide(self, numbers, feature_set):
        plain = decisions(numbers, FEATURES)
        chance = pa.array(1.0 / (1.0 + numbers % 4))
        known = {field.name: plain.column(field.name) for field in plain.schema}
        known |= {"f.age": pa.array(numbers * 0.5), "propensity": chance, "inclusion": chance}
        schema = decision_schema(feature_set)
        self.history.log.register_feature_set(feature_set)
        arrays = [pa.array(known[field.name], type=field.type) for field in schema]
        self.history.append("decision", pa.RecordBatch.from_arrays(arrays, schema=schema), feature_set.digest)

    def _outcomes(self, numbers):
        if not len(numbers):
            return
        took = self.rng.choice([0.5, 1.5, 2.9, 5.0], len(numbers))
        columns = [
            [f"d{n}" for n in numbers],
            self.rng.choice(["fraud", "fraud", "late", "other"], len(numbers)).tolist(),
            [None if v > 1 else float(v) for v in self.rng.choice([0, 0, 1, 2], len(numbers))],
            [START + int(n) * MINUTE + timedelta(hours=h) for n, h in zip(numbers, took, strict=True)],
        ]
        arrays = [pa.array(c, type=f.type) for c, f in zip(columns, OUTCOME_SCHEMA, strict=True)]
        self.history.append("outcome", pa.RecordBatch.from_arrays(arrays, schema=OUTCOME_SCHEMA))


def tree(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def small(patch):
    """Cut chunks and parts at few rows, so that a short history has many."""
    for module in (digest, parts, reuse, stream):
        patch.setattr(module, "CHUNK_ROWS", 64)
    patch.setattr(parts, "_SMALLEST", 8)
    patch.setattr(blocks, "DECISIONS", 128)


def cut(log, rng):
    """Return a place where a set may end: that of the log, or one within its last batches."""
    return log.head().position - (int(rng.integers(0, 60)) if rng.random() < 0.5 else 0)


def check(log, folder, kind, seed):
    """Extend a set twice, and compare each with a build from nothing; return what was taken over."""
    rng = np.random.default_rng(seed)
    story = Story(log, rng, newer=kind == "newer feature set")
    story.tell(300)
    story.calm = rng.random() < 0.5
    at = cut(log, rng)
    stop = at + 1
    spec = Spec(**{"decision_point": POINT, "start": 1, "stop": stop, **KINDS[kind]})
    place = Place(folder / "0", rows_per_part=128)
    try:
        made = build_training_set(log, spec, as_of=at, place=place)
        found = []
        for step in (1, 2):
            story.tell(int(rng.choice([0, 30, 200])))
            at = max(at, cut(log, rng))
            stop = at + 1
            if rng.random() < 0.3:  # as known later than the range ends: its outcomes are there already
                story.tell(60)
                at = log.head().position
            longer = Place(folder / str(step), rows_per_part=128)
            made, reused = extend_training_set(log, made.folder, to=stop, as_of=at, place=longer)
            anew = Place(folder / f"{step}-anew", rows_per_part=128)
            same = msgspec.structs.replace(spec, stop=stop)
            whole = build_training_set(log, same, as_of=at, place=anew)
            assert tree(made.folder) == tree(whole.folder), (kind, seed, step)
            assert reused.why is None
            found.append(reused)
    except TooFewEffective:
        return []
    assert made.verify(log)["holds"]
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_a_longer_set_is_the_set_built_from_nothing(event_log, tmp_path, monkeypatch, kind):
    small(monkeypatch)
    assert check(event_log, tmp_path, kind, len(kind)), "weights that are worth something"


def main(seeds):
    """Try many histories, on a server of its own."""
    small(pytest.MonkeyPatch())
    with servers.embedded() as server:
        for seed in range(seeds):
            for kind in KINDS:
                with (
                    servers.fresh_database(server) as url,
                    tempfile.TemporaryDirectory() as out,
                    create_log(url=url, clock="event") as log,
                ):
                    found = check(log, Path(out), kind, seed)
                sys.stdout.write(f"{seed} {kind}: {found}\n")


if __name__ == "__main__":
    main(int(sys.argv[1]))
