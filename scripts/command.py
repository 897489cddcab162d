"""What the scripts share: the checkout, its metadata, and commands that are shown or run."""

import argparse
import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
PLACEHOLDER = "your-name"
KERNELS = {
    "images": "train_kernels/images",
    "external_images": "train_kernels/external_images",
    "train": "train_kernels/train",
    "inference": "inference_kernel",
}
DATASETS = ("code", "wheels", "imagenet-weights", "trained-weights")


def parser(about):
    """A parser with --dry-run; `about` is the script's docstring, of which the first line becomes the help."""
    made = argparse.ArgumentParser(description=about.splitlines()[0])
    made.add_argument("--dry-run", action="store_true", help="print the commands, run nothing")
    return made


def run(command, dry_run):
    """Print a command and, unless `dry_run`, run it; returns its exit code, 127 where the program is not there."""
    command = list(map(str, command))
    print(shlex.join(command), flush=True)
    if dry_run:
        return 0
    if shutil.which(command[0]) is None:
        remedy = "activate the environment (. .venv/bin/activate), or pip install kaggle==2.2.4 six"
        print(f"{command[0]} is not on the PATH: {remedy}", file=sys.stderr)
        return 127
    return subprocess.run(command).returncode


def identity(metadata):
    """The `owner/slug` in a metadata file; warns where the owner is still the placeholder, which Kaggle will refuse."""
    ref = json.loads(Path(metadata).read_text(encoding="utf-8"))["id"]
    if ref.startswith(f"{PLACEHOLDER}/"):
        print(f"warning: {metadata} still has the owner {PLACEHOLDER}; put your Kaggle name there", file=sys.stderr)
    return ref


def kernel_id(kernel):
    """The `owner/slug` of one of KERNELS."""
    return identity(CHECKOUT / KERNELS[kernel] / "kernel-metadata.json")
