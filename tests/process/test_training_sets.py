import json
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.errors import NotFound, UnknownPosition
from harness.replay_errors import (
    EmptyTrainingSet,
    FeatureSetUnregistered,
    FeatureUnknown,
    FolderTaken,
    ManifestUnreadable,
    MixedFeatureSets,
    TrainingSetDiffers,
)
from harness.training.errors import LabelUnknown, WindowTooLong
from harness.training.export import export_training_set
from harness.training.folder import TrainingSet
from harness.training.registry import get_training_set, list_training_sets, verify_training_set
from harness.training.sets import create_training_set
from recorders.canonical import canonical_json
from recorders.columns import decision_schema
from recorders.fields import FeatureSet, Field
from replay.digest import canonical_digest
from tests.support.history import FEATURES, MINUTE, POINT, START, History, rows

HOURS = timedelta(hours=1)


@pytest.fixture
def history(event_log):
    """1,000 decisions with outcomes two hours after each; the log's time is 1,100 minutes after START."""
    made = History(event_log)
    made.part = made.decisions(0, 1_000)
    made.outcomes(0, 900)
    made.decisions(1_100, 1_101)
    return made


def created(log, history, out, **more):
    arguments = {"label": "fraud", "window": 3 * HOURS, "out_dir": out, "decision_point": POINT, **more}
    start, stop = arguments.pop("part", history.part)
    return create_training_set(log, start=start, stop=stop, **arguments)


def test_it_holds_the_matured_labelled_decisions_and_counts_the_others(event_log, history, tmp_path):
    made = created(event_log, history, tmp_path / "set")
    counts = made.manifest["counts"]
    assert counts == {
        "decisions": 1_000,
        "duplicate": 0,
        "excluded": 0,
        "immature": 79,
        "missing": 21,
        "late": 0,
        "gap": 0,
    }
    assert made.manifest["rows"] == 900
    table = made.to_arrow()
    assert table.schema.names == [
        "decision_id",
        "position",
        "occurred_at",
        "amount",
        "items",
        "kind",
        "label",
        "split",
    ]
    assert canonical_digest(table) == made.digest
    assert table["decision_id"].to_pylist() == [f"d{i}" for i in range(900)]
    frame = made.to_pandas()
    assert frame.amount.isna().sum() == 9
    assert set(frame.split) == {"train"}
    assert str(frame["items"].dtype) == "int64"


def test_the_manifest_is_registered_and_found(event_log, history, tmp_path):
    made = created(event_log, history, tmp_path / "set")
    event = get_training_set(event_log, made.id)
    stored = json.loads((tmp_path / "set" / "manifest.json").read_text())
    assert {key: value for key, value in stored.items() if key not in {"parts", "tool"}} == event.body
    assert stored["as_of"]["digest"] == event_log.as_of(stored["as_of"]["position"]).digest
    assert stored["cut"]["label"] == "fraud"
    assert stored["feature_set"]["digest"] == FEATURES.digest
    assert [found.subject for found in list_training_sets(event_log)] == [made.id]
    assert canonical_json(event.body)
    with pytest.raises(NotFound, match=made.id):
        get_training_set(event_log, made.id[:-1] + "x")


def test_later_corrections_change_nothing_that_was_known(event_log, history, tmp_path):
    made = created(event_log, history, tmp_path / "set")
    place = made.manifest["as_of"]["position"]
    history.outcomes(0, 900, flip=True, hours=2.5)
    history.decisions(0, 50)  # duplicates
    assert made.verify(event_log)["holds"]
    again = created(event_log, history, tmp_path / "again", as_of=place)
    assert (again.id, again.digest) == (made.id, made.digest)
    corrected = created(event_log, history, tmp_path / "corrected")
    assert corrected.digest != made.digest
    assert np.array_equal(corrected.to_pandas().label.head(900), 1 - made.to_pandas().label)
    assert corrected.manifest["outcomes"]["superseded"] == 900


def test_its_digest_is_the_same_in_any_number_of_parts(event_log, history, tmp_path):
    one = created(event_log, history, tmp_path / "one")
    place = one.manifest["as_of"]["position"]
    many = created(event_log, history, tmp_path / "many", rows_per_part=123, as_of=place)
    assert len(many.manifest["parts"]) == 8
    assert (many.digest, many.id) == (one.digest, one.id)
    assert many.to_arrow().equals(one.to_arrow())
    exported = export_training_set(event_log, one.id, tmp_path / "exported", rows_per_part=400)
    assert exported.to_arrow().equals(one.to_arrow())
    assert len(list_training_sets(event_log)) == 1


def test_the_same_cut_into_the_same_folder_is_the_same_set(event_log, history, tmp_path):
    made = created(event_log, history, tmp_path / "set")
    again = created(event_log, history, tmp_path / "set")
    assert again.manifest == made.manifest
    assert len(list_training_sets(event_log)) == 1
    with pytest.raises(FolderTaken):
        created(event_log, history, tmp_path / "set", features=["amount"])


def test_a_split_by_time_leaves_a_gap(event_log, history, tmp_path):
    made = created(
        event_log, history, tmp_path / "set", split=START + 600 * MINUTE, gap=timedelta(minutes=180)
    )
    assert made.manifest["splits"] == {"train": 420, "test": 300}
    assert made.manifest["counts"]["gap"] == 180
    train, test = made.to_pandas("train"), made.to_pandas("test")
    assert train.occurred_at.max() < START + 420 * MINUTE <= test.occurred_at.min() - timedelta(minutes=180)


def test_features_and_rows_can_be_chosen(event_log, history, tmp_path):
    made = created(
        event_log,
        history,
        tmp_path / "set",
        features=["kind", "note"],
        where={"kind": ["card"], "items": [0, 1, 2, 3]},
    )
    frame = made.to_pandas()
    assert list(frame.columns[3:5]) == ["kind", "note"]
    assert set(frame.kind) == {"card"}
    assert made.manifest["counts"]["excluded"] == 1_000 - sum(n % 3 == 0 and n % 7 < 4 for n in range(1_000))
    assert made.verify(event_log)["holds"]
    with pytest.raises(FeatureUnknown, match=r"'colour'.*amount, items, kind, note"):
        created(event_log, history, tmp_path / "x", features=["colour"])
    with pytest.raises(FeatureUnknown, match="'colour'"):
        created(event_log, history, tmp_path / "x", where={"colour": ["red"]})


def test_feature_sets_are_never_mixed_unsaid(event_log, history, tmp_path):
    second = FeatureSet("fraud", 2, (*FEATURES.fields[:2], Field("country", "category")))
    last = history.decisions(1_101, 1_500, feature_set=second)[1]
    history.outcomes(1_100, 1_500)
    history.decisions(2_000, 2_001)
    part = (history.part[0], last)
    with pytest.raises(
        MixedFeatureSets, match=r"fraud:1 \(1,001 decisions\), fraud:2 \(399 decisions\)"
    ) as caught:
        created(event_log, history, tmp_path / "x", part=part)
    assert caught.value.exit_code == 2
    made = created(event_log, history, tmp_path / "set", part=part, feature_set="fraud:2")
    assert made.manifest["counts"]["excluded"] == 1_001
    assert made.manifest["rows"] == 399
    assert made.to_arrow()["country"].null_count == 399
    with pytest.raises(NotFound, match="fraud:2"):
        created(event_log, history, tmp_path / "x", part=part, feature_set="fraud:3")


def test_a_changed_file_or_a_swapped_manifest_is_found(event_log, history, tmp_path):
    made = created(event_log, history, tmp_path / "set")
    other = created(event_log, history, tmp_path / "other", features=["amount"])
    part = tmp_path / "set" / made.manifest["parts"][0]["file"]
    table = pq.read_table(part)
    pq.write_table(table.set_column(table.schema.get_field_index("label"), "label", [[1.0] * 900]), part)
    with pytest.raises(TrainingSetDiffers, match="Part data/part-") as caught:
        made.verify(event_log)
    assert caught.value.exit_code == 40
    manifest = {**other.manifest, "id": made.id}
    (tmp_path / "other" / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(TrainingSetDiffers, match="The manifest"):
        TrainingSet.open(tmp_path / "other").verify(event_log)


def test_another_history_is_not_the_one_it_was_cut_from(event_log, fresh_log, history, tmp_path):
    made = created(event_log, history, tmp_path / "set")
    other = History(fresh_log, name="other")
    other.decisions(0, 2_500)
    fresh_log.control("training_set.created", made.id, get_training_set(event_log, made.id).body)
    with pytest.raises(TrainingSetDiffers, match="The log's history"):
        verify_training_set(fresh_log, made.id)


def test_what_cannot_be_cut_says_why(event_log, history, tmp_path):
    with pytest.raises(LabelUnknown, match=r'has the label "chargeback". Known: fraud') as caught:
        created(event_log, history, tmp_path / "x", label="chargeback")
    assert caught.value.exit_code == 2
    with pytest.raises(WindowTooLong, match=r"window of label 'fraud' is 365 days.*18:20:00 old") as caught:
        created(event_log, history, tmp_path / "x", window=timedelta(days=365))
    assert caught.value.exit_code == 2
    with pytest.raises(EmptyTrainingSet, match=r"None of the decisions has a mature label 'fraud'.*900 late"):
        created(event_log, history, tmp_path / "x", window=timedelta(hours=1))
    with pytest.raises(UnknownPosition):
        created(event_log, history, tmp_path / "x", as_of=history.part[1] - 10)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "notes.txt").write_text("mine")
    with pytest.raises(FolderTaken):
        created(event_log, history, tmp_path / "taken")
    assert [path.name for path in (tmp_path / "taken").iterdir()] == ["notes.txt"]
    assert not (tmp_path / "x").exists()
    assert list_training_sets(event_log) == []


def test_a_damaged_part_is_written_anew_by_an_export_in_place(event_log, history, tmp_path):
    made = created(event_log, history, tmp_path / "set", rows_per_part=300)
    damaged, missing, *_rest = (tmp_path / "set" / part["file"] for part in made.manifest["parts"])
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"\0")
    missing.unlink()
    with pytest.raises(TrainingSetDiffers):
        TrainingSet.open(tmp_path / "set").verify(event_log)
    export_training_set(event_log, made.id, tmp_path / "set")
    assert TrainingSet.open(tmp_path / "set").verify(event_log)["holds"]
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


@pytest.mark.parametrize(
    "change", [{"rows": 12_345}, {"counts": {"missing": 999}}, {"cut": {"label": "chargeback"}}]
)
def test_a_falsified_manifest_does_not_verify(event_log, history, tmp_path, change):
    created(event_log, history, tmp_path / "set")
    path = tmp_path / "set" / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(TrainingSetDiffers, match=f"manifest's '{next(iter(change))}'"):
        TrainingSet.open(tmp_path / "set").verify(event_log)


@pytest.mark.parametrize(
    ("text", "reason"),
    [("{", "no JSON"), ("[1]", "no JSON object"), ("{}", "lacks cut"), ("[" * 100_000, "no JSON")],
    ids=["cut off", "a list", "empty", "deep"],
)
def test_a_damaged_manifest_is_named(tmp_path, text, reason):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(ManifestUnreadable, match=reason) as caught:
        TrainingSet.open(tmp_path)
    assert caught.value.exit_code == 40


def test_snapshots_of_an_unregistered_feature_set_are_named(event_log, history, tmp_path):
    stranger = FeatureSet("stranger", 1, (Field("x", "float64"),))
    columns = rows(np.arange(3), FEATURES).select([*range(11)])
    columns = columns.append_column("f.x", pa.array([1.0, 2.0, 3.0])).append_column(
        "statuses", pa.nulls(3, decision_schema(stranger).field("statuses").type)
    )
    first = event_log.head().position + 1
    history.append(
        "decision",
        pa.RecordBatch.from_arrays(columns.columns, schema=decision_schema(stranger)),
        stranger.digest,
    )
    with pytest.raises(FeatureSetUnregistered, match=r"3 snapshots of .* not registered"):
        created(event_log, history, tmp_path / "set", part=(first, first + 3))


def test_a_feature_named_twice_is_one_column(event_log, history, tmp_path):
    made = created(event_log, history, tmp_path / "set", features=["amount", "amount"])
    assert made.manifest["cut"]["features"] == ["amount"]
