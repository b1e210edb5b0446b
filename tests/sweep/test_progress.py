"""The bar: in a terminal of any size, and nothing in a file."""

import contextlib
import io
import os
import struct
import sys

import pytest

from gaugebias.sweep._progress import Bar


def drive():
    with Bar(10) as bar:
        bar.begin(2, 1)
        bar.tell(3, 1)
        bar.reach(9, 2)


def everything(master):
    """What was written to a terminal that is closed; it is read in parts."""
    said = b""
    with contextlib.suppress(OSError):
        while part := os.read(master, 65536):
            said += part
    os.close(master)
    return said.decode()


@pytest.mark.parametrize("size", [(30, 90), (0, 0), (0, 90)])
def test_a_terminal_sees_cells_failures_rate_and_time_left(size, monkeypatch):
    pty, termios, fcntl = map(pytest.importorskip, ("pty", "termios", "fcntl"))
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
    with os.fdopen(slave, "w") as stream, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", stream)
        drive()
    said = everything(master)
    assert "2/10" in said and "9/10" in said and "failed=2" in said
    assert "cell/s" in said and "<" in said  # the rate, and the time left


def test_a_file_sees_nothing(monkeypatch):
    file = io.StringIO()
    monkeypatch.setattr(sys, "stderr", file)
    drive()
    assert file.getvalue() == ""
