"""Run a kernel folder as Kaggle would: offline, on a read-only input, within limits of time, memory and disk.

Three levels of confinement, the strongest that the machine allows is used:

namespaces   Linux namespaces and a root folder of its own: Kaggle's paths, no network but loopback, read-only input, no sight
             of the caller's files
seccomp      a system call filter: no sockets but Unix ones, for every child and program; the caller's files are visible
audit hook   a hook in Python: no outside addresses for Python code; C code and other programs could pass

In every level the run proves itself before the kernel starts: a child process in the same confinement tries to connect and must
be refused.
"""

import contextlib
import json
import os
import select
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from siim_kernel.delivery import kernel_folders, processes, sandbox
from siim_kernel.delivery.confine import AUDIT_HOOK, LEVELS, NAMESPACES, SECCOMP
from siim_kernel.delivery.listing import changes, list_files
from siim_kernel.delivery.watch import Limits, watch
from siim_kernel.errors import DeliveryError

PROOF_SECONDS = 60
KAGGLE_LIMITS = Limits()
WEAKNESS = {
    NAMESPACES: (),
    SECCOMP: (
        "there is no /kaggle: the kernel gets its folders by SIIM_KERNEL_INPUT and SIIM_KERNEL_WORKING",
        "the machine's files stay visible, this checkout too; the input is compared before and after the run",
        "loopback connections are refused as well",
    ),
    AUDIT_HOOK: (
        "there is no /kaggle: the kernel gets its folders by SIIM_KERNEL_INPUT and SIIM_KERNEL_WORKING",
        "the machine's files stay visible, this checkout too; the input is compared before and after the run",
        "the network is refused to Python code only; C code and other programs are not held",
    ),
}
_START = "import sys; sys.path.insert(0, sys.argv[1]); from siim_kernel.delivery import confine; confine.main(sys.argv[2])"


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """How a rehearsal went.

    level          namespaces, seccomp or audit hook
    proof          lines that say what was tried inside the confinement, and how it was refused
    notes          lines on what this level does not hold, why stronger ones were not used, and on the metadata
    returncode     the kernel's exit code; 128 + N when signal N ended it
    seconds        of the kernel alone
    peak_bytes     largest memory of the kernel's process tree (polled; pages shared by several processes count once)
    working_bytes  in the working folder at the end
    killed         the limit that the kernel broke, such as "over 900 s"; "" when it kept all
    changed        input files that the kernel changed (only levels without a read-only input can have some)
    log            the kernel's output
    """

    level: str
    proof: tuple[str, ...]
    notes: tuple[str, ...]
    returncode: int
    seconds: float
    peak_bytes: int
    working_bytes: int
    killed: str
    changed: tuple[str, ...]
    log: Path

    @property
    def ok(self):
        """Whether the kernel ended by itself with exit code 0, within its limits, and left its input alone."""
        return self.returncode == 0 and not self.killed and not self.changed

    @property
    def outcome(self):
        """One line: "exit code 0", "killed: over 900 s", ..."""
        text = f"killed: {self.killed}" if self.killed else f"exit code {self.returncode}"
        return f"{text}; changed its input: {', '.join(self.changed[:5])}" if self.changed else text


def rehearse(
    kernel_folder, input_dir, working_dir, *, parameters=None, limits=KAGGLE_LIMITS, level=None, python=sys.executable, on_line=None
):
    """Run the kernel in `kernel_folder` with `input_dir` as /kaggle/input and `working_dir` as /kaggle/working; a `Rehearsal`.

    working_dir  empty or absent; the log is written beside it, as `<working_dir>.log`
    parameters   dict of other values for the kernel's PARAMETERS block
    level        one of `LEVELS`, or None for the strongest that works here
    python       interpreter that runs the kernel, with its packages
    on_line      called with each line of output, without its end

    A kernel that fails or breaks a limit is told by the result. DeliveryError is for what prevents the run: a folder that is
    missing or not empty, no confinement that works here, no proof that it holds, no nbclient for a notebook.
    """
    if not sys.platform.startswith("linux"):
        raise DeliveryError(f"a rehearsal needs Linux, this is {sys.platform}; use a Linux container or machine (on Windows: WSL 2)")
    if level is not None and level not in LEVELS:
        raise DeliveryError(f"level is one of {', '.join(LEVELS)}, got {level!r}")
    input_dir, working_dir = _folders(input_dir, working_dir)
    interpreter = sandbox.ask_interpreter(python)

    with tempfile.TemporaryDirectory(prefix="siim-kernel-", ignore_cleanup_errors=True) as staging:
        staging = Path(staging).resolve()
        metadata, notes = _stage(kernel_folder, staging, parameters, interpreter)
        log = working_dir.with_name(f"{working_dir.name}.log")
        with open(log, "w", encoding="utf-8") as file, contextlib.ExitStack() as cleanup:

            def tell(line):
                file.write(line + "\n")
                file.flush()
                if on_line:
                    on_line(line)

            def start(each):
                arguments = (interpreter, input_dir, working_dir, metadata["code_file"], metadata["kernel_type"] == "notebook")
                process, report = _start(staging, each, arguments)
                cleanup.callback(process.stdout.close)
                cleanup.callback(processes.kill_tree, process)
                return process, report

            used, process, proof, refused = _first_that_works(LEVELS if level is None else (level,), start)
            notes = (*refused, *WEAKNESS[used], *notes)
            for line in (f"level {used}", *proof, *notes):
                tell(f"rehearsal: {line}")
            before = {} if used == NAMESPACES else list_files(input_dir)
            watched = watch(process, limits, working_dir, staging / "scratch", tell)
            changed = () if used == NAMESPACES else changes(before, list_files(input_dir))
            result = Rehearsal(level=used, proof=proof, notes=notes, changed=changed, log=log, **watched)
            tell(f"rehearsal: {result.outcome}")
            return result


def _folders(input_dir, working_dir):
    input_dir, working_dir = Path(input_dir).resolve(), Path(working_dir).resolve()
    if not input_dir.is_dir():
        raise DeliveryError(f"the input {input_dir} is not a folder; it holds one folder for each data source, as /kaggle/input does")
    if working_dir.is_relative_to(input_dir) or input_dir.is_relative_to(working_dir):
        raise DeliveryError(f"the working folder {working_dir} and the input {input_dir} must not lie one in the other")
    if working_dir.exists() and (not working_dir.is_dir() or any(working_dir.iterdir())):
        raise DeliveryError(f"the working folder {working_dir} is not an empty folder; Kaggle starts every session with an empty one")
    working_dir.mkdir(parents=True, exist_ok=True)
    return input_dir, working_dir


def _stage(kernel_folder, staging, parameters, interpreter):
    """Write the kernel's copy to `staging`/src; its metadata, and notes on it."""
    copy = kernel_folders.write_copy(kernel_folder, staging / "kernel", parameters)
    metadata = kernel_folders.read_metadata(copy)
    if metadata.get("language", "python") != "python":
        raise DeliveryError(f"{kernel_folder}: only kernels in python can be rehearsed, this one is in {metadata['language']!r}")
    if metadata["kernel_type"] == "notebook" and interpreter.missing:
        missing = " and ".join(interpreter.missing)
        raise DeliveryError(f"{interpreter.executable} lacks {missing} to run a notebook; install them: pip install nbclient ipykernel")
    # Kaggle takes the code file alone: whatever else stands in the folder must not help here.
    (copy / kernel_folders.METADATA).unlink()
    copy.rename(staging / "src")
    if str(metadata.get("enable_internet", True)).lower() != "false":
        return metadata, ("kernel-metadata.json does not switch enable_internet off; the rehearsal is offline all the same",)
    return metadata, ()


def _start(staging, level, arguments):
    """Start the supervisor for `level`: its Popen, and the reading end of its report."""
    reading, writing = os.pipe()
    try:
        plan = sandbox.write_plan(staging, level, *arguments, report=writing)
        process = subprocess.Popen(
            [sys.executable, "-I", "-c", _START, str(sandbox.PACKAGE.parent), str(plan)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # The supervisor can be seen from inside, so it gets nothing of the caller's environment either.
            env={},
            cwd="/",
            pass_fds=[writing],
            # Ctrl-C at the terminal must reach the caller alone, which then ends the tree.
            start_new_session=True,
        )
    except BaseException:
        os.close(reading)
        raise
    finally:
        os.close(writing)
    return process, reading


def _first_that_works(levels, start):
    """The first level that can be set up, its process, its proof, and a line for each stronger level on why it was not used."""
    refused = []
    for level in levels:
        process, report = start(level)
        with open(report, "rb") as file:
            ready = select.select([file], [], [], PROOF_SECONDS)[0]
            line = file.readline() if ready else b""
        if not ready:
            raise DeliveryError(f"level {level}: no proof of being offline within {PROOF_SECONDS} s")
        if not line:
            processes.kill_tree(process)
            output = process.stdout.read().decode(errors="replace").strip()[-500:]
            refused.append(f"level {level} does not work here: {output or f'it ended with exit code {process.returncode}'}")
            continue
        answer = json.loads(line)
        if "refuted" in answer:
            raise DeliveryError(f"level {level} does not hold, so the kernel was not started: {'; '.join(answer['refuted'])}")
        if "proof" in answer:
            return level, process, tuple(answer["proof"]), tuple(refused)
        refused.append(f"level {level} does not work here: {answer['setup']}")
    raise DeliveryError("\n".join(["no confinement for a rehearsal works on this machine:", *refused]))
