"""What others do with the same problems: one peer a file, none of them a dependency.

A peer whose packages are not installed is reported as absent.
"""

from ._langevin import LANGEVIN as LANGEVIN, Problem as Problem, langevin as langevin
from ._training import (
    torch_minibatches as torch_minibatches,
    torch_module as torch_module,
    torch_training as torch_training,
)
