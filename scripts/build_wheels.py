#!/usr/bin/env python3
"""Build the package's wheel into build/code and download what Kaggle's image lacks into build/wheels.

The versions are those of requirements.lock, for CPython 3.11, 3.12 and 3.13 on x86-64 Linux; each file's SHA-256 must stand
in the lock. Run it with an interpreter that has setuptools and wheel, such as .venv/bin/python.
"""

import hashlib
import re
import shutil
import sys

from command import CHECKOUT, parser, run

LACKING = ("python-gdcm", "imagecodecs", "pydicom")
PYTHONS = ("3.11", "3.12", "3.13")
PLATFORMS = ("manylinux2014_x86_64", "manylinux_2_27_x86_64", "manylinux_2_28_x86_64")


def locked(name, lock):
    """`name==version` as the lock has it."""
    found = re.search(rf"^{re.escape(name)}==[^\s;\\]+", lock, re.MULTILINE)
    if not found:
        sys.exit(f"requirements.lock has no {name}")
    return found[0]


def main():
    """Prints or runs the commands; returns the first exit code that is not 0."""
    given = parser(__doc__).parse_args()
    lock = (CHECKOUT / "requirements.lock").read_text(encoding="utf-8")
    code, wheels = CHECKOUT / "build" / "code", CHECKOUT / "build" / "wheels"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    commands = [[*pip, "wheel", CHECKOUT, "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", code]]
    for python in PYTHONS:
        target = ["--only-binary=:all:", "--no-deps", "--python-version", python, "--implementation", "cp"]
        target += [f"--platform={platform}" for platform in PLATFORMS]
        commands.append([*pip, "download", *target, "--dest", wheels, *(locked(name, lock) for name in LACKING)])
    if not given.dry_run:
        # Files of an earlier build would be packed, or uploaded, as well.
        for folder in (CHECKOUT / "build" / "lib", code, wheels):
            shutil.rmtree(folder, ignore_errors=True)
    for command in commands:
        if code_of_it := run(command, given.dry_run):
            return code_of_it
    unknown = [wheel.name for wheel in wheels.glob("*.whl") if hashlib.sha256(wheel.read_bytes()).hexdigest() not in lock]
    if unknown:
        print(f"not the files of requirements.lock, do not upload them: {', '.join(sorted(unknown))}", file=sys.stderr)
    return 1 if unknown else 0


if __name__ == "__main__":
    sys.exit(main())
