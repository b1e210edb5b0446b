"""The catalogue's entries: one small instance of every model, by name."""

from ._attention import AttentionLogits, ValueOutput
from ._base import AbstractModel
from ._columns import AttentionColumns
from ._conjugation import SymmetricConjugation
from ._cumulative import CumulativeHadamard
from ._deep_linear import DeepLinear
from ._factorisation import Factorisation
from ._hadamard import HadamardProduct
from ._radial import Radial
from ._relu import ReLUNeuron
from ._scale import ScaleInvariant, WeightNorm
from ._shallow_relu import ShallowReLU
from ._softmax import SoftmaxBias, SoftmaxWeights
from ._symmetric import SymmetricFactorisation


def entries() -> dict[str, AbstractModel]:
    """Name -> a small instance, the rows of `gaugebias catalogue`.

    !!! example

        ```python
        from gaugebias.catalogue import entries

        entries()["hadamard"].description.gram                 # sum_i log(2 |w_i|)
        ```
    """
    return {
        "hadamard": HadamardProduct((2,), 2),
        "hadamard-deep": HadamardProduct((2,), 3),
        "hadamard-cumulative": CumulativeHadamard(3),
        "factors": Factorisation(2, 2, 2),
        "factors-rectangular": Factorisation(3, 2, 2),
        "factors-low-rank": Factorisation(4, 3, 2),
        "factors-symmetric": SymmetricFactorisation(3, 3),
        "linear": DeepLinear(2, 3),
        "linear-bottleneck": DeepLinear((3, 2, 2, 3)),
        "linear-wide": DeepLinear((2, 4, 2)),
        "linear-not-closed": DeepLinear((3, 4, 2)),
        "relu-neuron": ReLUNeuron(3),
        "relu-shallow": ShallowReLU(inputs=2, units=3, outputs=2),
        "attention": AttentionLogits(4, head=2, heads=2),
        "attention-columns": AttentionColumns(4, columns=2),
        "value-output": ValueOutput(3, 2, head=2, heads=2),
        "normalisation": ScaleInvariant(4),
        "weight-norm": WeightNorm(3),
        "softmax-bias": SoftmaxBias(3),
        "softmax-weights": SoftmaxWeights(3, 2),
        "radial": Radial(3),
        "conjugation": SymmetricConjugation(3),
    }
