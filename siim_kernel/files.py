"""Files that are whole or not there, and their hashes."""

import hashlib
import os


def write_atomically(path, content):
    """Writes text or bytes to `path` (a Path) through a file beside it: a kill leaves the old file or the new one."""
    part = path.with_name(path.name + ".part")
    part.write_bytes(content if isinstance(content, bytes) else content.encode())
    os.replace(part, path)


def sha256(path):
    """SHA-256 of a file's bytes as 64 hex digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
