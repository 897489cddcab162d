#!/usr/bin/env python3
"""Build the package's wheel into build/code and download what Kaggle's image lacks into build/wheels.

The versions are those of requirements.lock, for CPython 3.11, 3.12 and 3.13 on x86-64 Linux; each file's SHA-256 must stand
in the lock. Run it with an interpreter that has setuptools and wheel, such as .venv/bin/python.
"""

import argparse
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent


def main():
    """Prints or runs the commands; returns 1 where one fails or a wheel is missing."""
    reader = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    reader.add_argument("--dry-run", action="store_true", help="print the commands, run nothing")
    given = reader.parse_args()
    sys.path.insert(0, str(CHECKOUT))  # for a Python in which the package is not installed
    from siim_kernel.delivery import wheels
    from siim_kernel.errors import SiimKernelError

    try:
        wheels.build(CHECKOUT, CHECKOUT / "build", say=lambda line: print(line, flush=True), dry_run=given.dry_run)
    except SiimKernelError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
