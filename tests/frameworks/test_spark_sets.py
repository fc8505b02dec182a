"""Training sets on Spark: the folder of a build in one process, to the byte, whatever its history."""

from datetime import timedelta

import msgspec
import numpy as np
import pytest

from harness.database import create_log
from harness.log.log import Log
from harness.log.seal import seal
from harness.segment_errors import SegmentAltered
from harness.training.errors import SpecUnusable, WindowTooLong
from harness.training.on_spark import build_on_spark
from harness.training.registry import CREATED, list_training_sets
from harness.training.sets import DECLARED, Place, build_training_set
from harness.training.spec import Spec
from replay.labels import LabelRule
from tests.frameworks.spark_support import SPARK_WARNINGS
from tests.process.test_extend_law import KINDS, PLAIN, Story, tree
from tests.support import servers
from tests.support.history import POINT, History

pytestmark = [pytest.mark.filterwarnings(each) for each in SPARK_WARNINGS]
RULE = {"feature_set": "fraud:1", "labels": PLAIN}
NEED_ALL_ROWS = ("weighted", "weights", "weights that depend on all")


@pytest.fixture(scope="module")
def told(database_url, migrated, tmp_path_factory):
    """A log with repeated ids, early, late, corrected and withdrawn outcomes, and two feature sets."""
    folder = tmp_path_factory.mktemp("told")
    with (
        servers.fresh_database(database_url, migrated) as url,
        create_log(folder, url=url, clock="event") as log,
    ):
        story = Story(log, np.random.default_rng(5), newer=True)
        story.tell(900)
        seal(log)
        story.tell(300)
        yield log


def built(log, session, folder, spec, **more):
    """Return the manifests and all files but those by which a set is continued, built here and on Spark."""
    here = build_training_set(log, spec, place=Place(folder / "here", **more))
    there = build_on_spark(
        log,
        spec,
        session,
        as_of=here.manifest["as_of"]["position"],
        place=Place(folder / "there", **more),
        positions=1_500,
    )
    files = [
        {name: data for name, data in tree(each.folder).items() if "kept/" not in name}
        for each in (here, there)
    ]
    assert there.verify(log)["holds"]
    return here, there, files


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in NEED_ALL_ROWS])
def test_it_is_the_folder_of_a_build_in_one_process(told, spark, tmp_path, kind):
    spec = Spec(decision_point=POINT, start=1, stop=told.head().position, **RULE | KINDS[kind])
    here, there, (one, other) = built(told, spark, tmp_path, spec, rows_per_part=100)
    assert (here.id, here.digest, here.manifest) == (there.id, there.digest, there.manifest)
    assert one == other
    assert len([name for name in one if name.startswith("data/")]) > 1
    counts = here.manifest["counts"]
    assert counts["duplicate"] > 0
    assert here.manifest["outcomes"]["other_label"] > 0


def test_rows_of_several_units_have_their_places(spark, database_url, migrated, tmp_path):
    """More rows than a chunk of the digest has: tasks of their own write them."""
    with (
        servers.fresh_database(database_url, migrated) as url,
        create_log(tmp_path, url=url, clock="event") as log,
    ):
        history = History(log, size=10_000)
        start, stop = history.decisions(0, 150_000)
        history.outcomes(0, 150_000)
        history.decisions(160_000, 160_001)
        seal(log)
        spec = Spec(decision_point=POINT, start=start, stop=stop, labels=PLAIN)
        here = build_training_set(log, spec, place=Place(tmp_path / "here", rows_per_part=2**16))
        there = build_on_spark(
            log,
            spec,
            spark,
            as_of=here.manifest["as_of"]["position"],
            place=Place(tmp_path / "there", rows_per_part=2**16),
            positions=70_000,
        )
        assert there.manifest == here.manifest
        assert here.manifest["rows"] > 2 * 2**16


@pytest.mark.parametrize("kind", NEED_ALL_ROWS)
def test_what_needs_all_rows_is_refused(told, spark, kind):
    spec = Spec(decision_point=POINT, start=1, stop=2, **RULE | KINDS[kind])
    with pytest.raises(SpecUnusable, match="its weights depend on all rows"):
        build_on_spark(told, spec, spark)


def test_it_is_declared_before_it_is_read_and_once_for_all_logs(spark, database_url, migrated, tmp_path):
    """Also by a log that had fetched the control events before another one declared the same cut."""
    with (
        servers.fresh_database(database_url, migrated) as url,
        create_log(tmp_path, url=url, clock="event") as log,
        Log(url) as late,
    ):
        history = History(log)
        start, stop = history.decisions(0, 300)
        history.outcomes(0, 300)
        history.decisions(9_000, 9_001)
        at = log.head().position
        assert late.controls(DECLARED) == []
        spec = Spec(decision_point=POINT, start=start, stop=stop, labels=PLAIN)
        made = build_on_spark(log, spec, spark, as_of=at, place=Place(tmp_path / "set"))
        declared, created = log.controls("training_set.*")
        assert (declared.type, created.type) == (DECLARED, CREATED)
        assert declared.body["as_of"] == made.manifest["as_of"]
        assert declared.body["cut"]["label"] == made.manifest["cut"]["label"] == "fraud"
        again = build_on_spark(late, spec, spark, as_of=at, place=Place(tmp_path / "again"))
        here = build_training_set(late, spec, as_of=at, place=Place(tmp_path / "here"))
        assert made.manifest == again.manifest == here.manifest
        young = msgspec.structs.replace(spec, labels=(LabelRule(name="fraud", window=timedelta(days=900)),))
        with pytest.raises(WindowTooLong):
            build_on_spark(log, young, spark, as_of=at, place=Place(tmp_path / "young"))
        types = [event.type for event in late.controls("training_set.*")]
        assert types == [DECLARED, CREATED, DECLARED]


def test_an_error_of_a_worker_arrives_as_it_is_and_nothing_is_registered(
    spark, database_url, migrated, tmp_path
):
    with (
        servers.fresh_database(database_url, migrated) as url,
        create_log(tmp_path, url=url, clock="event") as log,
    ):
        history = History(log)
        start, stop = history.decisions(0, 300)
        history.outcomes(0, 300)
        history.decisions(900, 901)
        young = Spec(
            decision_point=POINT,
            start=start,
            stop=stop,
            labels=(LabelRule(name="fraud", window=timedelta(days=9)),),
        )
        with pytest.raises(WindowTooLong):
            build_on_spark(log, young, spark, place=Place(tmp_path / "young"))
        seal(log)
        (part,) = tmp_path.glob("**/segments/*/outcome/*/*.parquet")
        data = bytearray(part.read_bytes())
        data[200] ^= 1
        part.write_bytes(data)
        spec = Spec(decision_point=POINT, start=start, stop=stop, labels=PLAIN)
        with pytest.raises(SegmentAltered):
            build_on_spark(log, spec, spark, place=Place(tmp_path / "set"))
        assert list_training_sets(log) == []
        assert not [path for path in tmp_path.iterdir() if path.name.startswith((".building", "set"))]
