"""Three mechanisms of feature learning in a linear network (2401.07085).

Formulas re-derived; the claims are those of the abstract, made measurable, and the protocol is our
own, as the publication's parameters were not available.
"""

from ._claims import claims as claims, controls as controls
from ._figures import figures as figures
from ._run import Result as Result, run as run
from ._settings import Settings as Settings, quick as quick
