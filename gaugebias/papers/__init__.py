"""Publications reproduced: settings, runs, claims as measurable statements, controls, verdicts."""

from ._claim import Claim as Claim, judge as judge
from ._options import with_options as with_options
from ._publication import (
    Publication as Publication,
    Reproduction as Reproduction,
    load as load,
    names as names,
    publications as publications,
)
from ._reproduce import exit_code as exit_code, reproduce as reproduce
