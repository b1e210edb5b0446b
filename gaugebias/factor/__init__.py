"""Non-negative factorisations of tables and their identifiability."""

from ._action import MixingAction as MixingAction
from ._counts import CountTable as CountTable, load_counts as load_counts
from ._em import expectation_maximisation as expectation_maximisation
from ._end_members import end_member_analysis as end_member_analysis
from ._factorisation import Factorisation as Factorisation
from ._fit import RESULTS as RESULTS, Fit as Fit
from ._identify import RULES as RULES, Identified as Identified, identify as identify
from ._least_squares import (
    alternating_least_squares as alternating_least_squares,
    extreme_rows as extreme_rows,
    minimum_volume as minimum_volume,
)
from ._measures import (
    degrees_of_freedom as degrees_of_freedom,
    deviance as deviance,
    dissimilarity as dissimilarity,
    rescaled_basis as rescaled_basis,
    residual_sum_of_squares as residual_sum_of_squares,
    ternary_coordinates as ternary_coordinates,
)
from ._models import (
    EMA as EMA,
    LBA as LBA,
    LCA as LCA,
    MODELS as MODELS,
    NMF as NMF,
    PLSA as PLSA,
)
from ._movement import Movement as Movement, movement as movement
from ._nonnegative import nonnegative as nonnegative
from ._region import ComponentRegion as ComponentRegion, component_region as component_region
from ._rigid import Rigidity as Rigidity, rigidity as rigidity
from ._scattered import (
    Check as Check,
    Scattered as Scattered,
    contained as contained,
    pure as pure,
    sufficiently_scattered as sufficiently_scattered,
)
from ._uniqueness import Uniqueness as Uniqueness, uniqueness as uniqueness
