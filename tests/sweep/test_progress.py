"""The bar: in a terminal of any size, and nothing in a file."""

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


@pytest.mark.parametrize("size", [(30, 90), (0, 0), (0, 90)])
def test_a_terminal_sees_cells_failures_rate_and_time_left(size, monkeypatch):
    pty, termios, fcntl = map(pytest.importorskip, ("pty", "termios", "fcntl"))
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
    with os.fdopen(slave, "w") as stream, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", stream)
        drive()
    said = os.read(master, 65536).decode()
    os.close(master)
    assert "2/10" in said and "9/10" in said and "failed=2" in said
    assert "cell/s" in said and "<" in said  # the rate, and the time left


def test_a_file_sees_nothing(monkeypatch):
    file = io.StringIO()
    monkeypatch.setattr(sys, "stderr", file)
    drive()
    assert file.getvalue() == ""
