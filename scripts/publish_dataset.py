#!/usr/bin/env python3
"""Publish one of the project's Kaggle datasets, or a new version of it, and verify it: `siim-kernel publish`."""

from command import siim_kernel

if __name__ == "__main__":
    siim_kernel("publish")
