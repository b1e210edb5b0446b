import pytest

from gaugebias.verdicts import family_false_alarm


def test_union_bound_and_exact_rate():
    assert family_false_alarm(20, 1e-3) == pytest.approx(0.02)
    assert family_false_alarm(20, 1e-3, 1e-3) == pytest.approx(2e-5)
    assert family_false_alarm(5000, 1e-3) == 1.0
    exact = family_false_alarm(20, 1e-3, independent=True)
    assert exact == pytest.approx(1 - 0.999**20) and exact < 0.02
    tiny = family_false_alarm(2, 1e-9, 1e-9, independent=True)
    assert tiny == pytest.approx(2e-18, rel=1e-6)


def test_bad_numbers_are_named():
    with pytest.raises(ValueError, match="`n_tests`"):
        family_false_alarm(0)
    with pytest.raises(ValueError, match="`level`"):
        family_false_alarm(1, 0.0)
    with pytest.raises(ValueError, match="`retest_level`"):
        family_false_alarm(1, 1e-3, 2.0)
