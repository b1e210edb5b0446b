"""Ctrl-C is heard: also where Python would throw the exception away."""

import _thread
import gc
import signal
import threading
from types import FrameType
from typing import Any

_LATER = 0.05  # seconds
_collecting = False


def listen() -> None:
    """Have Ctrl-C raise `KeyboardInterrupt` where that ends the run.

    While the garbage collector runs, Python calls back (jax has it do so, and so do weak
    references), and what is raised there is printed and forgotten. A signal that comes then is sent
    again a moment later. A process that ignores Ctrl-C goes on ignoring it.
    """
    main = threading.current_thread() is threading.main_thread()
    if main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _heard)
        if _watch not in gc.callbacks:
            gc.callbacks.insert(0, _watch)


def _watch(phase: str, info: Any) -> None:
    global _collecting
    _collecting = phase == "start"


def _heard(number: int, frame: FrameType | None) -> None:
    if not (_collecting or _is_called_back(frame)):
        raise KeyboardInterrupt
    again = threading.Timer(_LATER, _thread.interrupt_main)
    again.daemon = True
    again.start()


def _is_called_back(frame: FrameType | None) -> bool:
    """Whether one of the collector's callbacks runs, of which some come before and after ours."""
    codes = {getattr(callback, "__code__", None) for callback in gc.callbacks}
    while frame is not None and frame.f_code not in codes:
        frame = frame.f_back
    return frame is not None
