"""What the operating system grants this process: cores, memory, disk, GPUs. Containers count: control groups version 1 and 2."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

ROOT = Path("/")
GIB = 2**30


@dataclass(frozen=True)
class Memory:
    """Bytes of memory: what this process may use at most, what is available of it now, and whether a control group limits it."""

    most: int
    available: int
    limited: bool


@dataclass(frozen=True)
class Cores:
    """Processor cores: `usable` by the scheduler's mask, and `quota`, the cores' worth of time that a control group grants."""

    usable: int
    quota: float | None

    @property
    def workers(self):
        """How many processes can compute at full speed, at least 1."""
        return self.usable if self.quota is None else max(1, min(self.usable, int(self.quota)))


@dataclass(frozen=True)
class Card:
    """A GPU as the NVIDIA driver names it: name, memory in bytes, compute capability such as "7.5"."""

    name: str
    memory: int
    capability: str


def cores(root=ROOT):
    """`Cores` of this process; `root` is where /proc and /sys stand."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = []
    for group in _groups(root, "cpu"):
        quota, period = (_text(group / "cpu.max").split() + ["", ""])[:2]  # version 2: "200000 100000" or "max 100000"
        if not quota:
            quota, period = _text(group / "cpu.cfs_quota_us"), _text(group / "cpu.cfs_period_us")  # version 1: -1 is no limit
        if quota.isdigit() and period.isdigit() and int(period):
            quotas.append(int(quota) / int(period))
    return Cores(usable, min(quotas, default=None))


def memory(root=ROOT):
    """`Memory` of this process, by /proc/meminfo and its control groups; None where the system does not say."""
    stated = _numbers(_text(root / "proc/meminfo").replace(":", ""))
    if "MemTotal" not in stated:
        try:
            total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        except (ValueError, OSError, AttributeError):
            return None
        return Memory(total, total, False)
    most = stated["MemTotal"] * 1024
    available = stated.get("MemAvailable", stated.get("MemFree", stated["MemTotal"])) * 1024
    limited = False
    for group in _groups(root, "memory"):
        for limit, used, idle in (
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ):
            granted = _text(group / limit)
            if not granted.isdigit() or int(granted) >= stated["MemTotal"] * 1024:
                continue  # "max", or version 1's enormous number for no limit
            # Pages of files that nobody reads are counted as used and given back on demand.
            kept = _numbers(f"used {_text(group / used)}").get("used", 0) - _numbers(_text(group / "memory.stat")).get(idle, 0)
            most, available = min(most, int(granted)), min(available, max(0, int(granted) - max(0, kept)))
            limited = True
    return Memory(most, available, limited)


def _groups(root, controller):
    """Folders of this process's control groups for a controller, from its own up to the topmost that can be seen."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, names, path = (line.split(":", 2) + ["", ""])[:3]
        if names == "":
            mounts = [root / "sys/fs/cgroup", root / "sys/fs/cgroup/unified"]
        elif controller in names.split(","):
            mounts = [root / "sys/fs/cgroup" / names, root / "sys/fs/cgroup" / controller]
        else:
            continue
        # In a container the path may be that of the host, of which only the top is mounted here.
        place = PurePosixPath(path.lstrip("/"))
        places = [] if ".." in place.parts else [place, *place.parents]
        yield from (mount / each for mount in mounts for each in places or [PurePosixPath()])


def _text(path):
    """A small file of the kernel, "" where there is none or it may not be read."""
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _numbers(text):
    """Lines of "name number ..." as a dict."""
    return {words[0]: int(words[1]) for words in map(str.split, text.splitlines()) if len(words) > 1 and words[1].isdigit()}


def existing(place):
    """The folder at `place`, or the nearest one above it that exists."""
    place = Path(place).resolve()
    return next(folder for folder in (place, *place.parents) if folder.is_dir())


def disk_free(place):
    """Bytes free for this user on the disk of `place`, which need not exist yet."""
    return shutil.disk_usage(existing(place)).free


def cards():
    """The GPUs that the NVIDIA driver lists, as a tuple of `Card`; () without driver."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ()
    query = [program, "--query-gpu=name,memory.total,compute_cap", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=15, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    rows = [[cell.strip() for cell in line.rsplit(",", 2)] for line in done.stdout.splitlines()] if done.returncode == 0 else []
    return tuple(Card(row[0], int(row[1]) * 2**20, row[2]) for row in rows if len(row) == 3 and row[1].isdigit())
