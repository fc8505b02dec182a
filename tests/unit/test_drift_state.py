"""The state of features by example: sizes, types, statuses, and what is refused."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from policies.drift import FeaturePlan, MonitorPlan, WindowState, cut_feature, fold_window
from policies.drift.bits import BINS
from policies.drift.edges import Edges
from policies.drift.plan import DriftRule
from policies.drift.state import OTHERS
from policies.errors import ColumnsError, PlanError
from tests.support.features import numbers, watch

HOUR = 1_000_000
ROOT = Path(__file__).parents[2]
RNG = np.random.default_rng(14)
COLUMNS = {
    "normal about zero": RNG.standard_normal(HOUR),
    "normal(10, 3)": RNG.normal(10, 3, HOUR),
    "log-normal": RNG.lognormal(0, 2, HOUR),
    "Cauchy": RNG.standard_cauchy(HOUR),
    "probabilities": RNG.beta(0.3, 5, HOUR),
    "a billion and a bit": 1e9 + RNG.standard_normal(HOUR),
    "any bit pattern": RNG.integers(0, 2**64, HOUR, dtype=np.uint64).view(np.float64),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_an_hour_of_a_million_rows_fits_into_8_kb(name):
    values = COLUMNS[name]
    finite = values[np.isfinite(values)]
    plan = watch(finite)
    state = fold_window(numbers(values), plan)
    assert len(state.to_json()) <= 8192
    assert WindowState.from_json(state.to_json(), plan) == state


def test_the_worst_hour_fits_too():
    plan = watch([0.0, 1.0])
    state = fold_window(numbers([]), plan).features["x"]
    state.counters[0] = HOUR
    state.bits[:] = HOUR // BINS + 1
    state.edges[:] = HOUR // state.edges.size
    assert len(WindowState(plan.digest, {"x": state}).to_json()) <= 8192


@pytest.mark.parametrize("width", ["int8", "uint64"])
@pytest.mark.parametrize("start", [0, 3])
def test_texts_as_codes_give_the_bytes_and_levels_of_plain_texts(width, start):
    codes = pa.array([0, 3, 1, 0, None, 3, 4, 0, 1, 4], pa.int64()).cast(width)
    # "a" has two codes, "never" no row.
    coded = pa.DictionaryArray.from_arrays(codes, pa.array(["a", "b", "never", "a", "new"])).slice(start)
    plain = coded.dictionary_decode()
    feature = cut_feature("c", "category", coded)
    assert feature == cut_feature("c", "category", plain)
    assert "never" not in feature.levels
    plan = MonitorPlan(features=(cut_feature("c", "category", pa.array(["a", "b", "b"])),))
    found = [fold_window(pa.table({"f.c": column}), plan).to_json() for column in (coded, plain)]
    assert found[0] == found[1]


def test_two_thousand_levels_fit_into_8_kb_and_keep_the_most_frequent():
    rng = np.random.default_rng(2)
    codes = np.minimum(rng.geometric(0.004, 100_000), 2000)
    texts = pa.array([f"level {code}" for code in codes.tolist()])
    feature = cut_feature("c", "category", texts)
    assert len(feature.levels) == 512
    assert not feature.closed
    assert "level 1" in feature.levels
    state = fold_window(pa.table({"f.c": texts}), MonitorPlan(features=(feature,)))
    assert len(state.to_json()) <= 8192
    assert state.features["c"].levels.size == 512 + OTHERS


@pytest.mark.parametrize(
    ("kind", "column"),
    [
        ("float64", pa.array(["1.5", None])),
        ("int64", pa.array([1.5, None])),
        ("bool", pa.array([1, None])),
        ("category", pa.array([True, None])),
        ("timestamp", pa.array([1, None])),
        ("bytes", pa.array(["x", None])),
        ("list[float64]", pa.array([1.0, None])),
    ],
)
def test_another_type_is_counted_and_never_guessed(kind, column):
    plan = MonitorPlan(features=(FeaturePlan(name="x", type=kind),))
    state = fold_window(pa.table({"f.x": column}), plan).features["x"]
    assert (state.rows, state.count("null"), state.count("mistyped"), state.present) == (2, 1, 1, 0)


@pytest.mark.parametrize(
    ("kind", "column", "levels"),
    [
        ("bool", pa.array([True, False, None]), ("false", "true")),
        ("category", pa.array(["b", "a", None]).dictionary_encode(), ("a", "b")),
        ("string", pa.array(["b", "a", None], pa.large_string()), ("a", "b")),
    ],
)
def test_every_kind_of_category_is_counted_by_its_text(kind, column, levels):
    feature = cut_feature("x", kind, column)
    assert feature.levels == levels
    state = fold_window(pa.table({"f.x": column}), MonitorPlan(features=(feature,))).features["x"]
    assert state.levels.tolist() == [1, 1, *[0] * OTHERS]


def test_instants_are_numbers_and_chunks_do_not_show():
    times = pa.array([0, 3_600_000_000, None], pa.timestamp("us", "UTC"))
    feature = cut_feature("x", "timestamp", times)
    plan = MonitorPlan(features=(feature,))
    chunked = pa.table({"f.x": pa.chunked_array([times.slice(0, 1), times.slice(1)])})
    assert fold_window(chunked, plan) == fold_window(pa.table({"f.x": times}), plan)
    assert fold_window(chunked, plan).features["x"].present == 2


def test_statuses_are_counted_per_field():
    kind = pa.list_(pa.struct([("field", pa.string()), ("status", pa.string())]))
    rows = pa.table(
        {
            "f.x": [1.0, 2.0, 3.0],
            "statuses": pa.array(
                [[{"field": "x", "status": "stale"}, {"field": "y", "status": "default"}], None, []], kind
            ),
        }
    )
    state = fold_window(rows, watch([1.0])).features["x"]
    assert (state.count("status_stale"), state.count("status_default")) == (1, 0)


def test_all_null_and_an_empty_reference_give_values_and_no_warning():
    feature = cut_feature("x", "float64", pa.array([None, None], pa.float64()))
    assert feature.edges is None
    assert feature.max_missing == 1.0
    state = fold_window(numbers([None, 1.0]), MonitorPlan(features=(feature,))).features["x"]
    assert (state.present, state.edges.size) == (1, 0)
    nothing = fold_window(pa.table({"f.x": pa.nulls(3)}), watch([1.0])).features["x"]
    assert (nothing.rows, nothing.present, nothing.total) == (3, 0, 0)


def test_an_absent_column_is_named():
    with pytest.raises(ColumnsError, match=r'"f\.x" is absent'):
        fold_window(pa.table({"f.y": [1.0]}), watch([1.0]))
    with pytest.raises(ColumnsError, match="statuses"):
        fold_window(pa.table({"f.x": [1.0], "statuses": ["stale"]}), watch([1.0]))


@pytest.mark.parametrize(
    "declare",
    [
        lambda: FeaturePlan(name="x", type="float"),
        lambda: FeaturePlan(name="x", type="float64", low=float("nan")),
        lambda: FeaturePlan(name="x", type="float64", low=2.0, high=1.0),
        lambda: FeaturePlan(name="x", type="float64", max_missing=1.5),
        lambda: FeaturePlan(name="x", type="category", levels=("b", "a")),
        lambda: FeaturePlan(name="x", type="category", edges=Edges(0.0, 1.0, (0, 2048))),
        lambda: Edges(0.0, 0.0, (0, 2048)),
        lambda: Edges(0.0, 1.0, (0, 5, 5, 2048)),
        lambda: Edges(float("inf"), 1.0, (0, 2048)),
        lambda: MonitorPlan(features=()),
        lambda: MonitorPlan(features=(FeaturePlan(name="x", type="bool"),) * 2),
        lambda: DriftRule(floor=0.0),
        lambda: DriftRule(alarms_per_year=300.0),
        lambda: DriftRule(alarms_per_year=float("nan")),
        lambda: DriftRule(min_days=1),
        lambda: cut_feature("x", "float64", pa.array(["a"])),
        lambda: MonitorPlan.from_json(b'{"features": [], "rules": {}}'),
    ],
)
def test_a_plan_that_cannot_be_meant_is_refused_with_its_key(declare):
    with pytest.raises(PlanError, match="Expected"):
        declare()


def test_a_plan_round_trips_with_its_digest():
    plan = watch([1.0, 2.0], low=0.0)
    again = MonitorPlan.from_json(plan.to_json())
    assert again == plan
    assert again.digest == plan.digest


def test_a_report_needs_no_pandas():
    code = (
        "import sys, pyarrow as pa; from policies.drift import MonitorPlan, cut_feature, fold_window;"
        "from policies.drift import FeaturePlan;"
        "x = pa.Array.from_buffers(pa.float64(), 2, [None, pa.py_buffer(bytes(16))]);"
        "c = x.cast(pa.string());"
        "t = pa.RecordBatch.from_arrays([x, c], ['f.x', 'f.c']);"
        "x, c = cut_feature('x', 'float64', t.column(0)), cut_feature('c', 'category', t.column(1));"
        "p = MonitorPlan(features=(x, c));"
        "fold_window(t, p); sys.exit('pandas' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False)
    assert done.returncode == 0
