#!/usr/bin/env python3
"""Download what the last version of a kernel left in its working folder, and its log."""

import sys
from pathlib import Path

from command import CHECKOUT, KERNELS, kernel_id, parser, run


def main():
    """Prints or runs the download; returns its exit code."""
    reader = parser(__doc__)
    reader.add_argument("kernel", choices=KERNELS)
    reader.add_argument("--folder", type=Path, help="where to [build/output/KERNEL]")
    given = reader.parse_args()
    folder = given.folder or CHECKOUT / "build" / "output" / given.kernel
    return run(["kaggle", "kernels", "output", kernel_id(given.kernel), "-p", folder], given.dry_run)


if __name__ == "__main__":
    sys.exit(main())
