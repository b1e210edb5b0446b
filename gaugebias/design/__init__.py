"""Inverse design: a bias in, a parametrisation out."""

from ._design import Design as Design
from ._fit import FamilyFit as FamilyFit, fit_family as fit_family
from ._from_penalty import from_penalty as from_penalty
from ._from_potential import from_potential as from_potential
from ._mirror_design import (
    Designed as Designed,
    FlowCheck as FlowCheck,
    MirrorDesign as MirrorDesign,
)
from ._monotone import MonotoneMap as MonotoneMap, monotone as monotone
from ._named import load_function as load_function, named as named
from ._penalties import (
    L1 as L1,
    AbstractPenalty as AbstractPenalty,
    Barrier as Barrier,
    Log as Log,
    Lp as Lp,
    NoPenalty as NoPenalty,
    Penalty as Penalty,
)
from ._profile import Profile as Profile, profile as profile
from ._structures import (
    Group as Group,
    Linear as Linear,
    Norm as Norm,
    Nuclear as Nuclear,
    Schatten as Schatten,
    TotalVariation as TotalVariation,
)
from ._validate import Validation as Validation, validate as validate
from ._validate_sgd import validate_sgd as validate_sgd
