"""A review of NMF, PLSA, LBA, EMA, and LCA with a focus on the identifiability issue (2512.22282).

Its claims on the models are made measurable here on tables whose factorisations are known, on one
published table of five rows, and on the reader's own copy of the time-budget table. Formulas are
re-derived; protocol and numbers are our own.
"""

from ._claims import claims as claims, controls as controls
from ._figures import figures as figures
from ._run import Result as Result, run as run
from ._settings import Settings as Settings, quick as quick
