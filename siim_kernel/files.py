"""Files that are whole or not there, and their hashes."""

import hashlib
import os
from contextlib import contextmanager


@contextmanager
def atomically(path):
    """Opens a file beside `path` (a Path) to write bytes to, which takes its name at the end: a kill or a power cut leaves the
    old file or the new.

    OSError, on a full disk for one, passes through and leaves nothing beside it.
    """
    part = path.with_name(path.name + ".part")
    try:
        with open(part, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # else a power cut may leave the new name with nothing in it
        os.replace(part, path)
    except OSError:
        part.unlink(missing_ok=True)
        raise


def write_atomically(path, content):
    """Writes text or bytes to `path` (a Path), whole or not at all, as `atomically` does. Raises OSError."""
    with atomically(path) as file:
        file.write(content if isinstance(content, bytes) else content.encode())


def sha256(path):
    """SHA-256 of a file's bytes as 64 hex digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
