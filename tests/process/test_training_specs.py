"""What a specification can say beyond a plain cut: each on a log, rebuilt, with its account."""

import json
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.cli.main import run
from harness.errors import NotFound
from harness.replay_errors import FeatureUnknown
from harness.training.borrowed import read_backfill
from harness.training.errors import BackfillUnusable, GatesFailed, MemoryReached, SpecUnusable
from harness.training.extend import extend_training_set
from harness.training.folder import TrainingSet
from harness.training.registry import CREATED, verify_training_set
from harness.training.rows import Limits
from harness.training.sets import DECLARED, REFUSED, Place, build_training_set
from harness.training.spec import DriftGate, Gate, Spec, document, spec_of
from recorders.columns import decision_schema
from recorders.fields import FeatureSet, Field
from replay.errors import TooFewEffective, WeightsUnusable
from replay.evolution import Change
from replay.labels import LabelRule
from replay.splits import Split
from replay.weights import Weights
from tests.support.history import FEATURES, MINUTE, POINT, START, History, rows

FRAUD = LabelRule(name="fraud", window=timedelta(hours=3))
NEXT = FeatureSet(
    "fraud", 2, (Field("amount", "float64"), Field("items", "float64"), Field("type", "category"))
)


@pytest.fixture
def history(event_log):
    """1,000 decisions with outcomes two hours after each; the log's time is 1,100 minutes after START."""
    made = History(event_log)
    made.part = made.decisions(0, 1_000)
    made.outcomes(0, 900)
    made.decisions(1_100, 1_101)
    return made


def spec(history, **more):
    start, stop = history.part
    return Spec(**{"decision_point": POINT, "start": start, "stop": stop, "labels": (FRAUD,), **more})


def built(log, history, out, *, backfill=None, limits=None, **more):
    place = Place(out, rows_per_part=300, limits=limits or Limits())
    made = build_training_set(log, spec(history, **more), place=place, backfill=backfill)
    assert made.verify(log)["holds"]
    counts = dict(made.manifest["counts"])
    assert counts.pop("decisions") == made.manifest["rows"] + sum(counts.values())
    return made


def appended(history, numbers, feature_set=FEATURES, **columns):
    """Append decisions with these columns changed."""
    plain = rows(np.asarray(numbers), FEATURES)
    schema = decision_schema(feature_set)
    known = {field.name: plain.column(field.name) for field in plain.schema} | columns
    arrays = [pa.array(known[f.name], type=f.type) for f in schema]
    history.log.register_feature_set(feature_set)
    start = history.log.head().position + 1
    history.append("decision", pa.RecordBatch.from_arrays(arrays, schema=schema), feature_set.digest)
    return start, history.log.head().position + 1


def test_a_plain_specification_keeps_the_words_of_format_1(history):
    plain = spec(history, split=Split(by="time", test_from=START))
    form, cut = document(plain)
    assert form == "training-set/1"
    assert spec_of(json.loads(json.dumps(cut))) == plain
    fuller = spec(history, split=Split(by="unit", test=0.5), gates=(Gate(feature="amount"),))
    form, cut = document(fuller)
    assert form == "training-set/2"
    assert spec_of(json.loads(json.dumps(cut))) == fuller


def test_it_is_declared_before_it_is_looked_at(event_log, history, tmp_path):
    made = built(event_log, history, tmp_path / "set")
    declared, created = event_log.controls("training_set.*")
    assert (declared.type, created.type) == (DECLARED, CREATED)
    assert declared.position < created.position
    assert declared.body["cut"]["label"] == made.manifest["cut"]["label"] == "fraud"


@pytest.mark.parametrize("limits", [Limits(), Limits(keep_bytes=0), Limits(keep_bytes=60_000)])
def test_read_once_or_twice_it_is_the_same_set(event_log, history, tmp_path, limits):
    whole = built(event_log, history, tmp_path / "whole", split=Split(by="unit_folds", folds=3))
    at = whole.manifest["as_of"]["position"]
    again = build_training_set(
        event_log,
        spec(history, split=Split(by="unit_folds", folds=3)),
        as_of=at,
        place=Place(tmp_path / "again", rows_per_part=77, limits=limits),
    )
    assert (again.id, again.digest) == (whole.id, whole.digest)


def test_a_range_whose_ids_do_not_fit_is_refused_with_its_figures(event_log, history, tmp_path):
    with pytest.raises(MemoryReached, match=r"Cut the range in parts, or raise the limit") as caught:
        built(event_log, history, tmp_path / "set", limits=Limits(keys_bytes=10_000))
    assert caught.value.exit_code == 1
    assert not (tmp_path / "set").exists()


def test_a_row_of_several_labels_has_them_all(event_log, history, tmp_path):
    history.outcomes(100, 1_000, hours=1, label="refund")
    made = built(
        event_log,
        history,
        tmp_path / "set",
        labels=(FRAUD, LabelRule(name="refund", window=2 * FRAUD.window)),
    )
    assert made.manifest["counts"] == {
        "decisions": 1_000,
        "duplicate": 0,
        "excluded": 0,
        "fraud.immature": 79,
        "fraud.missing": 21,
        "refund.immature": 159,
        "refund.missing": 100,
        "gap": 0,
    }
    table = made.to_arrow()
    assert table.schema.names[-3:] == ["label.fraud", "label.refund", "split"]
    assert table["label.fraud"].null_count == table["label.refund"].null_count == 0


def test_censored_rows_are_in_the_set_with_what_is_known_of_them(event_log, history, tmp_path):
    rule = LabelRule(name="fraud", window=FRAUD.window, immature="censor")
    made = built(event_log, history, tmp_path / "set", labels=(rule,))
    frame = made.to_pandas()
    assert len(frame) == 1_000
    assert frame.censored.sum() == 100
    assert frame.label.isna().sum() == 100
    assert frame.followed_us[~frame.censored].unique().tolist() == [2 * 3600 * 10**6]
    assert frame.followed_us.max() == 3 * 3600 * 10**6


def test_weighted_rows_carry_their_weight(event_log, history, tmp_path):
    rule = LabelRule(name="fraud", window=timedelta(hours=16), immature="weight")
    made = built(event_log, history, tmp_path / "set", labels=(rule,))
    assert made.manifest["rows"] == 900
    assert made.manifest["counts"]["immature"] == 100
    weights = made.manifest["weights"]
    assert weights["effective"] < weights["rows"] == 900
    assert made.to_pandas().weight.min() >= 1.0


def test_rolling_folds_train_on_what_lies_before(event_log, history, tmp_path):
    split = Split(by="rolling", test_from=START + 300 * MINUTE, every=200 * MINUTE, folds=2, gap=60 * MINUTE)
    made = built(event_log, history, tmp_path / "set", split=split)
    assert made.manifest["counts"]["outside"] == 200
    train, test = made.fold(2)
    assert max(train["occurred_at"].to_pylist()) < START + 440 * MINUTE
    assert (min(test["occurred_at"].to_pylist()), test.num_rows) == (START + 500 * MINUTE, 200)
    with pytest.raises(NotFound, match=r'no fold "3"'):
        made.fold(3)


def test_units_are_never_in_both_sides_of_a_fold(event_log, history, tmp_path):
    made = built(
        event_log, history, tmp_path / "set", split=Split(by="unit_folds", folds=4), features=["amount"]
    )
    units = {f"d{n}": f"u{n % 50}" for n in range(1_000)}
    train, test = made.fold(1)
    sides = [{units[name] for name in side["decision_id"].to_pylist()} for side in (train, test)]
    assert sides[0]
    assert sides[1]
    assert not sides[0] & sides[1]


def test_propensities_and_inclusion_become_weights(event_log, history, tmp_path):
    chance = np.where(np.arange(2_000, 2_400) % 2, 0.8, 0.25)
    did = np.where(np.arange(400) % 2, "pass", "block")
    part = appended(
        history, range(2_000, 2_400), propensity=chance, decision=did, inclusion=np.full(400, 0.5)
    )
    history.outcomes(2_000, 2_400)
    history.decisions(3_000, 3_001)
    span = {"start": part[0], "stop": part[1]}
    plan = Weights(inclusion=True, policy="ips", target="decision:block")
    made = built(event_log, history, tmp_path / "ips", weights=plan, **span)
    assert made.to_pandas().weight.tolist() == [8.0, 0.0] * 200
    assert made.manifest["weights"]["effective"] == 200.0
    scaled = built(
        event_log,
        history,
        tmp_path / "snips",
        weights=Weights(policy="snips", target="decision:block"),
        **span,
    )
    assert scaled.to_pandas().weight.tolist() == [2.0, 0.0] * 200
    with pytest.raises(TooFewEffective):
        built(event_log, history, tmp_path / "x", weights=Weights(policy="ips", min_effective=1_000), **span)
    with pytest.raises(WeightsUnusable, match="900 of 900 rows have no usable propensity"):
        built(event_log, history, tmp_path / "x", weights=Weights(policy="ips"))
    assert not (tmp_path / "x").exists()


def test_older_snapshots_come_in_when_every_field_is_accounted_for(event_log, history, tmp_path):
    numbers = np.arange(2_000, 2_200)
    kinds = ["card" if n % 2 else "bank" for n in numbers]
    _first, stop = appended(history, numbers, NEXT, **{"f.items": np.arange(200.0), "f.type": kinds})
    history.outcomes(2_000, 2_200)
    history.decisions(3_000, 3_001)
    change = Change(feature_set="fraud:1", rename={"type": "kind"}, retype=("items",), drop=("note",))
    span = {"start": history.part[0], "stop": stop, "feature_set": "fraud:2"}
    made = built(event_log, history, tmp_path / "set", changes=(change,), where={"type": ["card"]}, **span)
    table = made.to_arrow()
    assert table.schema.field("items").type == pa.float64()
    assert set(table["type"].to_pylist()) == {"card"}
    assert min(table["position"].to_pylist()) < _first < max(table["position"].to_pylist())
    alone = built(event_log, history, tmp_path / "alone", **span)
    assert alone.manifest["counts"]["excluded"] == 1_001
    with pytest.raises(NotFound, match="fraud:7"):
        built(event_log, history, tmp_path / "x", changes=(Change(feature_set="fraud:7"),), **span)


def test_recomputed_features_are_refused_unless_allowed_and_then_they_are_named(event_log, history, tmp_path):
    file = tmp_path / "late.parquet"
    pq.write_table(
        pa.table({"decision_id": [f"d{n}" for n in range(0, 1_000, 2)], "risk": np.arange(500.0)}), file
    )
    table, declared = read_backfill(file, ("risk",))
    with pytest.raises(SpecUnusable, match="risk were recomputed, not served") as caught:
        spec(history, backfill=declared)
    assert caught.value.exit_code == 2
    words = {"backfill": declared, "allow_backfill": True, "features": ("amount",)}
    place = Place(tmp_path / "set")
    made = build_training_set(event_log, spec(history, **words), place=place, backfill=table)
    assert made.manifest["provenance"] == {"amount": "served", "risk": "backfill"}
    assert made.manifest["absent"] == {"risk": 450}
    assert made.to_arrow()["risk"].to_pylist()[:4] == [0.0, None, 1.0, None]
    assert TrainingSet.open(tmp_path / "set").verify(event_log)["holds"]
    with pytest.raises(BackfillUnusable, match="are not in the log"):
        verify_training_set(event_log, made.id)
    other = table.set_column(1, "risk", pa.array(np.arange(500.0) + 1))
    with pytest.raises(BackfillUnusable, match="has digest"):
        verify_training_set(event_log, made.id, backfill=other)
    with pytest.raises(BackfillUnusable, match="lacks risk"):
        read_backfill(tmp_path / "set" / made.manifest["parts"][0]["file"], ("risk_",))


def test_a_folder_keeps_recomputed_features_for_all_that_is_done_with_the_set(
    event_log, history, tmp_path, monkeypatch
):
    file = tmp_path / "risk.parquet"
    ids = [f"d{n}" for n in range(1_000)]
    pq.write_table(pa.table({"decision_id": ids, "risk": np.arange(1_000.0)}), file)
    table, declared = read_backfill(file, ("risk",))
    words = {"backfill": declared, "allow_backfill": True, "features": ("amount",)}
    place = Place(tmp_path / "set")
    made = build_training_set(event_log, spec(history, **words), place=place, backfill=table)
    longer, reused = extend_training_set(event_log, made.folder, place=Place(tmp_path / "longer"))
    assert longer.verify(event_log)["holds"]
    assert reused.why == "its recomputed features are not in the log"
    monkeypatch.setenv("HARNESS_DATABASE_URL", event_log.url)
    monkeypatch.chdir(tmp_path)
    assert run(["training-set", "prove", "set", "d10", "--out", "proof.json"]) == 0
    assert run(["training-set", "check-proof", "proof.json"]) == 0
    assert run(["training-set", "prove", made.id, "d10"]) == 2, "the log alone has not the table"
    assert run(["training-set", "export", "set", "--out", "out"]) == 0
    assert TrainingSet.open("out").verify(event_log)["holds"]


def test_a_set_that_fails_a_gate_is_not_written_and_the_log_says_why(event_log, history, tmp_path):
    held = (
        Gate(feature="amount", max_null=0.02, low=-20.0, high=20.0),
        Gate(feature="kind", levels=("bank", "card", "coin")),
    )
    made = built(event_log, history, tmp_path / "set", gates=held)
    assert {gate["gate"] for gate in made.manifest["gates"]} == {"type", "range", "missing", "unseen"}
    broken = (
        Gate(feature="amount", max_null=0.001, low=0.0),
        Gate(feature="kind", levels=("bank", "card")),
    )
    with pytest.raises(
        GatesFailed, match=r"amount: range is .*amount: missing is 0\.01.*kind: unseen is 0\.333"
    ) as caught:
        built(event_log, history, tmp_path / "x", gates=broken)
    assert caught.value.exit_code == 30
    assert not (tmp_path / "x").exists()
    (refused,) = event_log.controls(REFUSED)
    assert sum(not gate["holds"] for gate in refused.body["findings"]) == 3
    with pytest.raises(FeatureUnknown, match="'colour'"):
        built(event_log, history, tmp_path / "x", gates=(Gate(feature="colour"),))


@pytest.mark.parametrize(
    ("gate", "said"),
    [
        (Gate(feature="amount", levels=("card",)), "has levels, and 'amount' is float64"),
        (Gate(feature="kind", low=1.0, max_unseen=0.1), "has low, and 'kind' is string"),
        (Gate(feature="amount", max_outside=0.1), "has max_outside alone"),
        (Gate(feature="kind", max_unseen=0.1), "has max_unseen alone"),
    ],
)
def test_a_limit_that_would_hold_whatever_came_is_refused(event_log, history, tmp_path, gate, said):
    with pytest.raises(SpecUnusable, match=said):
        built(event_log, history, tmp_path / "set", gates=(gate,))
    assert not (tmp_path / "set").exists()


def test_a_value_that_a_column_cannot_hold_is_told_from_a_column_that_is_not_there(
    event_log, history, tmp_path
):
    with pytest.raises(SpecUnusable, match="Column 'amount' is double"):
        built(event_log, history, tmp_path / "set", where={"amount": ["much"]})
    with pytest.raises(FeatureUnknown, match="no 'colour'"):
        built(event_log, history, tmp_path / "set", where={"kind": ["card"], "colour": ["red"]})


def test_a_set_that_drifted_from_a_named_one_is_refused(event_log, history, tmp_path):
    reference = built(event_log, history, tmp_path / "reference")
    same = built(event_log, history, tmp_path / "same", drift=DriftGate(against=reference.id))
    assert {gate["gate"] for gate in same.manifest["gates"]} == {"drift"}
    part = appended(history, range(2_000, 2_800), **{"f.amount": np.linspace(30.0, 40.0, 800)})
    history.outcomes(2_000, 2_800)
    history.decisions(4_000, 4_001)
    span = {"start": part[0], "stop": part[1]}
    with pytest.raises(GatesFailed, match=r"amount: its distribution moved by 0\.999"):
        built(event_log, history, tmp_path / "x", drift=DriftGate(against=reference.id), **span)
    with pytest.raises(NotFound, match="training set"):
        built(event_log, history, tmp_path / "x", drift=DriftGate(against="ts-unknown"), **span)


@pytest.mark.parametrize(("labels", "said"), [((), "none"), ((FRAUD, FRAUD), "fraud, fraud")])
def test_labels_that_cannot_be_are_refused(history, labels, said):
    with pytest.raises(SpecUnusable, match=f"The labels are {said}"):
        spec(history, labels=labels)
