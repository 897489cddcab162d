"""The supervisor of a rehearsal: a fresh process that enters the confinement, starts the kernel in it and outlives it.

    python -c "... confine.main(PLAN)"

Processes: caller → supervisor → [pid 1 of the new pid namespace →] prove.py, which becomes the kernel.
"""

import json
import os
import signal
import sys

from siim_kernel.delivery import namespaces, processes, seccomp
from siim_kernel.delivery.libc import PR_SET_CHILD_SUBREAPER, PR_SET_PDEATHSIG, prctl

NAMESPACES, SECCOMP, AUDIT_HOOK = "namespaces", "seccomp", "audit hook"
LEVELS = (NAMESPACES, SECCOMP, AUDIT_HOOK)
SETUP_FAILED = 70


def main(path):
    """Run the plan in the JSON file `path` (made by `sandbox.write_plan`) and exit with the kernel's code.

    When the confinement cannot be entered, one line {"setup": reason} goes to the plan's report descriptor, and nothing runs.
    """
    with open(path, encoding="utf-8") as file:
        plan = json.load(file)
    try:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        prctl(PR_SET_CHILD_SUBREAPER, 1)
        if plan["level"] == NAMESPACES:
            namespaces.separate()
        child = os.fork()
        if child == 0:
            _enter(plan)
    except OSError as error:
        os.write(plan["report"], json.dumps({"setup": str(error)}).encode() + b"\n")
        os._exit(SETUP_FAILED)
    os.close(plan["report"])
    code = _wait(child)
    processes.kill_descendants(os.getpid())
    sys.exit(code)


def _enter(plan):
    """In the child: enter the confinement and become prove.py."""
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if plan["level"] == NAMESPACES:
        namespaces.enter_root(**plan["view"])
        namespaces.raise_loopback()
        namespaces.drop_privileges()
        # This process is pid 1 here: it must stay to reap orphans, and the kernel that runs as pid 1 would ignore signals.
        child = os.fork()
        if child:
            os.close(plan["report"])
            os._exit(_wait(child))
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    elif plan["level"] == SECCOMP:
        seccomp.forbid_sockets()
    os.execve(plan["start"][0], plan["start"], plan["environment"])


def _wait(child):
    """Reap processes until `child` has ended; returns its exit code as a shell gives it (128 + signal)."""
    while True:
        pid, status = os.wait()
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code
