"""The gauge correction of gradient noise (2601.06597), re-examined with controls.

Settings are the published ones where they are known; each experiment says what is ours. All
training is plain stochastic gradient descent by `gaugebias.train`.
"""

from ._claims import claims as claims, controls as controls
from ._figures import figures as figures
from ._run import Result as Result, run as run
from ._settings import Settings as Settings, quick as quick
