from ._base import (
    AbstractModel as AbstractModel,
    Dimensions as Dimensions,
    LawStatement as LawStatement,
    RidgeLoss as RidgeLoss,
)
from ._conjugation import SymmetricConjugation as SymmetricConjugation
from ._deep_linear import DeepLinear as DeepLinear
from ._factorisation import Factorisation as Factorisation
from ._hadamard import HadamardProduct as HadamardProduct
from ._radial import Radial as Radial
from ._relu import ReLUNeuron as ReLUNeuron
from ._symmetric import SymmetricFactorisation as SymmetricFactorisation
