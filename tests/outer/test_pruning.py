"""What stands badly ends early; what is best never does."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thetastar.outer import pruning
from thetastar.outer.pruning import Judge, Pruned
from thetastar.watch import Watch

SHARES = [0.05, 0.2, 0.4, 0.6, 0.8, 1.0]


def curve(*values):
    return [list(pair) for pair in zip(SHARES, values, strict=False)]


def ended(rule, own, others, higher=True):
    """The number of looks after which a curve is ended; None where it goes to its end."""
    return next((n for n in range(1, len(own) + 1) if rule(own[:n], others, higher)), None)


GOOD = [curve(*(0.5 + 0.05 * k + 0.01 * n for k in range(6))) for n in range(8)]
BAD = curve(0.1, 0.1, 0.1, 0.1, 0.1, 0.1)


@pytest.mark.parametrize(("name", "looks"), [("median", 2), ("halving", 2), ("none", None)])
def test_a_planted_bad_curve_ends_at_the_first_look_that_counts(name, looks):
    assert ended(pruning.RULES[name], BAD, GOOD) == looks


@pytest.mark.parametrize("name", ["median", "halving"])
def test_less_is_better_turns_the_rule_round(name):
    rule = pruning.RULES[name]
    turned = [[[share, -value] for share, value in one] for one in GOOD]
    assert ended(rule, [[share, -value] for share, value in BAD], turned, higher=False) == 2
    assert ended(rule, GOOD[-1], turned, higher=False) == 2


@pytest.mark.parametrize("name", ["median", "halving"])
def test_nothing_is_ended_while_there_is_little_to_compare_with(name):
    assert ended(pruning.RULES[name], BAD, GOOD[:3]) is None


def test_the_median_is_that_of_the_best_so_far_at_this_share():
    others = [curve(v, v, 0.9, 0.9) for v in (0.1, 0.2, 0.3, 0.4, 0.5)]  # at 20% the median of the best so far is 0.3
    assert pruning.median(curve(0.29, 0.29), others, True) == "below the median of 5 trials after 20% of the budget"
    assert pruning.median(curve(0.31, 0.29), others, True) == ""
    assert pruning.median(curve(0.31, 0.29, 0.89), others, True) != ""


@given(st.lists(st.lists(st.floats(-1, 1), min_size=6, max_size=6), min_size=1, max_size=15), st.booleans())
def test_what_is_nowhere_worse_than_the_others_is_never_ended(values, higher):
    """Whatever came before, in whatever order: the best at every look goes to its end."""
    others = [curve(*one) for one in values]
    pick = max if higher else min
    leading = curve(*(pick(one[k] for one in values) for k in range(6)))
    for rule in pruning.RULES.values():
        assert ended(rule, leading, others, higher) is None


def test_the_judge_keeps_the_curve_and_ends_what_is_not_finite():
    judge = Judge(Watch(), "accuracy", lambda seen: "enough" if len(seen) == 2 else "")
    judge.step(1, 10)
    judge.row({"loss": 1.0})
    judge.row({"valid.accuracy": 0.5})
    judge.step(5, 10)
    with pytest.raises(Pruned, match="enough"):
        judge.row({"valid.accuracy": 0.75})
    assert judge.curve == [[0.1, 0.5], [0.5, 0.75]]
    with pytest.raises(Pruned, match="not finite after 50%"):
        judge.row({"valid.accuracy": math.nan})
