"""The socket filter, run by a small interpreter of BPF instead of the kernel: every machine's table on any machine."""

import errno
import socket
import struct

import pytest

from siim_kernel.delivery import seccomp

ALLOW = "allow"


def answer(program, arch, number, first=0):
    """What the filter says to a call: "allow" or an error number."""
    data = struct.pack("<iIQ6Q", number, arch, 0, first, 0, 0, 0, 0, 0)
    code = list(struct.iter_unpack("<HBBI", program))
    at, word = 0, 0
    while True:
        operation, yes, no, k = code[at]
        if operation == 0x20:
            (word,) = struct.unpack_from("<I", data, k)
            at += 1
        elif operation in (0x15, 0x45):
            at += 1 + (yes if (word == k if operation == 0x15 else word & k) else no)
        else:
            assert operation == 0x06
            return ALLOW if k == 0x7FFF0000 else k - 0x50000


@pytest.mark.parametrize(
    ("name", "arch", "socket_number", "read_number"), [("x86_64", 0xC000003E, 41, 0), ("aarch64", 0xC00000B7, 198, 63)]
)
def test_answers(name, arch, socket_number, read_number):
    program = seccomp.program(seccomp.MACHINES[name])
    for family in range(1, 46):
        expected = {socket.AF_UNIX: ALLOW, socket.AF_NETLINK: errno.EOPNOTSUPP}.get(family, errno.ENETUNREACH)
        assert answer(program, arch, socket_number, family) == expected
    # The kernel takes the family as an int: what stands in the upper half of the register changes nothing.
    assert answer(program, arch, socket_number, (1 << 32) | socket.AF_INET) == errno.ENETUNREACH
    assert answer(program, arch, read_number) == ALLOW
    assert answer(program, arch, 425) == errno.ENOSYS
    assert answer(program, arch, 0x40000000 | 41, socket.AF_INET) == errno.ENOSYS
    for other in (0x40000003, 0x40000028):
        assert answer(program, other, 359, socket.AF_INET) == errno.ENOSYS


def test_an_unknown_machine(monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    with pytest.raises(OSError, match="no socket filter for a .* on riscv64"):
        seccomp.forbid_sockets()
