"""What goes wrong with films in worker processes: functions and paths that crash, hang or want too much, as a decoder may."""

import ctypes
import os
import signal
from contextlib import suppress
from multiprocessing import parent_process
from pathlib import Path


def crash(*_):
    """A fault in C code."""
    os.kill(os.getpid(), signal.SIGSEGV)


def hang(*_):
    """C code that neither ends nor lets go of Python's lock."""
    ctypes.PyDLL(None).pause()


def killed(*_):
    """What the system does to a process when memory is short."""
    os.kill(os.getpid(), signal.SIGKILL)


class FilmPath:
    """The path of a film at which something happens in a worker, and nothing in the process of the tests."""

    def __init__(self, path, happens):
        self.path, self.happens = path, happens

    def __fspath__(self):
        if parent_process() is not None:
            self.happens()
        return str(self.path)


def dead(pid):
    """Whether a process is gone, or only its exit code is left of it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def children(pid):
    """Process ids of the children of a process."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError):  # a thread that ended meanwhile
            found += map(int, (task / "children").read_text().split())
    return found
