#!/usr/bin/env python3
"""Download and verify what a kernel's last version left: `siim-kernel fetch`."""

from command import siim_kernel

if __name__ == "__main__":
    siim_kernel("fetch")
