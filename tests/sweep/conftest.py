"""The experiments that the tests of this folder share are a module: they run in other processes."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
