from ._agreement import Agreement as Agreement, agreement as agreement
from ._base import AbstractModel as AbstractModel, RidgeLoss as RidgeLoss
from ._describe import (
    Description as Description,
    Dimensions as Dimensions,
    Failure as Failure,
    LawStatement as LawStatement,
)
from ._entries import entries as entries
from ._models._attention import AttentionLogits as AttentionLogits, ValueOutput as ValueOutput
from ._models._columns import AttentionColumns as AttentionColumns
from ._models._conjugation import SymmetricConjugation as SymmetricConjugation
from ._models._cumulative import CumulativeHadamard as CumulativeHadamard
from ._models._deep_linear import DeepLinear as DeepLinear
from ._models._factorisation import Factorisation as Factorisation
from ._models._hadamard import HadamardProduct as HadamardProduct
from ._models._radial import Radial as Radial
from ._models._relu import ReLUNeuron as ReLUNeuron
from ._models._scale import ScaleInvariant as ScaleInvariant, WeightNorm as WeightNorm
from ._models._shallow_relu import ShallowReLU as ShallowReLU
from ._models._softmax import SoftmaxBias as SoftmaxBias, SoftmaxWeights as SoftmaxWeights
from ._models._symmetric import SymmetricFactorisation as SymmetricFactorisation
