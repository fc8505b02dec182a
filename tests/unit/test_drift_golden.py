"""Bytes of drift that were once written are read for ever, and the same rows write them again."""

import math
from pathlib import Path

import msgspec
import pyarrow as pa
import pytest

from policies.accumulators import Moments
from policies.drift import MonitorPlan, WindowState, cut_feature, fold_window, reference_of
from policies.drift.detector import Detector, DetectorPlan, LossDay, baseline_of, detect
from policies.drift.reference import Day, Reference

GOLDEN = Path(__file__).parents[1] / "golden"
X = [0.0, -0.0, 1.5, 1e9, -(2.0**-40), math.nan, math.inf, None, 3.0, 5e-324]
C = ["AA", "UA", "né", "AA", None, "UA", "new", "AA", "UA", "AA"]


def rows(shift=0):
    xs = [x if x is None else x + shift for x in X]
    return pa.table({"f.x": pa.array(xs, pa.float64()), "f.carrier": pa.array(C)})


def plan():
    return MonitorPlan(
        features=(
            cut_feature("x", "float64", pa.array([0.0, 1.0, 1.5, 3.0, 1e9])),
            cut_feature("carrier", "category", pa.array(["AA", "UA", "né"])),
        )
    )


def written() -> dict[str, bytes]:
    watch = plan()
    days = [Day(number, fold_window(rows(number % 3), watch)) for number in range(14)]
    detector = DetectorPlan(bets=3)
    losses = [LossDay(i, Moments(50, (5 + i) << 24, (5 + i) << 48)) for i in range(6)]
    return {
        "drift_plan_1.json": watch.to_json(),
        "drift_window_1.json": fold_window(rows(), watch).to_json(),
        "drift_reference_1.json": reference_of(days, watch).to_json(),
        "drift_detector_1.json": detect(losses[3:], detector, baseline_of(losses[:3], detector)).to_json(),
    }


@pytest.mark.parametrize("name", ["drift_plan_1.json", "drift_window_1.json"])
def test_integers_are_written_again_to_the_byte(name):
    assert written()[name] == (GOLDEN / name).read_bytes()


@pytest.mark.parametrize("name", ["drift_reference_1.json", "drift_detector_1.json"])
def test_figures_are_written_again_up_to_their_last_digits(name):
    """Logarithms and quantiles of two builds of scipy may differ in their last bits."""

    def flat(value):
        if isinstance(value, dict):
            return [x for key in sorted(value) for x in (key, *flat(value[key]))]
        return [x for each in value for x in flat(each)] if isinstance(value, list) else [value]

    now, then = (flat(msgspec.json.decode(data)) for data in (written()[name], (GOLDEN / name).read_bytes()))
    assert len(now) == len(then)
    for a, b in zip(now, then, strict=True):
        assert a == (b if isinstance(b, str) or b is None else pytest.approx(b, rel=1e-9))


def test_what_was_written_is_read():
    stored = {name: (GOLDEN / name).read_bytes() for name in written()}
    watch = MonitorPlan.from_json(stored["drift_plan_1.json"])
    assert watch == plan()
    window = WindowState.from_json(stored["drift_window_1.json"], watch)
    assert window.to_json() == stored["drift_window_1.json"]
    assert window.features["x"].count("nan") == 1
    reference = Reference.from_json(stored["drift_reference_1.json"], watch)
    assert reference.to_json() == stored["drift_reference_1.json"]
    detector = Detector.from_json(stored["drift_detector_1.json"])
    assert detector.to_json() == stored["drift_detector_1.json"]
