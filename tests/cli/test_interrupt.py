"""A Ctrl-C that comes while the garbage collector calls back."""

import gc
import signal
import sys
import time

import pytest

from gaugebias.cli._interrupt import _watch, listen


@pytest.fixture
def collected(monkeypatch):
    """Ctrl-C comes in a callback, as jax has one; what Python says of lost exceptions."""
    lost = []

    def called_back(phase, info):
        if phase == "start":
            signal.raise_signal(signal.SIGINT)
            len(lost)  # a signal is handled between two steps of the interpreter

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    monkeypatch.setattr(sys, "unraisablehook", lambda what: lost.append(what.exc_type))
    yield called_back, lost
    signal.signal(signal.SIGINT, before)
    if _watch in gc.callbacks:
        gc.callbacks.remove(_watch)


def collect(callback):
    """Collect with the callback, and wait longer than a signal takes to come again."""
    gc.callbacks.append(callback)
    try:
        gc.collect()
    finally:
        gc.callbacks.remove(callback)
    time.sleep(1.0)


def test_it_is_heard_a_moment_later(collected):
    callback, lost = collected
    listen()
    with pytest.raises(KeyboardInterrupt):
        collect(callback)
    assert lost == []
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_python_by_itself_loses_it(collected):
    callback, lost = collected
    collect(callback)
    assert lost == [KeyboardInterrupt]


def test_a_process_that_ignores_it_goes_on_ignoring_it(collected):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    listen()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
