"""The first step inside a rehearsal: prove that there is no network and no way to write the input, then become the kernel.

    python prove.py PLAN.json

It runs in the kernel's interpreter, environment and confinement. One JSON line goes to the report's descriptor:
{"proof": [...]} or {"refuted": [...]}. Without proof the kernel does not start.
"""

import contextlib
import errno
import json
import os
import subprocess
import sys

# 192.0.2.1 is TEST-NET-1 (RFC 5737): nobody answers there. A reserved top-level name would fail to resolve online as well.
ADDRESS = ("192.0.2.1", 80)
NAME = "example.com"
REFUSALS = (errno.ENETUNREACH, errno.EACCES, errno.EPERM)
WRITE_REFUSALS = (errno.EROFS, errno.EACCES, errno.EPERM)


def connect():
    """Try to connect and to look a name up: a pair (held, line) for each. Meant for a child process."""
    import socket

    try:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as connection:
            connection.settimeout(3)
            connection.connect(ADDRESS)
        yield False, f"connect to {ADDRESS[0]} in a child process: connected"
    except OSError as error:
        yield error.errno in REFUSALS, f"connect to {ADDRESS[0]} in a child process: {error}"
    try:
        socket.getaddrinfo(NAME, ADDRESS[1])
        yield False, f"name lookup of {NAME} in a child process: answered"
    except OSError as error:
        yield True, f"name lookup of {NAME} in a child process: {error}"


def write_input(folder):
    """Try to create a file in `folder` and in each folder of it, and to open its first file for writing."""
    folders = [folder] + [entry.path for entry in os.scandir(folder) if entry.is_dir()]
    trials = [(os.path.join(place, ".write-trial"), os.O_CREAT | os.O_EXCL | os.O_WRONLY) for place in folders]
    files = (os.path.join(place, name) for place, _, names in os.walk(folder) for name in sorted(names))
    trials += [(path, os.O_WRONLY) for path in [next(files, None)] if path]
    lines = []
    for path, flags in trials:
        try:
            os.close(os.open(path, flags))
        except OSError as error:
            if error.errno not in WRITE_REFUSALS:
                return False, f"write into the input: {error}"
            lines.append(f"write into the input: {error}")
            continue
        if flags & os.O_CREAT:
            os.unlink(path)
        return False, f"write into the input: {path} could be opened for writing"
    return True, lines[0]


def write_working(folder):
    """Try to create a file in the working folder; it must work."""
    path = os.path.join(folder, ".write-trial")
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        os.unlink(path)
    except OSError as error:
        return False, f"write into the working folder: {error}; its owner must be the one who runs the rehearsal"
    return True, "write into the working folder: allowed"


def main(path):
    """Prove, report, and replace this process by the kernel's."""
    with open(path, encoding="utf-8") as file:
        plan = json.load(file)
    os.set_inheritable(plan["report"], False)
    child = subprocess.run([sys.executable, __file__, "--connect"], capture_output=True, text=True, check=False)
    try:
        results = json.loads(child.stdout)
    except ValueError:
        results = [(False, f"the child process that tries to connect failed: {child.stderr.strip()[-500:]}")]
    if plan["read_only"]:
        results.append(write_input(plan["input"]))
    results.append(write_working(plan["working"]))
    held = all(result for result, _ in results)
    lines = [line for result, line in results if held or not result]
    # The caller may be gone; then there is nobody to tell, and its end ends this process too.
    with contextlib.suppress(BrokenPipeError):
        os.write(plan["report"], json.dumps({"proof" if held else "refuted": lines}).encode() + b"\n")
    if not held:
        sys.exit(70)
    os.close(plan["report"])
    os.chdir(plan["working"])
    os.execv(plan["command"][0], plan["command"])


if __name__ == "__main__":
    if sys.argv[1] == "--connect":
        print(json.dumps(list(connect())))
    else:
        main(sys.argv[1])
