"""What a set keeps of its decisions: which blocks a longer set reads again, and that it is the same set."""

from datetime import timedelta

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from harness.training import blocks, kept, news
from harness.training.extend import extend_training_set
from harness.training.sets import Place, build_training_set
from harness.training.spec import Spec
from recorders.columns import decision_schema
from replay import resumable
from replay.fingerprints import fingerprints
from tests.process.test_extend_law import PLAIN, small, tree
from tests.support.history import FEATURES, MINUTE, POINT, START, History
from tests.support.history import rows as decisions

BLOCK = 128


class Grown:
    """A set of `count` decisions, whose blocks are settled but for the last ones, and what comes after."""

    def __init__(self, log, folder, monkeypatch, count=512, late=(), first=0):
        small(monkeypatch)
        self.log, self.folder, self.count = log, folder, first + count
        self.history = History(log, size=97)
        self.numbers(np.arange(first, first + count), late)
        self.history.outcomes(first, first + count)
        self.later(4_000)
        self.spec = Spec(decision_point=POINT, start=1, stop=log.head().position + 1, labels=PLAIN)
        self.made = build_training_set(log, self.spec, place=Place(folder / "0", rows_per_part=BLOCK))

    def numbers(self, numbers, late=()):
        """Append decisions, those of `late` ten days after their time."""
        batch = decisions(numbers, FEATURES)
        at = [START + int(n) * MINUTE + timedelta(days=10 * (n in late)) for n in numbers]
        schema = decision_schema(FEATURES)
        arrays = [batch.column(f.name) if f.name != "occurred_at" else pa.array(at, f.type) for f in schema]
        self.history.append("decision", pa.RecordBatch.from_arrays(arrays, schema=schema), FEATURES.digest)

    def later(self, number):
        """Let the time of the log pass, without a decision that any set here counts."""
        self.history.outcomes(number, number + 1, label="other")

    def extended(self, more=0):
        """Extend the set by `more` decisions; return what was taken over, when it is the set built anew."""
        if more:
            self.numbers(np.arange(self.count, self.count + more))
        stop = self.log.head().position + 1
        longer, reused = extend_training_set(
            self.log, self.made.folder, to=stop, place=Place(self.folder / "1", rows_per_part=BLOCK)
        )
        spec = msgspec.structs.replace(self.spec, stop=stop)
        place = Place(self.folder / "anew", rows_per_part=BLOCK)
        whole = build_training_set(self.log, spec, as_of=stop - 1, place=place)
        assert tree(longer.folder) == tree(whole.folder)
        assert longer.verify(self.log)["holds"]
        assert reused.why is None
        return reused


@pytest.mark.parametrize(
    ("count", "more", "judged"),
    [
        (512, 5, 128 + 5),  # the last block is always read
        (512, 0, 128),
        (511, 1, 128),  # it is full now: its pieces are one block
        (513, 15, 16),
        (512, 128, 256),
        (500, 11, 15),  # 384, 400, ... 496 stay, and 500 was inside of the one after
    ],
)
def test_only_the_last_block_is_judged_again(event_log, tmp_path, monkeypatch, count, more, judged):
    grown = Grown(event_log, tmp_path, monkeypatch, count)
    assert grown.extended(more).decisions == judged


@pytest.mark.parametrize("number", [0, 127, 128])
@pytest.mark.parametrize("event", ["correction", "late", "repeated"])
def test_a_new_event_opens_the_block_that_its_id_is_in(event_log, tmp_path, monkeypatch, event, number):
    grown = Grown(event_log, tmp_path, monkeypatch)
    if event == "repeated":
        grown.numbers(np.array([number]))
    else:
        hours = 2 if event == "correction" else 5
        grown.history.outcomes(number, number + 1, hours=hours, flip=True)
    reused = grown.extended(3)
    assert reused.decisions == 512 + 3 + (event == "repeated") - number // BLOCK * BLOCK


def test_an_outcome_of_another_label_opens_none(event_log, tmp_path, monkeypatch):
    grown = Grown(event_log, tmp_path, monkeypatch)
    grown.history.outcomes(5, 6, label="other")
    assert grown.extended(3).decisions == 128 + 3
    assert sum(grown.made.manifest["outcomes"].values()) == 513


def test_a_decision_that_matures_late_opens_its_block(event_log, tmp_path, monkeypatch):
    grown = Grown(event_log, tmp_path, monkeypatch, late={200})
    assert grown.made.manifest["counts"]["immature"] == 1
    grown.later(40_000)
    assert grown.extended(3).decisions == 512 + 3 - BLOCK


@pytest.mark.parametrize("bits", [0, 2])
def test_ids_that_share_a_fingerprint_cost_time_and_nothing_else(event_log, tmp_path, monkeypatch, bits):
    def few(column):
        return fingerprints(column) & np.uint64(2**bits - 1)

    monkeypatch.setattr(blocks, "fingerprints", few)
    monkeypatch.setattr(news, "fingerprints", few)
    grown = Grown(event_log, tmp_path, monkeypatch)
    grown.history.outcomes(300, 301, flip=True)
    assert grown.extended(20).decisions == 512 + 20


@pytest.mark.parametrize("there", [(), ("then",), ("now",)])
def test_where_no_hash_can_be_taken_up_the_set_is_the_same(event_log, tmp_path, monkeypatch, there):
    has = resumable.AVAILABLE
    monkeypatch.setattr(resumable, "AVAILABLE", has and "then" in there)
    grown = Grown(event_log, tmp_path, monkeypatch, 490)
    monkeypatch.setattr(resumable, "AVAILABLE", has and "now" in there)
    assert grown.extended(5).decisions == 10 + 5


@pytest.mark.parametrize(
    ("late", "read", "judged"),
    [
        (None, [], 128 + 5),  # new ids follow those of all blocks
        (1_300, [256], 256 + 5),
        (1_000, [0], 512 + 5),
        (1_383, [256], 256 + 5),  # the last of its block
        (1_384, [], 128 + 5),
    ],
)
def test_blocks_whose_ids_all_come_before_the_new_ones_are_not_read(
    event_log, tmp_path, monkeypatch, late, read, judged
):
    looked = []

    def reading(folder, block):
        looked.append(block.first)
        return blocks.read_ids(folder, block)

    monkeypatch.setattr(kept, "read_ids", reading)
    grown = Grown(event_log, tmp_path, monkeypatch, first=1_000)
    if late is not None:
        grown.history.outcomes(late, late + 1, flip=True)
    assert grown.extended(5).decisions == judged
    assert looked == read


@pytest.mark.parametrize("longest", [4, 5])
def test_long_ids_have_no_ends_and_their_blocks_are_read(event_log, tmp_path, monkeypatch, longest):
    monkeypatch.setattr(news, "ID_MAX", longest)
    grown = Grown(event_log, tmp_path, monkeypatch, first=1_000)
    index = kept.read_kept(grown.made.folder, grown.made.id).index
    assert {block.ends is None for block in index.blocks} == {longest < len("d1000")}
    assert grown.extended(5).decisions == 128 + 5


def test_what_an_older_form_keeps_is_not_read_and_the_set_is_built_anew(event_log, tmp_path, monkeypatch):
    with monkeypatch.context() as before:
        before.setattr(kept, "FORMAT", "kept/2")
        grown = Grown(event_log, tmp_path, monkeypatch, first=1_000)
    longer, reused = extend_training_set(event_log, grown.made.folder, place=Place(tmp_path / "1"))
    assert reused.why == f"its folder keeps kept/2 of {grown.made.id}"
    assert longer.verify(event_log)["holds"]
