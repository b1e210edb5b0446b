"""What every figure of the room keeps to."""

import inspect
import re
from pathlib import Path

import gaugebias as gb

FILES = sorted(Path(gb.plot.__file__).parent.glob("*.py"))


def test_nothing_is_shown_and_nothing_global_is_changed():
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"rcParams|rc_context|style\.use|plt\.(show|close|rc|figure)\b", text)


def test_figures_are_drawn_on_axes_that_are_given():
    """All but pages of several panels, which are written and not shown."""
    for name in dir(gb.plot):
        function = getattr(gb.plot, name)
        if not inspect.isfunction(function) or name.endswith("_page"):
            continue
        parameters = inspect.signature(function).parameters
        assert "ax" in parameters or "axes" in parameters, name
