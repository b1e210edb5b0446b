from ._agreement import Agreement as Agreement, agreement as agreement
from ._attention import AttentionLogits as AttentionLogits, ValueOutput as ValueOutput
from ._base import AbstractModel as AbstractModel, RidgeLoss as RidgeLoss
from ._columns import AttentionColumns as AttentionColumns
from ._conjugation import SymmetricConjugation as SymmetricConjugation
from ._cumulative import CumulativeHadamard as CumulativeHadamard
from ._deep_linear import DeepLinear as DeepLinear
from ._describe import (
    Description as Description,
    Dimensions as Dimensions,
    Failure as Failure,
    LawStatement as LawStatement,
)
from ._entries import entries as entries
from ._factorisation import Factorisation as Factorisation
from ._hadamard import HadamardProduct as HadamardProduct
from ._radial import Radial as Radial
from ._relu import ReLUNeuron as ReLUNeuron
from ._scale import ScaleInvariant as ScaleInvariant, WeightNorm as WeightNorm
from ._shallow_relu import ShallowReLU as ShallowReLU
from ._softmax import SoftmaxBias as SoftmaxBias, SoftmaxWeights as SoftmaxWeights
from ._symmetric import SymmetricFactorisation as SymmetricFactorisation
