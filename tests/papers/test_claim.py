"""Verdicts on numbers."""

import math

import pytest

from gaugebias import papers


@pytest.mark.parametrize(
    ("value", "error", "verdict"),
    [
        (0.5, 0.0, "supported"),
        (0.5, 0.4, "supported"),
        (0.5, 0.6, "undecided"),
        (1.5, 0.4, "not supported"),
        (1.5, 0.6, "undecided"),
        (-1.0, 0.0, "not supported"),
        (math.nan, 0.0, "undecided"),
        (math.inf, 0.0, "not supported"),
    ],
)
def test_judge(value, error, verdict):
    assert papers.judge(value, 0.0, 1.0, error=error) == verdict


def test_one_sided_and_exact_bounds():
    assert papers.judge(0.0, 0.0, 0.0) == "supported"
    assert papers.judge(0.3, -math.inf, 0.5, error=0.1) == "supported"
    assert papers.judge(0.3, -math.inf, 0.5, error=math.inf) == "undecided"


def row(verdict, expected="supported"):
    return papers.Claim("name", "statement", "published", "1", verdict, expected)


def test_exit_codes():
    good, bad, open_ = row("supported"), row("not supported"), row("undecided")
    known = row("not supported", "not supported")
    assert papers.exit_code([good, known]) == 0
    assert papers.exit_code([good, open_]) == 3
    assert papers.exit_code([open_, bad]) == 1
    assert papers.exit_code([row("supported", "not supported")]) == 1


def test_what_bad_input_says():
    with pytest.raises(ValueError, match="`kind` is 'rumour'"):
        papers.Claim("a", "b", "rumour", "1", "supported")
    with pytest.raises(ValueError, match="`expected` is 'maybe'"):
        row("supported", "maybe")
    with pytest.raises(ValueError, match="`low` and `high`"):
        papers.judge(0.0, 1.0, 0.0)
    with pytest.raises(ValueError, match="`error` must be"):
        papers.judge(0.0, 0.0, 1.0, error=-1.0)
