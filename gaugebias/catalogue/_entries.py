"""The catalogue's entries: one small instance of every model, by name."""

from ._base import AbstractModel
from ._models._attention import AttentionLogits, ValueOutput
from ._models._columns import AttentionColumns
from ._models._conjugation import SymmetricConjugation
from ._models._cumulative import CumulativeHadamard
from ._models._deep_linear import DeepLinear
from ._models._factorisation import Factorisation
from ._models._hadamard import HadamardProduct
from ._models._radial import Radial
from ._models._relu import ReLUNeuron
from ._models._scale import ScaleInvariant, WeightNorm
from ._models._shallow_relu import ShallowReLU
from ._models._softmax import SoftmaxBias, SoftmaxWeights
from ._models._symmetric import SymmetricFactorisation


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
