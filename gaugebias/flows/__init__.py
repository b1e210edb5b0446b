"""The limit of no noise: parametrisations, mirror potentials, exact trajectories, certificates."""

from ._difference import DifferenceEntropy as DifferenceEntropy, PowerEntropy as PowerEntropy
from ._elementwise import (
    AbstractElementwise as AbstractElementwise,
    Reparametrised as Reparametrised,
)
from ._entropy import (
    HyperbolicEntropy as HyperbolicEntropy,
    decayed_entropy as decayed_entropy,
    psi_alpha as psi_alpha,
)
from ._maps import (
    Arcsinh as Arcsinh,
    Exponential as Exponential,
    Identity as Identity,
    Power as Power,
    Sine as Sine,
    Sinh as Sinh,
    Tan as Tan,
    Tanh as Tanh,
)
from ._parametrisation import AbstractParametrisation as AbstractParametrisation
from ._potential import (
    AbstractPotential as AbstractPotential,
    AbstractSeparablePotential as AbstractSeparablePotential,
)
from ._redundant import (
    PowerDifference as PowerDifference,
    Product as Product,
    SignedDifference as SignedDifference,
)
from ._separable import Scaled as Scaled, SeparablePotential as SeparablePotential
from ._user import Elementwise as Elementwise
