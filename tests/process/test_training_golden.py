"""What training sets were in format 1, word for word: a set that was registered once must verify for ever."""

import json
from datetime import timedelta
from pathlib import Path

from tests.support.history import MINUTE, POINT, START, History

GOLDEN = Path(__file__).parents[1] / "golden" / "training_set_1.json"
# What depends on the log's own identity, and on the version that wrote the files.
OF_THE_LOG = ("id", "log", "tool", "parts")


def plain(manifest):
    kept = {key: value for key, value in manifest.items() if key not in OF_THE_LOG}
    return kept | {"as_of": {"position": kept["as_of"]["position"], "time": kept["as_of"]["time"]}}


def test_a_set_of_format_1_is_what_it_was(event_log, tmp_path):
    history = History(event_log)
    start, stop = history.decisions(0, 600)
    history.outcomes(0, 500)
    history.outcomes(100, 200, flip=True)
    history.decisions(0, 20)
    history.decisions(1_100, 1_101)
    made = create(
        event_log,
        tmp_path,
        start=start,
        stop=1_223,
        where={"kind": ["card", "bank"]},
        features=["items", "amount"],
    )
    split = create(
        event_log, tmp_path, start=start, stop=stop, split=START + 300 * MINUTE, gap=timedelta(hours=1)
    )
    found = {"chosen": plain(made.manifest), "split": plain(split.manifest)}
    assert found == json.loads(GOLDEN.read_text())


def create(log, tmp_path, **more):
    from harness.training.sets import create_training_set

    return create_training_set(
        log,
        decision_point=POINT,
        label="fraud",
        window=timedelta(hours=3),
        as_of=1_222,
        out_dir=tmp_path / "-".join(more),
        **more,
    )
