#!/usr/bin/env python3
"""Submit a version of the inference kernel once, and read its score back: `siim-kernel submit`."""

from command import siim_kernel

if __name__ == "__main__":
    siim_kernel("submit")
