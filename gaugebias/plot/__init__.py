"""Figures from result objects; matplotlib is imported only here."""

from ._cases import (
    case_figure as case_figure,
    case_page as case_page,
    save_case_page as save_case_page,
)
from ._components import components as components, mixtures as mixtures
from ._curves import (
    CurveData as CurveData,
    curve_figure as curve_figure,
    curve_page as curve_page,
    save_curve_page as save_curve_page,
)
from ._data import FigureData as FigureData
from ._design import design as design, design_page as design_page
from ._effective_rank import effective_rank as effective_rank
from ._four_laws import four_laws as four_laws
from ._gram_spectrum import gram_spectrum as gram_spectrum
from ._landscape import landscape as landscape
from ._laws import law as law
from ._norm_ratios import norm_ratios as norm_ratios
from ._style import PALETTE as PALETTE
from ._sweeps import heat_map as heat_map, phase_diagram as phase_diagram
from ._ternary import ternary as ternary
from ._verdicts import verdict as verdict
