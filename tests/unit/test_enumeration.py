"""The proof holds for what is exact, and fails for what is not: a check that cannot fail proves nothing."""

import json
import math
from fractions import Fraction

import pytest
from click.testing import CliRunner

from harness.cli.policy import policy
from policies.accumulators import TernaryCounts
from policies.enumeration import betting, checked, enumerated, mcnemar, ternary_laws, three_sums
from policies.evalues import betting_ternary, fan, grid, mixture, sequential_mcnemar
from policies.nested import checked_ends, ends_of, nested


def test_every_exact_process_holds_at_every_step():
    found = enumerated(4)
    assert all(each.holds for each in found)
    assert [each.largest == "1" for each in found] == [True, True, True, False]
    assert sum(each.steps for each in found) > 1_000


BROKEN = {
    "pays a little too much": lambda counts, null: betting(counts, null) + Fraction(counts[0], 10**9),
    "tests a lower null": lambda counts, null: betting(counts, null - Fraction(1, 100)),
    # The sequential McNemar test is about the sign alone: a mean below its null may pay.
    "is two-sided": lambda counts, _: mcnemar(counts, Fraction(0)),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_process_that_is_no_e_value_is_found(name):
    assert not checked(name, BROKEN[name], ternary_laws(), 3).holds


def test_what_is_enumerated_is_what_gates():
    bets = grid(16, 0.0125, 0.25)
    for b, z, c in ((3, 5, 1), (0, 0, 4), (12, 0, 0)):
        for null in (Fraction(-1, 100), Fraction(3, 10)):
            close = float(betting((b, z, c), null)), float(three_sums((b, z, c), null))
            gate = mixture(betting_ternary(TernaryCounts(b, z, c), float(null), bets))
            sums = mixture(fan(b + z + c, b - c, b + c, float(null), bets))
            assert abs(close[0] / math.exp(gate) - 1) < 1e-3
            assert abs(close[1] / math.exp(sums) - 1) < 1e-3
        assert (
            abs(float(mcnemar((b, z, c), Fraction(0))) / math.exp(sequential_mcnemar(b, c, 2.0)) - 1) < 1e-12
        )


def test_the_command_prints_the_proof():
    found = CliRunner().invoke(policy, ["prove", "--outcomes", "2", "--json"])
    assert found.exit_code == 0
    told = json.loads(found.output)
    assert all(each["holds"] for each in [*told["processes"], *told["sequences"]])
    text = CliRunner().invoke(policy, ["prove", "--outcomes", "1"]).output
    assert text.count("holds") == 7
    assert text.count("nested in alpha") == 3


def test_every_sequence_is_nested_in_alpha_in_every_sample():
    found = nested(5)
    assert all(each.holds for each in found)
    assert {each.samples for each in found} == {56}


@pytest.mark.parametrize(
    "wrong",
    [
        lambda low, high, alpha: (low - alpha, high),  # a larger alpha reaches further
        lambda low, high, alpha: (low, high + alpha),
        lambda low, high, alpha: (max(low, 0.5), high),  # it leaves the mean out
    ],
)
def test_ends_that_are_not_nested_are_found(wrong):
    right = ends_of("betting grid over counts")
    assert not checked_ends("wrong", lambda counts, a: wrong(*right(counts, a), a), 3).holds
