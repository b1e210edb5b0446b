"""The numbers that have to come out: `python -m benchmarks.deterministic_bias` by sections."""

import pytest

from benchmarks.deterministic_bias import sections

# The time of a solve depends on what else the machine does: the command measures it.
PARTS = {name: part for name, part in sections().items() if name != "newton-time"}


@pytest.mark.slow
@pytest.mark.parametrize("name", PARTS)
def test_section(name):
    rows = PARTS[name]()
    assert rows.ok, rows.text(name)
