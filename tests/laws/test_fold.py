"""The fold is a homomorphism: any partition of the rows, in any order, gives the same bytes."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies import Evidence, fold
from policies.errors import EvidenceMismatch
from policies.fold import BLOCK_ROWS
from policies.units import SKETCH_SIZE, RepeatSketch, local_days, unit_keys
from tests.support.pairs import paired, plan, simulated

METRICS = (
    {"name": "brier", "clip": 0.1},
    {"name": "accuracy", "role": "guardrail", "margin": 0.02, "positive_decision": "late"},
    {"name": "log_loss", "role": "context"},
    {"name": "flips", "role": "context"},
)
KINDS = ("request", "column", "day")
PLANS = {kind: plan(*METRICS, unit=kind) for kind in KINDS}
TABLE = simulated(3_000, gain=0.05, units=200)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("parts", [1, 7, 64])
def test_shuffled_partitions_give_the_same_bytes(kind, parts):
    chosen = PLANS[kind]
    whole = fold(TABLE, chosen).to_json()
    rng = np.random.default_rng(parts)
    pieces = [fold(TABLE.take(pa.array(ix)), chosen) for ix in np.array_split(rng.permutation(3_000), parts)]
    rng.shuffle(pieces)
    assert Evidence.empty(chosen).merge(*pieces).to_json() == whole


@pytest.mark.parametrize("kind", KINDS)
def test_more_rows_than_a_block_in_many_chunks_give_the_bytes_of_their_chunks(kind):
    chosen, chunks = PLANS[kind], [TABLE] * 44
    assert TABLE.num_rows * len(chunks) > 2 * BLOCK_ROWS
    apart = Evidence.empty(chosen).merge(*(fold(chunk, chosen) for chunk in chunks))
    assert fold(pa.concat_tables(chunks), chosen).to_json() == apart.to_json()


SCORE = st.none() | st.floats(0, 1) | st.sampled_from([float("nan"), float("inf"), -1.0])
ROWS = st.lists(
    st.tuples(SCORE, SCORE, st.sampled_from([0.0, 1.0, None, 0.5]), st.sampled_from(["a", "b", None])),
    max_size=12,
)


@settings(deadline=None, max_examples=60)
@given(rows=ROWS, cut=st.integers(0, 12), kind=st.sampled_from(KINDS))
def test_every_row_is_used_or_has_a_reason_and_a_cut_changes_nothing(rows, cut, kind):
    columns = list(zip(*rows, strict=True)) if rows else [(), (), (), ()]
    table = paired(*columns[:3], unit=columns[3], champion_decision=columns[3])
    whole = fold(table, PLANS[kind])
    halves = fold(table.slice(0, cut), PLANS[kind]).merge(fold(table.slice(cut), PLANS[kind]))
    assert halves.to_json() == whole.to_json()
    assert Evidence.from_json(whole.to_json()) == whole
    for found in whole.metrics.values():
        assert found.rows == len(rows) == found.used + sum(found.reasons.values())


def test_evidence_of_nothing_is_the_identity():
    chosen = PLANS["day"]
    found = fold(TABLE, chosen)
    assert Evidence.empty(chosen).merge(found) == found == found.merge(Evidence.empty(chosen))
    assert fold(TABLE.slice(0, 0), chosen) == Evidence.empty(chosen)


def test_evidence_of_another_plan_or_format_is_refused():
    mine, other = (Evidence.empty(plan(min_units=n)) for n in (1, 2))
    with pytest.raises(EvidenceMismatch, match="the plan") as refused:
        mine.merge(other)
    assert refused.value.exit_code == 30
    with pytest.raises(EvidenceMismatch, match="format 2"):
        Evidence.from_json(mine.to_json().replace(b'"format":1', b'"format":2'))


def test_evidence_holds_no_names_of_units():
    assert b"u17" not in fold(TABLE, PLANS["column"]).to_json()


@settings(deadline=None)
@given(st.lists(st.text(max_size=40), min_size=1, max_size=30))
def test_unit_keys_depend_on_the_name_alone(names):
    keys = unit_keys(pa.array(names, pa.string()))
    assert len(set(keys.tolist())) == len(set(names))
    assert [int(unit_keys(pa.array([name], pa.string()))[0]) for name in names] == keys.tolist()
    padded = pa.array(["zzz", *names, "y"], pa.string()).slice(1, len(names))
    assert unit_keys(padded).tolist() == keys.tolist()


def test_unit_keys_are_the_same_for_ever():
    golden = unit_keys(pa.array(["", "a", "user-1234567890", "\N{GRINNING FACE}"], pa.string())).tolist()
    assert golden == [-2152535657050944081, 6774081908283191102, -8726719196788746076, -7042992297591884573]


@settings(deadline=None)
@given(st.lists(st.integers(0, 3_000), max_size=300))
def test_the_share_of_repeats_is_exact_up_to_the_sample(names):
    sketch = RepeatSketch.of(pa.array([str(name) for name in names], pa.string()))
    assert sketch.share == ((len(names) - len(set(names))) / len(names) if names else 0.0)


def test_the_share_of_repeats_beyond_the_sample_is_near():
    rng = np.random.default_rng(3)
    names = rng.integers(0, 60_000, 100_000)
    true = 1 - np.unique(names).size / names.size
    sketch = RepeatSketch.of(pa.array(names.astype(str)))
    assert sketch.share == pytest.approx(true, abs=0.03)
    keys, counts = np.unique(unit_keys(pa.array(names.astype(str))), return_counts=True)
    assert sketch.keys == tuple(keys[: len(sketch.keys)].tolist())
    assert sketch.counts == tuple(counts[: len(sketch.keys)].tolist())
    assert len(sketch.keys) == SKETCH_SIZE


def test_many_sketches_are_merged_at_once_as_one_after_the_other():
    rng = np.random.default_rng(4)
    several = [RepeatSketch.of(pa.array(rng.integers(0, 9_000, 3_000).astype(str))) for _ in range(5)]
    one = RepeatSketch.empty()
    for each in several:
        one = one.merge(each)
    assert len(one.keys) == SKETCH_SIZE
    assert RepeatSketch.empty().merge(*several) == several[4].merge(*several[:4]) == one
    assert one.merge() == one


INSTANTS = st.datetimes(datetime(1975, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
ZONES = st.sampled_from(
    ["America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "Africa/Casablanca", "UTC"]
)


@settings(deadline=None)
@given(st.lists(INSTANTS, max_size=10), ZONES)
def test_local_days_are_those_of_zoneinfo(instants, zone):
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    us = np.array([(t - epoch) // timedelta(microseconds=1) for t in instants], dtype=np.int64)
    wanted = [(t.astimezone(ZoneInfo(zone)).date() - epoch.date()).days for t in instants]
    assert local_days(us, zone).tolist() == wanted


def test_a_day_of_25_hours_is_one_day():
    start = datetime(2013, 11, 3, 4, tzinfo=UTC)  # midnight in New York; the clocks go back at 06:00 UTC
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    us = np.array(
        [(start + timedelta(minutes=30 * k) - epoch) // timedelta(microseconds=1) for k in range(51)]
    )
    days = local_days(us, "America/New_York")
    assert (days[:50] == days[0]).all()
    assert days[50] == days[0] + 1
