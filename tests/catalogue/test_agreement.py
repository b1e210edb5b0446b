"""Three ways to every closed form, at the shapes where formulas degenerate."""

import jax
import pytest

from gaugebias.catalogue import (
    AttentionColumns,
    AttentionLogits,
    CumulativeHadamard,
    DeepLinear,
    Factorisation,
    HadamardProduct,
    Radial,
    ReLUNeuron,
    ScaleInvariant,
    ShallowReLU,
    SoftmaxBias,
    SoftmaxWeights,
    SymmetricConjugation,
    SymmetricFactorisation,
    ValueOutput,
    WeightNorm,
    agreement,
)

# One row, one column, one unit, one head; more columns than rows; layers wider than both
# neighbours, or wide beside wide.
ODD = [
    HadamardProduct((1,), 5),
    CumulativeHadamard(1, 3),
    Factorisation(1, 1, 1),
    Factorisation(5, 1, 1),
    SymmetricFactorisation(1, 1),
    SymmetricFactorisation(4, 1),
    SymmetricFactorisation(2, 4),
    DeepLinear(1, 4),
    DeepLinear((1, 3, 1)),
    DeepLinear((1, 2, 2, 1)),
    DeepLinear((2, 1, 1, 3)),
    DeepLinear((4, 2, 3, 2)),
    ReLUNeuron(1),
    ShallowReLU(1, 1, 1),
    ShallowReLU(3, 1, 4),
    AttentionLogits(1, 1, 1),
    AttentionColumns(3, 1, context=1),
    ValueOutput(4, 1, 1, 2),
    ScaleInvariant(2),
    WeightNorm(2),
    SoftmaxBias(2),
    SoftmaxWeights(2, 1),
    Radial(2),
    SymmetricConjugation(2),
]
QUICK = (Factorisation(1, 1, 1), SymmetricFactorisation(1, 1), ShallowReLU(1, 1, 1))


@pytest.mark.parametrize(
    "model",
    [m if m in QUICK else pytest.param(m, marks=pytest.mark.slow) for m in ODD],
    ids=repr,
)
def test_odd_shapes(model):
    for seed in (3, 4):
        lines = agreement(model, model.init(jax.random.key(seed), balanced=False))
        assert [line.quantity for line in lines] == ["log det S", "log det K", "log V"]
        assert all(line.holds for line in lines), lines
    # The same test refuses a closed form that is off by 1e-5 of itself.
    off = lines[1]._replace(closed=lines[1].closed + 1e-5 * max(1.0, abs(lines[1].closed)))
    assert not off.holds
