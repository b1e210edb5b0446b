"""How far a sweep is: a bar in a terminal and in a notebook, nothing in a log file."""

import os
import sys
import warnings
from typing import Any


def _in_notebook() -> bool:
    shell = sys.modules.get("IPython")
    if shell is None:
        return False
    running = shell.get_ipython()
    return running is not None and hasattr(running, "kernel")


def _size() -> dict[str, Any]:
    """Of the terminal, for tqdm: it draws nothing where the terminal says that it has no size."""
    try:
        known = all(os.get_terminal_size(sys.stderr.fileno()))
    except (OSError, ValueError, AttributeError):  # no terminal, or a file of somebody else
        known = False
    return {"dynamic_ncols": True} if known else {"ncols": 80, "nrows": 24}


class Bar:
    """Cells done and failed, rate and time left; `None` shows where somebody can look."""

    def __init__(self, total: int, shown: bool | None = None) -> None:
        notebook = _in_notebook()
        if shown is None:
            shown = notebook or sys.stderr.isatty()
        self.bar: Any = None
        self.failed = 0
        if shown:
            from tqdm import TqdmWarning

            with warnings.catch_warnings():
                warnings.simplefilter("ignore", TqdmWarning)  # without widgets, it is text
                from tqdm.auto import tqdm

            size = {} if notebook else _size()
            self.bar = tqdm(total=total, unit="cell", desc="sweep", **size)

    def __enter__(self) -> "Bar":
        return self

    def __exit__(self, *exception: object) -> None:
        if self.bar is not None:
            self.bar.close()

    def begin(self, done: int, failed: int) -> None:
        """Cells that an earlier run has finished; the rate does not count them."""
        if self.bar is not None:
            self.bar.initial = done
        self.reach(done, failed)

    def reach(self, done: int, failed: int) -> None:
        """So many cells are finished in all, by whomever."""
        self.failed = failed
        if self.bar is not None:
            self.bar.n = done
            self.bar.set_postfix(failed=failed)

    def tell(self, done: int, failed: int) -> None:
        """`done` more cells are finished, `failed` of them with a reason and no result."""
        self.failed += failed
        if self.bar is not None:
            self.bar.set_postfix(failed=self.failed, refresh=False)
            self.bar.update(done)
