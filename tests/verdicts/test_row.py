import pytest

from gaugebias.verdicts import CONSISTENT, REJECTED, verdict_word


def test_the_rule_at_its_edges():
    assert verdict_word(1.0) == verdict_word(CONSISTENT) == "consistent"
    assert verdict_word(0.999e-3) == verdict_word(REJECTED) == "undecided"
    assert verdict_word(0.999e-6) == verdict_word(0.0) == "rejected"


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan")])
def test_no_verdict_without_a_probability(p):
    with pytest.raises(ValueError, match="`p_value`"):
        verdict_word(p)
