#!/usr/bin/env python3
"""Push a kernel folder to Kaggle, which saves a version of it and runs it."""

import sys

from command import CHECKOUT, KERNELS, kernel_id, parser, run


def main():
    """Prints or runs the push; returns its exit code."""
    reader = parser(__doc__)
    reader.add_argument("kernel", choices=KERNELS)
    given = reader.parse_args()
    kernel_id(given.kernel)
    return run(["kaggle", "kernels", "push", "-p", CHECKOUT / KERNELS[given.kernel]], given.dry_run)


if __name__ == "__main__":
    sys.exit(main())
