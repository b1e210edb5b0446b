"""Ctrl-C is heard: also where Python would throw the exception away."""

import _thread
import gc
import signal
import threading
from types import FrameType

_LATER = 0.05  # seconds


def listen() -> None:
    """Have Ctrl-C raise `KeyboardInterrupt` where that ends the run.

    jax has the garbage collector call a function of Python, and what is raised in such a callback
    is printed and forgotten. A signal that comes there is sent again a moment later. A process that
    ignores Ctrl-C goes on ignoring it.
    """
    main = threading.current_thread() is threading.main_thread()
    if main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _heard)


def _heard(number: int, frame: FrameType | None) -> None:
    deaf = {getattr(callback, "__code__", None) for callback in gc.callbacks}
    while frame is not None:
        if frame.f_code in deaf:
            again = threading.Timer(_LATER, _thread.interrupt_main)
            again.daemon = True
            again.start()
            return
        frame = frame.f_back
    raise KeyboardInterrupt
