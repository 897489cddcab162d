#!/usr/bin/env python3
"""Push a kernel, which saves a version and runs it, and verify it: `siim-kernel push`."""

from command import siim_kernel

if __name__ == "__main__":
    siim_kernel("push")
