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
from ._design import design as design
from ._four_laws import four_laws as four_laws
from ._laws import law as law
from ._style import PALETTE as PALETTE
from ._ternary import ternary as ternary
from ._verdicts import verdict as verdict
