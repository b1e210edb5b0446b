"""Groups and chunks: every cell once, chunks within groups, little padding."""

import numpy as np
from hypothesis import given, strategies as st

from gaugebias.sweep._groups import PADDING, cells_of, default_chunk, groups_of, lay_out


@given(
    depths=st.lists(st.integers(1, 9), min_size=1, max_size=5, unique=True),
    rates=st.integers(1, 40),
    seeds=st.integers(1, 7),
    size=st.integers(1, 50),
)
def test_every_cell_has_one_slot_in_a_chunk_of_its_group(depths, rates, seeds, size):
    points = [{"depth": d, "rate": float(r)} for d in depths for r in range(rates)]
    cells = cells_of(points, range(seeds))
    groups = groups_of(cells, ["rate"])
    assert len(groups) == len(depths)
    layout = lay_out(groups, size)
    real = layout.slots[layout.slots != PADDING]
    assert sorted(real) == list(range(len(cells)))
    for c in range(layout.chunks):
        numbers = [int(n) for n in layout.chunk(c) if n != PADDING]
        assert numbers
        assert {cells[n].values["depth"] for n in numbers} == {depths[layout.group_of[c]]}
    chosen = default_chunk(groups)
    per_group = rates * seeds
    padded = -(-per_group // chosen) * chosen - per_group
    assert 1 <= chosen <= 256 and padded <= max(0, per_group // 4 + 1)


def test_large_groups_are_cut_into_at_least_eight_chunks():
    cells = cells_of([{"rate": float(r)} for r in range(1000)], [0])
    layout = lay_out(groups_of(cells, ["rate"]), default_chunk(groups_of(cells, ["rate"])))
    assert layout.chunks == 8 and np.all(layout.slots[:1000] >= 0)
