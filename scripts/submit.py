#!/usr/bin/env python3
"""Submit the submission.csv of a version of the inference kernel; Kaggle runs it again on the hidden films."""

import sys

from command import kernel_id, parser, run

COMPETITION = "siim-covid19-detection"


def main():
    """Prints or runs the submission; returns its exit code."""
    reader = parser(__doc__)
    reader.add_argument("version", type=int, help="version of the inference kernel, as the push printed it")
    reader.add_argument("--message", default="siim-kernel", help="description of the submission [siim-kernel]")
    given = reader.parse_args()
    kernel = ["-k", kernel_id("inference"), "-v", given.version]
    command = ["kaggle", "competitions", "submit", "-c", COMPETITION, *kernel, "-f", "submission.csv", "-m", given.message]
    return run(command, given.dry_run)


if __name__ == "__main__":
    sys.exit(main())
