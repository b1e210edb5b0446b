"""Gradient descent for deep matrix factorisation (2011.13772): dynamics and implicit bias.

The publication's claims, made measurable; formulas re-derived, and protocol and numbers our own
where its were not available: everything but the claims themselves.
"""

from ._claims import claims as claims, controls as controls
from ._figures import figures as figures
from ._run import Result as Result, run as run
from ._settings import Settings as Settings, quick as quick
