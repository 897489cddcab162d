"""System calls that Python's standard library lacks, through the C library."""

import ctypes
import os

# <linux/prctl.h>
PR_SET_PDEATHSIG, PR_SET_SECCOMP, PR_CAPBSET_DROP, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 22, 24, 36, 38

_libc = ctypes.CDLL(None, use_errno=True)


def call(name, *arguments):
    """Call the C function `name`; strings and paths are passed as file names.

    Raises OSError, with the call in its message, when the function answers -1.
    """
    arguments = [os.fsencode(item) if isinstance(item, (str, os.PathLike)) else item for item in arguments]
    if getattr(_libc, name)(*arguments) == -1:
        number = ctypes.get_errno()
        shown = (os.fsdecode(item) if isinstance(item, bytes) else str(getattr(item, "value", item)) for item in arguments)
        raise OSError(number, f"{os.strerror(number)}: {name}({', '.join(shown)})")


def mount(source, target, kind=None, flags=0, options=None):
    """mount(2)."""
    call("mount", source, target, kind, _unsigned(flags), options)


def prctl(option, value=0, third=0):
    """prctl(2)."""
    call("prctl", option, *map(_unsigned, (value, third, 0, 0)))


def _unsigned(value):
    """Without this, ctypes passes a Python number as a C int, half as wide as these calls read."""
    return ctypes.c_ulong(value)
