"""Lie-algebra generators acting on parameter pytrees."""

from ._action import AbstractAction as AbstractAction
from ._action import algebra_dimension as algebra_dimension
from ._action import generator_name as generator_name
from ._action import orbit_jacobian as orbit_jacobian
from ._general_linear import GeneralLinear as GeneralLinear
from ._matrices import symmetric_from_vector as symmetric_from_vector
from ._matrices import vector_from_symmetric as vector_from_symmetric
from ._orthogonal import Conjugation as Conjugation
from ._orthogonal import Orthogonal as Orthogonal
from ._orthogonal import RightOrthogonal as RightOrthogonal
from ._product import Product as Product
from ._product import commutator_residual as commutator_residual
from ._rescaling import Rescaling as Rescaling
from ._rescaling import Scale as Scale
from ._rescaling import Translation as Translation
