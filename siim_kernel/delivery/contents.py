"""Whether a dataset holds what kernels look for in it: told before it is published, not by a kernel hours later."""

from pathlib import Path

from siim_kernel import runs
from siim_kernel.delivery import wheels
from siim_kernel.errors import SiimKernelError

WEIGHTS = (".h5", ".npz", ".safetensors")


def content_faults(name, files):
    """What is missing or wrong in the files of the dataset `name`: a list of str, empty for a dataset that has no check.

    files  a folder or one file. code: the package's wheel; wheels: one for each Python; imagenet-weights: one file of weights;
           trained-weights: finished runs, each verified by its own hashes
    """
    files = Path(files)
    try:
        if name == "code":
            for python in wheels.PYTHONS:
                wheels.choose(files, wheels.tag_of(python), [wheels.PACKAGE])
        elif name == "wheels":
            for python in wheels.PYTHONS:
                wheels.choose(files, wheels.tag_of(python))
        elif name == "trained-weights":
            runs.load_all([files])
        elif name == "imagenet-weights":
            found = [files] if files.is_file() else sorted(path for path in files.rglob("*") if path.is_file())
            if len([path for path in found if path.suffix in WEIGHTS]) != 1:
                there = ", ".join(path.name for path in found) or "nothing"
                return [f"{files} should hold one file of weights ({', '.join(WEIGHTS)}), it holds {there}"]
    except SiimKernelError as error:
        return [str(error)]
    return []
