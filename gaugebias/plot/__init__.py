from ._cases import (
    case_figure as case_figure,
    case_page as case_page,
    save_case_page as save_case_page,
)
from ._components import components as components, mixtures as mixtures
from ._data import FigureData as FigureData
from ._design import design as design
from ._four_laws import four_laws as four_laws
from ._laws import law as law
from ._style import PALETTE as PALETTE
from ._ternary import ternary as ternary
from ._verdicts import verdict as verdict
