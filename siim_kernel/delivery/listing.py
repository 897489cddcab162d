"""What a folder holds: its size, and whether its files have changed."""

import contextlib
import hashlib
import os
from pathlib import Path

SMALL = 1 << 16  # bytes; files up to this size are compared by content, larger ones by size and time of change


def folder_bytes(folder):
    """Sum of the sizes of all files below `folder`, in bytes; links are not followed."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            # A running kernel removes files while they are counted.
            with contextlib.suppress(FileNotFoundError):
                total += os.lstat(os.path.join(place, name)).st_size
    return total


def list_files(folder):
    """A dict: path relative to `folder` -> what tells a changed file (size, time of change, SHA-256 of a small one)."""
    found, seen = {}, set()
    for place, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:  # a second link to a folder, perhaps to one above
            folders.clear()
            continue
        seen.add(real)
        for name in names:
            path = Path(place, name)
            with contextlib.suppress(FileNotFoundError):
                status = path.stat()
                digest = hashlib.sha256(path.read_bytes()).hexdigest() if status.st_size <= SMALL and path.is_file() else ""
                found[path.relative_to(folder).as_posix()] = (status.st_size, status.st_mtime_ns, digest)
    return found


def changes(before, after):
    """Sorted paths that two answers of `list_files` do not agree on, as a tuple."""
    return tuple(sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path)))
