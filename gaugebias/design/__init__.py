"""Inverse design: a bias in, a parametrisation out."""

from ._design import Design as Design
from ._from_penalty import from_penalty as from_penalty
from ._monotone import MonotoneMap as MonotoneMap, monotone as monotone
from ._penalties import (
    AbstractPenalty as AbstractPenalty,
    Barrier as Barrier,
    L1 as L1,
    Log as Log,
    Lp as Lp,
    NoPenalty as NoPenalty,
    Penalty as Penalty,
)
from ._validate import Validation as Validation, validate as validate
from ._structures import (
    Group as Group,
    Linear as Linear,
    Norm as Norm,
    Nuclear as Nuclear,
    Schatten as Schatten,
    TotalVariation as TotalVariation,
)
