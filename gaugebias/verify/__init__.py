from ..plot import FigureData as FigureData
from ._case import Case as Case, Context as Context
from ._cases import cases as cases, csv_case as csv_case
from ._report import (
    CaseResult as CaseResult,
    Judged as Judged,
    Row as Row,
    judge as judge,
    rows_of as rows_of,
)
from ._runner import (
    Report as Report,
    help_run_cases as help_run_cases,
    run_cases as run_cases,
)
from ._table import Table as Table, load_table as load_table
