"""Bad input of a proof of retraining: nothing is retrained on it, and no plausible number told."""

import json
import math

import msgspec
import numpy as np
import pytest

from policies import Evidence
from policies.contenders import Contender
from policies.diagnosis import Signs
from policies.errors import EvidenceMismatch
from policies.retraining import Proof, prove
from tests.support.scenarios import PLAN, around, paired

NAN, INF = math.nan, math.inf
NAMES = ("recent", "all", "recalibrated")
SIGNS = Signs(features="drift", calibration=(0.3, 1e-9))


def proof(live, better, label) -> Proof:
    """The proof of contenders that all give these scores."""
    against, itself = (paired(*map(np.array, (each, better, label))) for each in (live, better))
    contenders = [
        Contender(
            name=name,
            champion=against,
            rival=None if name == "recalibrated" else itself,
            slices={"all of it": against},
            trained_until=1,
        )
        for name in NAMES
    ]
    return prove(PLAN, around(), contenders, SIGNS)


@pytest.mark.parametrize(
    ("live", "better", "label"),
    [
        ([], [], []),
        ([0.9], [0.1], [0.0]),
        ([0.3] * 900, [0.3] * 900, [1.0] * 900),
        ([0.0] * 900, [0.0] * 900, [0.0] * 900),
        ([NAN] * 900, [0.1] * 900, [0.0] * 900),
        ([INF] * 900, [-INF] * 900, [0.0] * 900),
        ([0.9] * 900, [2.0] * 900, [0.0] * 900),
        ([0.9] * 900, [0.1] * 900, [7.0] * 900),
        ([0.9] * 900, [0.1] * 900, [NAN] * 900),
        ([1e9 + 1] * 900, [1e9 - 1] * 900, [1e9] * 900),
    ],
    ids=(
        *("no data", "one unit", "all ties", "constant", "scores that are none", "infinite scores"),
        *("scores outside", "labels outside", "labels that are none", "a billion"),
    ),
)
def test_nothing_is_retrained_on_rows_that_show_nothing(live, better, label):
    found = proof(live, better, label)
    assert found.state == "HOLD"
    assert found.remedy.challenger is None
    json.loads(found.to_json(), parse_constant=lambda text: pytest.fail(f"{text} was told"))
    for each in found.remedy.duels:
        assert not each.beats_champion
        assert each.log_e_champion < math.log(1 / PLAN.policy.alpha)
        assert each.gain is None or -1.0 <= each.gain <= 1.0


def test_rows_that_cannot_be_used_leave_a_proof_nothing_to_compare():
    for rows in (([NAN], [0.1], [0.0]), ([0.9], [0.1], [7.0]), ([0.9], [2.0], [0.0])):
        found = proof(*(each * 900 for each in rows))
        assert {(each.units, each.gain) for each in found.remedy.duels} == {(0, None)}


@pytest.mark.parametrize("change", [{"plan": "0" * 64}, {"metrics": {}}, {"scale": 2**20}])
def test_evidence_of_another_experiment_metric_or_scale_is_refused(change):
    rows = [np.array(each * 900) for each in ([0.9], [0.1], [0.0])]
    wrong = msgspec.structs.replace(paired(*rows), **change)
    with pytest.raises(EvidenceMismatch):
        prove(PLAN, around(), [Contender("recent", wrong, None, {}, 1)], SIGNS)


def test_evidence_of_another_version_is_refused():
    kept = paired(*(np.array(each * 9) for each in ([0.9], [0.1], [0.0]))).to_json()
    with pytest.raises(EvidenceMismatch, match="format"):
        Evidence.from_json(kept.replace(b'"format":1', b'"format":9'))
