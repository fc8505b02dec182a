"""The words of the verdict, state by state, as the specification gives them."""

import re
from dataclasses import replace

import pytest

from harness.report.facts import facts
from harness.report.findings import Promote, TooFew, Undecided, Verdict
from harness.report.sentences import headline, paragraph
from tests.support.report_figures import gates, metric, promote
from tests.support.report_states import STATES, hold_too_few

H1 = {
    "promote": "hgb-apr:1 predicts late flights better than rule-jan:1, and every guardrail holds.",
    "hold-too-few": "Too early to decide: the policy asks for 35 matured days, and 20 have matured.",
    "hold-undecided": "Not decided: the Brier difference may be anything from −0.0033 to +0.0039.",
    "hold-waiting": "Not decided: coverage, used of eligible does not hold yet.",
    "reject": "hgb-apr:1 is worse than rule-jan:1: the Brier difference is beyond its limit.",
    "retrain": "hgb-apr:1 learned from newer decisions and beats rule-jan:1: retrain.",
    "invalid": "No verdict on quality: hgb-apr:1 was trained on decisions that it is evaluated on.",
    "not-identifiable": "The log cannot say which model is better: "
    "the outcome is known only where the champion did not re-book.",
    "no-look": "No look yet: the first is on 8 May at 20:00, when about 5,300 decisions will have matured.",
}
SAID = {
    "promote": (
        "Its Brier score is lower by 0.0036 (95 % confidence sequence: 0.0017 to 0.0055 "
        "lower), 1.9 % of the champion’s 0.1884. The answers differ in 12.5 % of decisions. "
        "One carrier, FL, is predicted worse."
    ),
    "hold-too-few": (
        "About 15 more are needed; at one a day they will have matured by 6 June. So far the "
        "Brier score is lower by 0.0009 (from 0.0036 lower to 0.0018 higher), and every "
        "guardrail holds."
    ),
    "hold-undecided": (
        "About 21 more matured days are needed if the difference stays at +0.0003, by 8 June;"
        " after look 12 the experiment ends as HOLD."
    ),
    "reject": ("The Brier difference is +0.0061 (+0.0041 to +0.0081); the limit is +0.0020."),
    "retrain": (
        "Its Brier score is better by 0.0036 a decision, by 0.0017 for sure, and better than that of the "
        "champion recalibrated. What changed is the concept."
    ),
    "invalid": (
        "Its training range ends at position 253,480; the evaluated range begins at 216,377. "
        "A model is never evaluated on positions it was trained on, so no metric is shown."
    ),
    "not-identifiable": (
        "In 6,204 of 41,870 decisions (14.8 %) the models act differently and the outcome of "
        "the challenger’s action was never seen. Any difference from −0.0310 to +0.0442 "
        "agrees with the log; the margin is +0.0050."
    ),
    "no-look": (
        "The experiment is registered and the shadow follows the log: 641 recorded, 641 "
        "scored, none old enough to count."
    ),
}


def plain(markup: str) -> str:
    return re.sub(r"<[^>]+>", "", markup).replace("\u202f", " ").replace("\u00a0", " ")


@pytest.mark.parametrize("state", list(H1))
def test_the_sentence(state: str) -> None:
    assert plain(headline(STATES[state]())) == H1[state]


@pytest.mark.parametrize("state", list(SAID))
def test_the_paragraph(state: str) -> None:
    assert plain(paragraph(STATES[state]())) == SAID[state]


def test_model_names_never_break() -> None:
    assert '<span class="nb">hgb-apr:1</span>' in headline(promote())
    assert '<span class="nb">hgb-apr:1</span>' in headline(STATES["invalid"]())


def test_not_worse_alone_is_said_as_that() -> None:
    data = replace(promote(), verdict=Verdict("PROMOTE", Promote(superior=False, flipped=None)))
    assert (
        plain(headline(data))
        == "hgb-apr:1 is not worse than rule-jan:1 by more than 0.0020, and every guardrail holds."
    )


def test_without_a_registered_guardrail_none_is_said_to_hold() -> None:
    data = replace(promote(), gates=tuple(gate for gate in gates() if gate.group != "guardrail"))
    assert plain(headline(data)).endswith("and every gate holds.")


def test_a_guardrail_that_waits_is_named() -> None:
    data = replace(hold_too_few(), gates=gates(decisions_flipped="waits"))
    assert plain(paragraph(data)).endswith("and decisions flipped does not hold.")


def test_where_higher_is_better_the_sign_turns() -> None:
    better = replace(promote().looks[-1], difference=0.012, low=0.004, high=0.020)
    data = replace(promote(), metric=metric(name="accuracy", direction="higher"), looks=(better,))
    assert plain(paragraph(data)).startswith(
        "Its accuracy is higher by 0.0120 (95 % confidence sequence: 0.0040 to 0.0200 higher)"
    )


def test_what_will_not_decide_gets_no_date() -> None:
    data = replace(STATES["hold-undecided"](), verdict=Verdict("HOLD", Undecided(None, "days", None, 12)))
    assert plain(paragraph(data)).startswith("More of the same data will not decide it.")


def test_decisions_are_counted_with_their_rate() -> None:
    finding = TooFew(52_500, 49_388, "decisions", 905.0, promote().time)
    data = replace(hold_too_few(), verdict=Verdict("HOLD", finding))
    assert plain(paragraph(data)).startswith(
        "About 3,100 more are needed; at 900 a day they will have matured by"
    )


@pytest.mark.parametrize("state", list(STATES))
def test_four_facts_and_the_last_says_who_does_what(state: str) -> None:
    found = facts(STATES[state]())
    assert len(found) == 4
    assert found[0][0] == "Compared"
    assert found[-1][0] == "Next"
    assert all(lines for _, lines in found)


@pytest.mark.parametrize("state", ["hold-too-few", "hold-undecided", "hold-waiting"])
def test_after_its_window_a_hold_promises_nothing(state: str) -> None:
    data = replace(STATES[state](), window_over=True, next_look=None)
    said = plain(headline(data)) + plain(paragraph(data))
    assert said.endswith("The window is over; it ends as HOLD.")
    assert "needed" not in said
    assert "early" not in said
    lines = [[plain(line) for line in each] for _, each in facts(data)]
    assert lines[-1] == ["the window is over;", "it ends as HOLD"]
    assert not any("next on" in line for line in lines[2])


def test_a_recorded_promotion_is_said_with_its_position() -> None:
    made = promote()
    data = replace(made, verdict=replace(made.verdict, approvals=(1, 1), promoted=344_501))
    assert [plain(line) for line in facts(data)[-1][1]] == [
        "the promotion is recorded at 344,501;",
        "recorders report it",
    ]
