"""Lie-algebra generators acting on parameter pytrees."""

from ._action import (
    AbstractAction as AbstractAction,
    algebra_dimension as algebra_dimension,
    generator_name as generator_name,
    orbit_jacobian as orbit_jacobian,
)
from ._algebra import (
    CompactSplit as CompactSplit,
    closure_residual as closure_residual,
    compact_split as compact_split,
    conserved_quantities as conserved_quantities,
    effective_subalgebra as effective_subalgebra,
    generator_matrices as generator_matrices,
    killing_form as killing_form,
    stabiliser_dimension as stabiliser_dimension,
    structure_constants as structure_constants,
)
from ._discover import Discovery as Discovery, discover as discover
from ._fields import field_jacobians as field_jacobians
from ._general_linear import GeneralLinear as GeneralLinear
from ._generators import Generators as Generators
from ._invariance import InvarianceReport as InvarianceReport, check_invariance as check_invariance
from ._linear_fields import LinearFields as LinearFields
from ._matrices import (
    symmetric_from_vector as symmetric_from_vector,
    vector_from_symmetric as vector_from_symmetric,
)
from ._orthogonal import (
    Conjugation as Conjugation,
    Orthogonal as Orthogonal,
    RightOrthogonal as RightOrthogonal,
)
from ._product import Product as Product, commutator_residual as commutator_residual
from ._rescaling import Rescaling as Rescaling, Scale as Scale, Translation as Translation
