"""The offline rehearsal, notebooks, and the Kaggle client: each is tried, or only looked for where trying it would write or connect."""

import json
import os
import shutil
import sys
import tempfile
from importlib import util
from pathlib import Path

from siim_kernel.doctor.findings import KAGGLE, LACKING, NOTE, NOTEBOOKS, OK, REHEARSAL, Finding
from siim_kernel.doctor.stages import version
from siim_kernel.errors import DeliveryError

SECONDS = 60  # for a kernel that does nothing
NOTEBOOK_PACKAGES = ("nbformat", "nbclient", "ipykernel")
SCRIPT = '"""Does nothing."""\n\n# %%\nprint("ran")\n'
ALLOW = {
    "namespaces": "where user namespaces are forbidden: sysctl kernel.unprivileged_userns_clone=1 (Debian), "
    "kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu); in Docker --security-opt seccomp=unconfined",
    "seccomp": "this kernel or container forbids system call filters; use another",
    "audit hook": "run the rehearsal with a virtual environment of your own",
}
CLIENT = "kaggle==2.2.4"
TOKEN_VARIABLES = ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_KEY")
TOKEN_FILES = ("access_token", "access_token.txt", "kaggle.json", "credentials.json")


def rehearse(level, notebook=False):
    """Run a kernel that does nothing in a confinement; "" where it ran, else why not. `level` as in `delivery.rehearsal`."""
    from siim_kernel.delivery import notebook as notebooks
    from siim_kernel.delivery import rehearsal

    with tempfile.TemporaryDirectory(prefix="siim-kernel-", ignore_cleanup_errors=True) as folder:
        folder = Path(folder)
        name, kind = ("run.ipynb", "notebook") if notebook else ("run.py", "script")
        for place in ("kernel", "input"):
            (folder / place).mkdir()
        metadata = {"id": "me/doctor", "code_file": name, "kernel_type": kind, "language": "python", "enable_internet": False}
        (folder / "kernel" / "kernel-metadata.json").write_text(json.dumps(metadata))
        (folder / "kernel" / name).write_text(notebooks.from_script(SCRIPT) if notebook else SCRIPT)
        lines = []
        try:
            done = rehearsal.rehearse(
                folder / "kernel",
                folder / "input",
                folder / "working",
                level=level,
                limits=rehearsal.Limits(seconds=SECONDS),
                on_line=lines.append,
            )
        except DeliveryError as error:
            return str(error).splitlines()[-1].removeprefix(f"level {level} does not work here: ")
        said = [line for line in lines if not line.startswith("rehearsal: ")]
        return "" if done.ok and said == ["ran"] else f"{done.outcome}{': ' + said[-1] if said else ''}"


def levels():
    """A line for each level of the rehearsal, the strongest first; a weaker one that is not needed is no lack."""
    from siim_kernel.delivery.rehearsal import LEVELS

    faults = {level: rehearse(level) for level in LEVELS}
    used = next((level for level in LEVELS if not faults[level]), None)
    for level, fault in faults.items():
        if fault:
            lost = used is None
            yield Finding(
                stage=REHEARSAL,
                what=level,
                state=LACKING if lost else NOTE,
                detail=f"does not work here: {fault}",
                remedy=ALLOW[level] if lost or LEVELS.index(level) < LEVELS.index(used) else "",
                stops=(REHEARSAL,) if lost else (),
            )
        else:
            detail = "a kernel ran in it and was refused the network" + (": this one is used" if level == used else "")
            yield Finding(stage=REHEARSAL, what=level, state=OK, detail=detail)


def notebooks(strongest):
    """Whether notebooks run, as the submission is one: tried in the level `strongest`, only looked for where that is None."""
    missing = [name for name in NOTEBOOK_PACKAGES if util.find_spec(name) is None]
    if missing:
        detail = f"{', '.join(missing)} not installed; the submission notebook cannot be rehearsed, nor the whole way by dry-run"
        yield Finding(stage=NOTEBOOKS, what="packages", state=LACKING, detail=detail, remedy=f"pip install {' '.join(missing)}")
        return
    found = ", ".join(f"{name} {version(name)}" for name in NOTEBOOK_PACKAGES)
    if strongest is None:
        yield Finding(stage=NOTEBOOKS, what="packages", state=NOTE, detail=f"{found}; not tried, as no offline level works")
    elif fault := rehearse(strongest, notebook=True):
        remedy = f"pip install --force-reinstall {' '.join(NOTEBOOK_PACKAGES)}"
        yield Finding(stage=NOTEBOOKS, what="packages", state=LACKING, detail=f"a notebook does not run: {fault}", remedy=remedy)
    else:
        yield Finding(stage=NOTEBOOKS, what="packages", state=OK, detail=f"{found}; a notebook ran offline")


def client():
    """The Kaggle client and whether there is a token for it: looked for, neither started nor read."""
    # Importing or starting the client would log in.
    program, found = shutil.which("kaggle"), version("kaggle") if util.find_spec("kaggle") else ""
    bin_folder = Path(sys.executable).parent
    if not program and not found:
        remedy = "pip install 'siim-kernel[kaggle]'"
        detail = "not installed; publishing, pushing and submitting need it"
        yield Finding(stage=KAGGLE, what="client", state=LACKING, detail=detail, remedy=remedy)
    elif found and util.find_spec("six") is None:
        detail = f"kaggle {found} lacks the package six and does not start"
        yield Finding(stage=KAGGLE, what="client", state=LACKING, detail=detail, remedy="pip install six")
    elif not program:
        detail, remedy = f"kaggle {found}, and no command kaggle on PATH", f"activate the environment, or put {bin_folder} on PATH"
        yield Finding(stage=KAGGLE, what="client", state=NOTE, detail=detail, remedy=remedy)
    else:
        other = "" if f"kaggle=={found}" == CLIENT else f"; the scripts were written for {CLIENT}"
        yield Finding(stage=KAGGLE, what="client", state=OK, detail=f"kaggle {found or 'of another Python'}, {program}{other}")
    yield _of_token()


def _of_token():
    variables = [name for name in TOKEN_VARIABLES if os.environ.get(name)]
    files = [place / name for place in token_folders() for name in TOKEN_FILES if (place / name).is_file()]
    pair = {"KAGGLE_USERNAME", "KAGGLE_KEY"}
    if len(pair & set(variables)) == 1 and "KAGGLE_API_TOKEN" not in variables and not files:
        lone, other = variables[0], *(pair - set(variables))
        detail = f"{lone} is set and {other} is not; they go together"
        return Finding(stage=KAGGLE, what="token", state=LACKING, detail=detail, remedy=f"set {other} too, or take KAGGLE_API_TOKEN")
    if not variables and not files:
        remedy = "make a token in your Kaggle settings and put it in ~/.kaggle/access_token, or in KAGGLE_API_TOKEN"
        # A session on Kaggle itself needs none.
        state = NOTE if Path("/kaggle/working").is_dir() else LACKING
        return Finding(
            stage=KAGGLE, what="token", state=state, detail="none found; publishing, pushing and submitting need one", remedy=remedy
        )
    detail = f"present, not read: {', '.join([*variables, *map(str, files)])}"
    open_files = [str(path) for path in files if path.stat().st_mode & 0o077]
    if open_files:
        remedy = f"chmod 600 {' '.join(open_files)}"
        return Finding(stage=KAGGLE, what="token", state=NOTE, detail=f"{detail}; others on this machine can read it", remedy=remedy)
    return Finding(stage=KAGGLE, what="token", state=OK, detail=detail)


def token_folders():
    """Where the client looks for its files, each once."""
    stated, home = os.environ.get("KAGGLE_CONFIG_DIR"), Path.home()
    shared = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
    return list(dict.fromkeys([*([Path(stated)] if stated else []), home / ".kaggle", shared / "kaggle"]))
