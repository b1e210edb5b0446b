"""Singular models in relative coordinates (2206.08598): mixtures, and networks of one hidden layer.

The publication's own definition of its charts was not available: charts, protocol and numbers are
ours, re-derived; its claims are made measurable for them, over ensembles of data and starts.
"""

from ._claims import claims as claims
from ._controls import controls as controls
from ._figures import figures as figures
from ._run import Result as Result, run as run
from ._settings import Settings as Settings, quick as quick
