"""Linux namespaces: a process tree without network, without privileges, in a root folder made for it.

Works without root where the machine allows user namespaces, also inside another network namespace. The calls go through libc:
Python has os.unshare only since 3.12, and mount(2) in no version. Every failure is an OSError that names the call.
"""

import fcntl
import os
import re
import socket
import struct
from pathlib import Path

from siim_kernel.delivery.libc import PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, call, mount, prctl

# <linux/sched.h>, <sys/mount.h>, <linux/capability.h>, <linux/sockios.h>, <net/if.h>
CLONE_NEWNS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x20000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18
MS_OPTIONS = {"nosuid": 2, "nodev": 4, "noexec": 8, "nosymfollow": 256, "noatime": 1024, "nodiratime": 2048, "relatime": 1 << 21}
MNT_DETACH = 2
CAPABILITY_VERSION_3 = 0x20080522
SIOCSIFFLAGS, IFF_UP = 0x8914, 1


def separate():
    """Give this process new user, network, mount and IPC namespaces, and its children a new pid namespace.

    The caller becomes root of the new user namespace; outside it stays who it was. The process must have one thread.
    """
    user, group = os.geteuid(), os.getegid()
    call("unshare", CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWPID)
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
        Path("/proc/self", name).write_text(text)


def enter_root(root, folders, files, links, writable):
    """Make the empty folder `root` the root of a small file tree and enter it; the old tree cannot be reached after that.

    folders    pairs (source, place): a folder or file of the machine and where it appears; source "" makes an empty folder
    files      dict place -> text
    links      dict place -> what the symbolic link says
    writable   the places that stay writable; everything else becomes read-only
    """
    mount("none", "/", flags=MS_REC | MS_PRIVATE)
    mount("tmpfs", root, "tmpfs", options="mode=755")
    for source, place in folders:
        target = root + place
        if source and not os.path.isdir(source):
            os.makedirs(os.path.dirname(target), exist_ok=True)
            Path(target).touch()
        else:
            os.makedirs(target, exist_ok=True)
        if source:
            mount(source, target, flags=MS_BIND | MS_REC)
    for place, text in files.items():
        os.makedirs(os.path.dirname(root + place), exist_ok=True)
        Path(root + place).write_text(text)
    for place, text in links.items():
        os.makedirs(os.path.dirname(root + place), exist_ok=True)
        os.symlink(text, root + place)
    _mount_system(root)
    _protect(root, {root + place for place in (*writable, "/proc", "/dev/shm", "/dev/pts")})

    # pivot_root(2): with both arguments "." the old root lies over the new one until it is taken off.
    os.chdir(root)
    call("pivot_root", ".", ".")
    call("umount2", ".", MNT_DETACH)
    os.chdir("/")


def _mount_system(root):
    """/proc of the new pid namespace and a small /dev."""
    for place in ("/proc", "/dev/shm", "/dev/pts"):
        os.makedirs(root + place)
    mount("proc", root + "/proc", "proc", MS_OPTIONS["nosuid"] | MS_OPTIONS["nodev"] | MS_OPTIONS["noexec"])
    mount("tmpfs", root + "/dev/shm", "tmpfs", MS_OPTIONS["nosuid"] | MS_OPTIONS["nodev"], "mode=1777")
    mount("devpts", root + "/dev/pts", "devpts", MS_OPTIONS["nosuid"] | MS_OPTIONS["noexec"], "newinstance,ptmxmode=0666,mode=620")
    for name in ("null", "zero", "full", "random", "urandom"):
        Path(root, "dev", name).touch()
        mount(f"/dev/{name}", f"{root}/dev/{name}", flags=MS_BIND)
    for name, text in (("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2"), ("ptmx", "pts/ptmx")):
        os.symlink(text, f"{root}/dev/{name}")


def _protect(root, writable):
    """Remount read-only every mount at or below `root` that is not in `writable`.

    Options that a mount has already must be repeated: a user namespace may not take nosuid or nodev away.
    """
    for line in Path("/proc/self/mountinfo").read_bytes().splitlines():
        fields = line.split()
        # mountinfo writes blanks and backslashes as \ooo: proc(5).
        point = os.fsdecode(re.sub(rb"\\([0-7]{3})", lambda match: bytes([int(match[1], 8)]), fields[4]))
        if point in writable or not (point == root or point.startswith(root + "/")):
            continue
        flags = sum(MS_OPTIONS.get(option, 0) for option in fields[5].decode().split(","))
        mount(None, point, flags=MS_BIND | MS_REMOUNT | MS_RDONLY | flags)


def raise_loopback():
    """Switch the loopback interface of this network namespace on; a new one is down."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", IFF_UP))


def drop_privileges():
    """Give up all capabilities for good, so that nothing here can be mounted, remounted or unmounted again."""
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    for capability in range(int(Path("/proc/sys/kernel/cap_last_cap").read_text()) + 1):
        prctl(PR_CAPBSET_DROP, capability)
    call("capset", struct.pack("Ii", CAPABILITY_VERSION_3, 0), bytes(24))
