"""What kernels install offline: the package's own wheel, and wheels of what Kaggle's image lacks.

`build` makes both folders, `build/code` and `build/wheels`, at the versions and with the hashes of requirements.lock, for each
of `PYTHONS` on x86-64 Linux. Kaggle's Python moves on now and then (3.13 is next), so the wheels of several are attached and pip
picks, inside the kernel, those that fit; `choose` says beforehand which these are.
"""

import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from email import message_from_bytes
from pathlib import Path

from siim_kernel.errors import DeliveryError

PACKAGE = "siim-kernel"
LACKING = ("python-gdcm", "imagecodecs", "pydicom")
PYTHONS = ("3.11", "3.12", "3.13")
# Newest glibc that a wheel may ask for: Kaggle's image is Ubuntu 22.04, with glibc 2.35. These wheels ask for less.
PLATFORMS = ("manylinux2014_x86_64", "manylinux_2_27_x86_64", "manylinux_2_28_x86_64")
GLIBC_MINOR = 35
LICENCES = "LICENCES.txt"
_LICENCE_FILE = re.compile(r"(?i).*/(licen[cs]es?|copying|notice|patents)([-_./][^/]*)?")


def build(checkout, out, say=print, dry_run=False):
    """Build the package's wheel into `out`/code and download the others into `out`/wheels, with a list of their licences.

    Each command is told to `say` before it runs; a dry run runs none. Wheels of an earlier build are removed first.
    Raises DeliveryError where pip fails, a file is not that of the lock, or one of PYTHONS lacks a wheel.
    """
    checkout, code, wheels = Path(checkout), Path(out) / "code", Path(out) / "wheels"
    commands = _commands(checkout, code, wheels)
    if not dry_run:
        # An older wheel would be uploaded as well, and what setuptools left in build/lib would be packed as well.
        shutil.rmtree(checkout / "build" / "lib", ignore_errors=True)
        for folder in (code, wheels):
            for old in [*folder.glob("*.whl"), *folder.glob(LICENCES)]:
                old.unlink()
    for command in commands:
        say(shlex.join(map(str, command)))
        # A fixed date makes the same wheel of the same sources.
        if not dry_run and (code_of_it := subprocess.run(command, env=os.environ | {"SOURCE_DATE_EPOCH": "315532800"}).returncode):
            raise DeliveryError(f"pip failed with exit code {code_of_it} (its own words stand above); nothing can be published yet")
    if not dry_run:
        _check(checkout, code, wheels)
        (wheels / LICENCES).write_text(licences(wheels), encoding="utf-8")


def _commands(checkout, code, wheels):
    lock = _lock(checkout)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    commands = [[*pip, "wheel", checkout, "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", code]]
    for python in PYTHONS:
        target = ["--only-binary=:all:", "--no-deps", "--python-version", python, "--implementation", "cp"]
        target += [f"--platform={platform}" for platform in PLATFORMS]
        commands.append([*pip, "download", *target, "--dest", wheels, *(_locked(name, lock) for name in LACKING)])
    return commands


def _lock(checkout):
    try:
        return (checkout / "requirements.lock").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DeliveryError(f"{checkout} has no readable requirements.lock: {error}") from None


def _locked(name, lock):
    """`name==version` as the lock has it."""
    found = re.search(rf"^{re.escape(name)}==[^\s;\\]+", lock, re.MULTILINE)
    if not found:
        raise DeliveryError(f"requirements.lock has no {name}; add it to pyproject.toml and run `make lock`")
    return found[0]


def _check(checkout, code, wheels):
    """That every Python finds its wheels, and that each is the file of the lock."""
    lock = _lock(checkout)
    for python in PYTHONS:
        choose(code, tag_of(python), [PACKAGE])
        choose(wheels, tag_of(python))
    unknown = [wheel.name for wheel in sorted(wheels.glob("*.whl")) if hashlib.sha256(wheel.read_bytes()).hexdigest() not in lock]
    if unknown:
        raise DeliveryError(f"not the files of requirements.lock, do not upload them: {', '.join(unknown)}")


def tag_of(python):
    """The tag of a CPython version: cp312 of "3.12"."""
    return f"cp{python.replace('.', '')}"


def choose(folder, tag, names=LACKING):
    """The wheels in `folder` that a CPython on x86-64 Linux installs: a dict name -> Path, the newest where several fit.

    tag  such as "cp312". Raises DeliveryError that says what is missing, and what is there, where none fits.
    """
    from packaging.tags import compatible_tags, cpython_tags
    from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

    known = re.fullmatch("cp(3)([0-9]+)", tag)
    if not known:
        raise DeliveryError(f"a Python is named by its tag, such as cp312, got {tag!r}")
    python = (3, int(known[2]))
    platforms = [f"manylinux_2_{minor}_x86_64" for minor in range(GLIBC_MINOR, 4, -1)] + ["manylinux2014_x86_64", "linux_x86_64"]
    accepted = {*cpython_tags(python, platforms=platforms), *compatible_tags(python, tag, platforms)}
    there, best = sorted(Path(folder).glob("*.whl")), {}
    for wheel in there:
        try:
            name, version, _, tags = parse_wheel_filename(wheel.name)
        except InvalidWheelFilename as error:
            raise DeliveryError(f"{wheel} is no wheel's name: {error}") from None
        if tags & accepted and _fits(wheel, python) and (name not in best or version > best[name][0]):
            best[name] = (version, wheel)
    missing = [name for name in names if canonicalize_name(name) not in best]
    if missing:
        shown = ", ".join(wheel.name for wheel in there) or "no wheel"
        raise DeliveryError(f"no wheel of {', '.join(missing)} for {tag} on x86-64 Linux in {folder}; it holds {shown}")
    return {name: best[canonicalize_name(name)][1] for name in names}


def _fits(wheel, python):
    """Whether Requires-Python allows a version of Python, (3, 12) for one."""
    from packaging.specifiers import SpecifierSet

    wanted = _about(wheel)[0].get("Requires-Python")
    return wanted is None or f"{python[0]}.{python[1]}.0" in SpecifierSet(wanted)


def _about(wheel):
    """A wheel's METADATA as a mapping, and the names of all files in it. DeliveryError where it is none."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = archive.namelist()
            (path,) = [name for name in names if re.fullmatch(r"[^/]+\.dist-info/METADATA", name)]
            return message_from_bytes(archive.read(path)), names
    except (OSError, zipfile.BadZipFile, ValueError, KeyError) as error:
        raise DeliveryError(f"{wheel} is no whole wheel ({error}); remove it and run scripts/build_wheels.py again") from None


def licences(folder):
    """What licences the wheels in `folder` come under, as text: of each package, and of the libraries that it brings along."""
    lines = ["Wheels in this dataset, as their makers publish them, and their licences. The full texts are in the wheels."]
    for wheel in sorted(Path(folder).glob("*.whl")):
        about, names = _about(wheel)
        classifiers = [value.split(" :: ")[-1] for value in about.get_all("Classifier", []) if value.startswith("License ::")]
        stated = about.get("License-Expression") or about.get("License") or "; ".join(classifiers) or "not stated in its metadata"
        lines += ["", f"{about['Name']} {about['Version']}: {stated.strip().splitlines()[0]}", f"  file: {wheel.name}"]
        lines += [f"  licence text: {name}" for name in sorted(names) if _LICENCE_FILE.fullmatch(name) and not name.endswith("/")]
        lines += [f"  library inside: {name}" for name in sorted(names) if ".libs/" in name and not name.endswith("/")]
    return "\n".join(lines) + "\n"
