"""The proof of retraining by example: each of its seven parts says no alone, and drift never says yes."""

import itertools

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies import Evidence, Verdict, decide, plan_from
from policies.contenders import Contender
from policies.diagnosis import Signs
from policies.errors import ColumnsError, EvidenceMismatch, PlanError
from policies.gates import Gate
from policies.recalibration import Recalibration, recalibrate
from policies.retrain_rule import RetrainRule
from policies.retraining import Proof
from policies.retraining import prove as prove_under
from policies.seen import Rivalry
from tests.support.pairs import integrity
from tests.support.scenarios import PLAN, around, paired

RNG = np.random.default_rng(150)
ROWS = 3000
RISK = RNG.random(ROWS)
LABEL = (RNG.random(ROWS) < RISK).astype(float)
GOOD, MIDDLE, BAD = RISK, 0.5 + 0.5 * (RISK - 0.5), np.full(ROWS, 0.5)
RULE = RetrainRule(margin=0.002, slice_margin=0.05, cost=100.0, decisions_per_day=1000.0)
QUIET = Signs(features="ok", calibration=(0.0, 0.8))
DRIFTED = Signs(features="drift", calibration=(0.0, 0.8))


def prove(rule, facts, contenders, signs) -> Proof:
    """The proof of this evidence under the plan that registers the rule."""
    plan = msgspec.structs.replace(PLAN, retraining=rule)
    moved = [
        msgspec.structs.replace(
            each,
            champion=under(each.champion, plan),
            rival=None if each.rival is None else under(each.rival, plan),
            slices={name: under(evidence, plan) for name, evidence in each.slices.items()},
        )
        for each in contenders
    ]
    return prove_under(plan, facts, moved, signs)


def under(evidence, plan) -> Evidence:
    return msgspec.structs.replace(evidence, plan=plan.digest)


def rivals(recent=GOOD, whole=MIDDLE, again=BAD, live=BAD, until=1000, slices=("all of it",)):
    given = {"recent": recent, "all": whole, "recalibrated": again}
    return [
        Contender(
            name=name,
            champion=paired(live, scores, LABEL),
            rival=None if name == "recalibrated" else paired(again, scores, LABEL),
            slices={each: paired(live, scores, LABEL) for each in slices},
            trained_until=until,
        )
        for name, scores in given.items()
    ]


CONTENDERS = rivals()


def state(proof: Proof, part: int) -> str:
    return proof.parts[part - 1].state


def test_all_seven_parts_pass_and_retraining_is_proven():
    proof = prove(RULE, around(), rivals(), QUIET)
    assert [part.state for part in proof.parts] == ["passes"] * 7
    assert (proof.state, proof.remedy.action, proof.remedy.challenger) == ("RETRAIN", "retrain", "recent")
    assert proof.remedy.diagnosis.change == "concept"
    assert proof.to_json() == prove(RULE, around(), rivals(), QUIET).to_json()
    assert msgspec.json.decode(proof.to_json(), type=Proof) == proof
    assert len(proof.digest) == 64


@pytest.mark.parametrize(
    ("facts", "part", "result"),
    [
        ({"broken": ("x: 9 of 9 values are no float64.",)}, 1, ("INVALID", "fix the data")),
        ({"skewed": 500}, 1, ("INVALID", "fix the data")),
        ({"replayed": None, "skewed": None}, 1, ("HOLD", "wait")),
        ({"labelled": 700}, 2, ("HOLD", "wait")),
        ({"matured": 0, "labelled": 0}, 2, ("HOLD", "wait")),
        ({"label_bias": 0.2, "label_bias_chance": 1e-6}, 2, ("HOLD", "none")),
        ({"gap_us": 0}, 3, ("INVALID", "none")),
        ({"read_before": True}, 3, ("INVALID", "none")),
        ({"heldout_start": 900}, 3, ("INVALID", "none")),
        ({"heldout_stop": 1001}, 3, ("INVALID", "none")),
        ({"days_since": 2.0}, 7, ("HOLD", "wait")),
    ],
)
def test_each_fact_alone_is_a_no_with_its_part(facts, part, result):
    proof = prove(RULE, around(**facts), rivals(), QUIET)
    assert (proof.state, proof.remedy.action) == result
    assert proof.remedy.challenger is None
    assert [number for number in range(1, 8) if state(proof, number) != "passes"] == [part]
    assert proof.parts[part - 1].reason


@pytest.mark.parametrize(
    ("contenders", "rule", "part"),
    [
        (rivals(recent=BAD, whole=BAD), RULE, 4),
        (rivals()[:2], RULE, 5),
        (rivals(again=GOOD), RULE, 5),
        (rivals(), msgspec.structs.replace(RULE, cost=1e9), 7),
        (rivals(), msgspec.structs.replace(RULE, margin=0.3), 4),
    ],
)
def test_each_comparison_alone_is_a_no_with_its_part(contenders, rule, part):
    proof = prove(rule, around(), contenders, QUIET)
    assert proof.state == "HOLD"
    assert state(proof, part) != "passes"


def test_a_guarded_slice_that_suffers_stops_it_and_a_small_one_waits():
    hurt = rivals()
    hurt[0] = msgspec.structs.replace(hurt[0], slices={"night": paired(GOOD, BAD, LABEL)})
    assert state(prove(RULE, around(), hurt, QUIET), 6) == "fails"
    few = rivals()
    few[0] = msgspec.structs.replace(few[0], slices={"night": paired(BAD[:5], GOOD[:5], LABEL[:5])})
    assert state(prove(RULE, around(), few, QUIET), 6) == "waits"


def test_when_recalibration_closes_the_gap_retraining_is_not_the_answer():
    proof = prove(RULE, around(), rivals(again=GOOD), QUIET)
    assert (proof.state, proof.remedy.action, proof.remedy.challenger) == (
        "HOLD",
        "recalibrate",
        "recalibrated",
    )
    assert proof.remedy.diagnosis.change == "prior"


@pytest.mark.parametrize("signs", [DRIFTED, Signs(features="drift", calibration=(0.3, 1e-9)), Signs()])
def test_input_drift_alone_never_retrains(signs):
    proof = prove(RULE, around(), rivals(recent=BAD, whole=BAD), signs)
    assert proof.remedy.action in ("wait", "none")
    assert prove(RULE, around(), [], signs).state == "HOLD"


def test_signs_explain_and_decide_nothing():
    changes = {}
    for signs in (QUIET, DRIFTED, Signs(features="ok", calibration=(0.2, 1e-6)), Signs()):
        proofs = [prove(RULE, around(), each, signs) for each in (rivals(), rivals(recent=BAD, whole=BAD))]
        assert [proof.remedy.action for proof in proofs] == ["retrain", "wait"]
        changes[signs] = proofs[1].remedy.diagnosis.change
    assert list(changes.values()) == ["none", "covariate", "prior", "not enough data"]
    assert DRIFTED.suspect
    assert not QUIET.suspect
    broken = prove(RULE, around(broken=("x",)), rivals(), DRIFTED)
    assert broken.remedy.diagnosis.change == "broken data"


@settings(deadline=None, max_examples=40)
@given(
    st.fixed_dictionaries(
        {
            "skewed": st.sampled_from([0, 1000]),
            "labelled": st.integers(0, 1000),
            "read_before": st.booleans(),
            "gap_us": st.sampled_from([0, 2 * 86_400 * 10**6]),
            "days_since": st.sampled_from([None, 1.0, 30.0]),
        }
    ),
    st.sampled_from(["ok", "drift", "not enough data"]),
)
def test_retrain_is_said_only_when_every_part_passes(facts, features):
    proof = prove(RULE, around(**facts), CONTENDERS, Signs(features=features))
    assert len(proof.parts) == 7
    assert all(isinstance(part, Gate) and part.reason and part.rule for part in proof.parts)
    assert (proof.state == "RETRAIN") == all(part.state == "passes" for part in proof.parts)


def test_evidence_of_another_plan_and_contenders_twice_are_refused():
    other = plan_from({"metrics": [{"name": "brier"}]})
    strange = msgspec.structs.replace(CONTENDERS[0], champion=Evidence.empty(other))
    with pytest.raises(EvidenceMismatch, match="the plan"):
        prove_under(PLAN, around(), [strange], QUIET)
    with pytest.raises(PlanError, match="contenders"):
        prove(RULE, around(), [CONTENDERS[0]] * 2, QUIET)
    with pytest.raises(PlanError, match="retraining"):
        prove_under(other, around(), [], QUIET)


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"metrics": [{"name": "brier"}, {"name": "log_loss"}]}, "metrics"),
        ({"metrics": [{"name": "accuracy", "positive_decision": "yes"}]}, "metrics.name"),
        ({"metrics": [{"name": "latency_over", "slo_us": 5}]}, "metrics.name"),
        ({"metrics": [{"name": "brier", "identification": "blocked"}]}, "metrics.name"),
        ({"retraining": {"margin": 1.5}}, "retraining.margin"),
        ({"retraining": {"margin": 0.1, "margn": 1}}, "retraining.margn"),
        ({"slices": {"columns": ["x"], "margin": 0.1}}, "slices.margin"),
        ({"policy": {}}, "retraining"),
        ({"retraining": msgspec.UNSET}, "retraining"),
    ],
)
def test_a_plan_that_no_proof_can_read_is_refused_with_its_key(changes, key):
    whole = {
        "metrics": [{"name": "brier"}],
        "policy": {"name": "retraining"},
        "retraining": {"margin": 0.01},
    }
    assert plan_from(whole).retraining == RetrainRule(margin=0.01)
    with pytest.raises(PlanError) as refused:
        plan_from({name: value for name, value in (whole | changes).items() if value is not msgspec.UNSET})
    assert refused.value.key == key


def test_a_contender_that_failed_on_many_decisions_does_not_win_on_the_rest():
    failing = msgspec.structs.replace(CONTENDERS[0], failed=200, given=1000)
    proof = prove(RULE, around(), [failing, *CONTENDERS[1:]], QUIET)
    assert proof.remedy.challenger == "all"
    assert "failed on 200 of 1000" in proof.parts[3].reason
    alone = prove(RULE, around(), [failing, CONTENDERS[2]], QUIET)
    assert (alone.state, state(alone, 4)) == ("HOLD", "waits")


def seen_of(evidence, signs, *, contenders=None, **counted):
    moved = [
        msgspec.structs.replace(
            each,
            champion=under(each.champion, LOOKED),
            rival=None if each.rival is None else under(each.rival, LOOKED),
            slices={name: under(part, LOOKED) for name, part in each.slices.items()},
        )
        for each in (CONTENDERS if contenders is None else contenders)
    ]
    rivalry = Rivalry(around(), moved, signs)
    counts = integrity(ROWS, **counted)
    return decide(under(evidence, LOOKED), LOOKED, integrity=counts, rivalry=rivalry)


LOOKED = msgspec.structs.replace(PLAN, retraining=RULE)
OF_RECENT = CONTENDERS[0].champion


def test_the_policy_retrains_when_its_figures_may_be_read_and_every_part_passes():
    found = seen_of(OF_RECENT, QUIET)
    assert found.state == "RETRAIN"
    assert len(found.reasons) == 7
    assert (found.retraining.action, found.retraining.challenger) == ("retrain", "recent")
    assert Verdict.from_json(found.to_json()) == found
    assert seen_of(OF_RECENT, QUIET).to_json() == found.to_json()


def test_what_does_not_hold_around_the_proof_holds_it_back():
    few = seen_of(OF_RECENT, QUIET, failed=ROWS)
    assert (few.state, few.retraining.action, few.retraining.challenger) == ("HOLD", "wait", None)
    noisy = {"rows": ROWS, "decisions_compared": ROWS, "differing_decisions": ROWS, "differing_scores": ROWS}
    wrong = seen_of(OF_RECENT, QUIET, noise_floor=noisy)
    assert wrong.state == "INVALID"
    assert wrong.retraining is msgspec.UNSET


@pytest.mark.parametrize("signs", [DRIFTED, QUIET, Signs(features="drift", calibration=(0.5, 0.0))])
def test_no_sign_moves_the_policy(signs):
    losers = rivals(recent=BAD, whole=BAD)
    assert seen_of(losers[0].champion, signs, contenders=losers).state == "HOLD"
    assert seen_of(OF_RECENT, signs).state == "RETRAIN"


def test_a_guardrail_metric_guards_the_winner_by_its_own_margin():
    guarded = plan_from(
        {
            "metrics": [
                {"name": "brier"},
                {"name": "absolute_error", "role": "guardrail", "margin": 0.05, "bound": 1.0},
            ],
            "policy": {"name": "retraining", "alpha": 0.01},
            "retraining": {"margin": 0.002},
        }
    )
    given = {"recent": GOOD, "all": MIDDLE, "recalibrated": BAD}
    contenders = [
        Contender(
            name=name,
            champion=paired(BAD, scores, LABEL, guarded),
            rival=None if name == "recalibrated" else paired(BAD, scores, LABEL, guarded),
            slices={},
            trained_until=1,
        )
        for name, scores in given.items()
    ]
    proof = prove_under(guarded, around(), contenders, QUIET)
    assert proof.remedy.duels[0].slices == {"absolute_error": "not worse"}
    assert proof.state == "RETRAIN"


def test_no_rows_hold_without_a_figure():
    empty = Evidence.empty(PLAN)
    nobody = [
        Contender(n, empty, None if n == "recalibrated" else empty, {}, 1) for n in ("recent", "recalibrated")
    ]
    proof = prove(RULE, around(), nobody, QUIET)
    assert (proof.state, proof.remedy.action) == ("HOLD", "wait")
    assert all(each.gain is None and each.low is None for each in proof.remedy.duels)


@pytest.mark.parametrize(
    "changes",
    [
        {"margin": -1.0},
        {"slice_margin": 0.0},
        {"min_coverage": 2.0},
        {"cost": float("inf")},
    ],
)
def test_a_rule_out_of_range_is_refused(changes):
    with pytest.raises(PlanError, match="retraining"):
        RetrainRule(**{"margin": 0.01, **changes})


def test_recalibration_finds_intercept_and_slope():
    rng = np.random.default_rng(3)
    scores = rng.beta(2, 2, 50_000)
    truth = Recalibration(0.7, 0.5).apply(scores)
    found = recalibrate(scores, (rng.random(scores.size) < truth).astype(float))
    assert found.intercept == pytest.approx(0.7, abs=0.05)
    assert found.slope == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(
    ("scores", "labels"),
    list(
        itertools.product(
            [[0.0, 1.0], [0.5, 0.5], [1e-300, 0.2]], [[0.0, 0.0], [1.0, 1.0], [1.0, 0.0], [0.0, 1.0]]
        )
    ),
)
def test_recalibration_of_hopeless_rows_is_finite(scores, labels):
    found = recalibrate(np.array(scores * 200), np.array(labels * 200))
    applied = found.apply(np.array([0.0, 0.3, 1.0]))
    assert np.isfinite(found).all()
    assert ((applied >= 0.0) & (applied <= 1.0)).all()


def test_recalibration_refuses_what_is_no_probability_or_label():
    for scores, labels in (([1.2], [1.0]), ([np.nan], [1.0]), ([0.5], [np.nan]), ([0.5], [0.3])):
        with pytest.raises(ColumnsError):
            recalibrate(np.array(scores), np.array(labels))
