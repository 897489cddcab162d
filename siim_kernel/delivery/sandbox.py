"""What a kernel sees of the machine: its folders, its environment, and the interpreter that runs it."""

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from siim_kernel.delivery import confine
from siim_kernel.errors import DeliveryError

INSIDE = Path(__file__).parent / "inside"
PACKAGE = Path(__file__).parents[1]

# What programs need of the system. Nothing that tells of the caller, its network or its name servers.
SYSTEM = (
    *("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store", "/sys/devices/system"),
    *("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives", "/etc/fonts", "/etc/localtime", "/etc/mime.types"),
)
SYSTEM_FILES = {
    "/etc/passwd": "root:x:0:0:root:/tmp:/bin/sh\n",
    "/etc/group": "root:x:0:\n",
    "/etc/hosts": "127.0.0.1 localhost\n::1 localhost\n",
}
_ASK = """
import importlib.util, json, sys, sysconfig
spec = importlib.util.find_spec("siim_kernel")
folders = {sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix, *sysconfig.get_paths().values()}
missing = [name for name in ("nbclient", "ipykernel") if importlib.util.find_spec(name) is None]
print(json.dumps({"executable": sys.executable, "folders": sorted(folders), "missing": missing,
                  "packages": list(spec.submodule_search_locations or ()) if spec else []}))
"""


@dataclass(frozen=True)
class Interpreter:
    """A Python: its absolute path, the folders it lives in, where it finds this package, what it lacks to run notebooks."""

    executable: str
    folders: list[str]
    packages: list[str]
    missing: list[str]


def ask_interpreter(python):
    """The `Interpreter` at the path or command name `python`; DeliveryError when it does not run."""
    found = shutil.which(python)
    if found is None:
        raise DeliveryError(f"no Python interpreter at {python}")
    run = subprocess.run([found, "-I", "-c", _ASK], capture_output=True, text=True, check=False)
    if run.returncode:
        raise DeliveryError(f"{found} does not run: {run.stderr.strip()[-500:] or f'exit code {run.returncode}'}")
    # Its own answer to where it is: the command may be a version manager's shell script, and a virtual environment's python is
    # a link whose path must not be resolved.
    return Interpreter(**json.loads(run.stdout))


@dataclass(frozen=True)
class Places:
    """Where the kernel finds things, as absolute paths that hold inside its confinement."""

    source: str
    tools: str
    input: str
    working: str
    scratch: str


KAGGLE = Places(source="/kaggle/src", tools="/rehearsal", input="/kaggle/input", working="/kaggle/working", scratch="/tmp")


def environment(python, places, guarded=False):
    """The kernel's environment: nothing of the caller's but its language; with the audit hook on PYTHONPATH when `guarded`."""
    language = {name: value for name, value in os.environ.items() if name in ("LANG", "LANGUAGE") or name.startswith("LC_")}
    guard = {"PYTHONPATH": places.tools} if guarded else {}
    return {
        "PATH": ":".join([str(Path(python).parent), "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]),
        # Caches under the caller's HOME would hide that an attachment is missing.
        "HOME": places.scratch,
        "TMPDIR": places.scratch,
        "PYTHONUNBUFFERED": "1",
        "SIIM_KERNEL_INPUT": places.input,
        "SIIM_KERNEL_WORKING": places.working,
        **language,
        **guard,
    }


def write_plan(staging, level, interpreter, input_dir, working_dir, code_file, notebook, report):
    """Lay out `staging` (it holds the kernel's code in `src`) for `level`; returns the path of the plan for `confine.main`.

    `report` is the file descriptor for the setup's failure or the proof.
    """
    tools = staging / "tools"
    tools.mkdir(exist_ok=True)
    for name in ("prove.py", "run_notebook.py"):
        shutil.copyfile(INSIDE / name, tools / name)
    if level == confine.AUDIT_HOOK:
        shutil.copyfile(INSIDE / "audit_hook.py", tools / "sitecustomize.py")
    for name in ("scratch", "root", "empty"):
        (staging / name).mkdir(exist_ok=True)

    places = Places(*map(str, (staging / "src", tools, input_dir, working_dir, staging / "scratch")))
    view = None
    if level == confine.NAMESPACES:
        view = _view(staging, places, interpreter)
        places = KAGGLE
    python, code = interpreter.executable, f"{places.source}/{code_file}"
    plan = {
        "level": level,
        "report": report,
        "view": view,
        "environment": environment(python, places, guarded=level == confine.AUDIT_HOOK),
        "start": [python, f"{places.tools}/prove.py", f"{places.tools}/plan.json"],
        "command": [python, f"{places.tools}/run_notebook.py", code, places.working] if notebook else [python, code],
        "input": places.input,
        "working": places.working,
        "read_only": level == confine.NAMESPACES,
    }
    path = tools / "plan.json"
    path.write_text(json.dumps(plan), encoding="utf-8")
    return path


def _view(staging, outside, interpreter):
    """Arguments of `namespaces.enter_root` for Kaggle's folders around this interpreter."""
    folders = [(outside.scratch, KAGGLE.scratch), (outside.working, KAGGLE.working)]
    links = {"/kaggle/temp": KAGGLE.scratch}
    shown = []

    def covered(place):
        return any(Path(place).is_relative_to(folder) for folder in shown)

    def show(folder):
        if not covered(folder):
            shown.append(folder)
            folders.append((folder, folder))

    for place in SYSTEM:
        if os.path.islink(place):
            links[place] = os.readlink(place)
            shown.append(place)
        elif os.path.exists(place):
            show(place)
    # Both names of each folder: the one that links and scripts use, and the one that it really has. Short ones first.
    for folder in sorted({*interpreter.folders, *map(os.path.realpath, interpreter.folders)}, key=len):
        if folder == "/":
            raise DeliveryError(f"{interpreter.executable} lives in the root folder itself; run the rehearsal with a virtual environment")
        if os.path.isdir(folder):
            show(folder)
    program = interpreter.executable
    while os.path.islink(program):
        if not covered(program):
            links[program] = os.readlink(program)
        program = os.path.normpath(os.path.join(os.path.dirname(program), os.readlink(program)))
    show(program)
    # The kernel shall prove that it installs this package from its input, so the interpreter's own must not be found.
    packages = {os.path.realpath(folder) for folder in (*interpreter.packages, PACKAGE)}
    folders += [(str(staging / "empty"), folder) for folder in sorted(packages) if covered(folder)]

    folders += [(outside.source, KAGGLE.source), (outside.tools, KAGGLE.tools), *show_input(outside.input, KAGGLE.input)]
    return {
        "root": os.path.realpath(staging / "root"),
        "folders": folders,
        "files": SYSTEM_FILES,
        "links": links,
        "writable": [KAGGLE.scratch, KAGGLE.working],
    }


def show_input(source, place, above=()):
    """Pairs (source, place) that show the input folder `source` at `place` with every link that leads out of it resolved.

    A pair with source "" is a folder made for the pairs below it. Raises DeliveryError for links to nothing and in circles.
    """
    real = os.path.realpath(source)
    if not os.path.exists(real):
        raise DeliveryError(f"the input holds {source}, a link to {real}, which does not exist; mend or remove it")
    if real in above:
        raise DeliveryError(f"the input holds {source}, a link to a folder that holds it ({real}); remove it")
    if not os.path.isdir(real) or not _has_outer_links(real):
        return [(real, place)]
    pairs = [("", place)]
    for name in sorted(os.listdir(real)):
        pairs += show_input(os.path.join(real, name), f"{place}/{name}", (*above, real))
    return pairs


def _has_outer_links(folder):
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = os.path.join(place, name)
            if os.path.islink(path) and (os.path.isabs(os.readlink(path)) or not Path(os.path.realpath(path)).is_relative_to(folder)):
                return True
    return False
