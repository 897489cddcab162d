"""A seccomp filter that leaves only Unix sockets: holds for every later child, for C code and for other programs.

The filter is a small BPF program (seccomp(2)) over `struct seccomp_data`: int nr; u32 arch; u64 instruction_pointer; u64 args[6].
"""

import ctypes
import errno
import os
import platform
import socket
import struct
from dataclasses import dataclass

from siim_kernel.delivery.libc import PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, prctl

SECCOMP_MODE_FILTER = 2
RET_ALLOW, RET_ERRNO = 0x7FFF0000, 0x00050000
# BPF: load a word of the data, jump if equal, jump if all bits of a mask are set, return.
LOAD, JUMP_EQUAL, JUMP_BITS, RETURN = 0x20, 0x15, 0x45, 0x06
NUMBER_AT, ARCH_AT, FIRST_ARGUMENT_AT = 0, 4, 16
IO_URING_SETUP = 425
X32_BIT = 0x40000000


@dataclass(frozen=True)
class _Machine:
    arch: int  # AUDIT_ARCH_* of <linux/audit.h>
    socket: int  # number of socket(2)


MACHINES = {"x86_64": _Machine(0xC000003E, 41), "aarch64": _Machine(0xC00000B7, 198)}


def program(machine):
    """The filter for a `_Machine` as bytes, eight for each instruction (u16 code, u8 jump true, u8 jump false, u32 k).

    Calls of another architecture (32-bit or x32 programs) and io_uring, which makes sockets of its own, do not exist (ENOSYS);
    socket(2) answers ENETUNREACH, but EOPNOTSUPP for netlink (libzmq aborts on any other) and as usual for Unix sockets.
    """
    instructions = (
        (LOAD, 0, 0, ARCH_AT),
        (JUMP_EQUAL, 0, 9, machine.arch),  # another architecture: to ENOSYS
        (LOAD, 0, 0, NUMBER_AT),
        (JUMP_BITS, 7, 0, X32_BIT),  # to ENOSYS
        (JUMP_EQUAL, 6, 0, IO_URING_SETUP),  # to ENOSYS
        (JUMP_EQUAL, 0, 6, machine.socket),  # any other call: to ALLOW
        (LOAD, 0, 0, FIRST_ARGUMENT_AT),
        (JUMP_EQUAL, 4, 0, socket.AF_UNIX),  # to ALLOW
        (JUMP_EQUAL, 1, 0, socket.AF_NETLINK),  # to EOPNOTSUPP
        (RETURN, 0, 0, RET_ERRNO | errno.ENETUNREACH),
        (RETURN, 0, 0, RET_ERRNO | errno.EOPNOTSUPP),
        (RETURN, 0, 0, RET_ERRNO | errno.ENOSYS),
        (RETURN, 0, 0, RET_ALLOW),
    )
    return b"".join(struct.pack("HBBI", *instruction) for instruction in instructions)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def forbid_sockets():
    """Load the filter into this process for good. Raises OSError where the machine has no such filter."""
    name = platform.machine()
    if name not in MACHINES or struct.calcsize("P") != 8:
        raise OSError(errno.ENOSYS, f"{os.strerror(errno.ENOSYS)}: no socket filter for a {struct.calcsize('P') * 8}-bit process on {name}")
    code = program(MACHINES[name])
    filter_program = _Program(len(code) // 8, code)
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(filter_program))
