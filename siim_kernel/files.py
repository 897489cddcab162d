"""Files that are whole or not there, and their hashes."""

import hashlib
import os


def write_atomically(path, content):
    """Writes text or bytes to `path` (a Path) through a file beside it: a kill or a power cut leaves the old file or the new.

    Raises OSError, on a full disk for one, and then leaves nothing beside it.
    """
    part = path.with_name(path.name + ".part")
    try:
        with open(part, "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())
            file.flush()
            os.fsync(file.fileno())  # else a power cut may leave the new name with nothing in it
        os.replace(part, path)
    except OSError:
        part.unlink(missing_ok=True)
        raise


def sha256(path):
    """SHA-256 of a file's bytes as 64 hex digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
