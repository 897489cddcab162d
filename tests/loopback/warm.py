"""The real `kaggle` command, started from a process that has imported what it imports: a tenth of the time of a start from nothing.

`folder()` holds a `kaggle` that hands its arguments, environment, working folder and streams to that process. It forks, and the fork
is the client: the modules of `kaggle` itself, which read the environment as they are imported, are imported anew in each.
"""

import atexit
import contextlib
import functools
import gc
import importlib.util
import io
import json
import os
import random
import select
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

SOCKET = "warm"
FRONT = """#!{python} -IS
import json, os, socket, sys
link = socket.socket(socket.AF_UNIX)
link.connect({path!r})
told = json.dumps([sys.argv[1:], dict(os.environ), os.getcwd()]).encode()
socket.send_fds(link, [len(told).to_bytes(4, "big")], [0, 1, 2])
link.sendall(told)
code = link.recv(1)
sys.exit(code[0] if code else 137)
"""


@functools.cache
def folder():
    """The folder that holds the command, None where it is not installed; the process behind it lives as long as this one."""
    if importlib.util.find_spec("kaggle") is None:
        return None
    place = tempfile.TemporaryDirectory(prefix="warm-kaggle-")
    path = Path(place.name) / SOCKET
    command = Path(place.name) / "kaggle"
    command.write_text(FRONT.format(python=sys.executable, path=str(path)))
    command.chmod(0o755)
    plain = {name: value for name, value in os.environ.items() if not name.startswith("KAGGLE_")}
    plain |= {"KAGGLE_CONFIG_DIR": place.name, "PYTHONUTF8": "1"}
    process = subprocess.Popen(
        [sys.executable, "-P", __file__, path], env=plain, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=place.name
    )
    if process.stdout.readline() != b"ready\n":
        raise RuntimeError("the kaggle command cannot be imported")

    def end():
        process.stdin.close()
        process.wait()
        place.cleanup()

    atexit.register(end)
    return Path(place.name)


def serve(path):
    """Answers at the socket until the standard input ends."""
    parent = os.dup(0)
    with contextlib.redirect_stdout(io.StringIO()):  # it says that there is no token
        import kaggle.cli  # noqa: F401 - for what it imports; it closes the standard input

    for name in [name for name in sys.modules if name.split(".")[0] == "kaggle"]:
        del sys.modules[name]
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the forks
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(path)
        door.listen()
        print("ready", flush=True)
        gc.freeze()
        while True:
            ready, _, _ = select.select([door, parent], [], [])
            if parent in ready:
                return
            link, _ = door.accept()
            if os.fork() == 0:
                door.close()
                code = 1
                try:
                    code = answer(link)
                finally:
                    link.sendall(bytes([code & 255]))
                    os._exit(0)
            link.close()


def answer(link):
    """Is the client, in a fork; returns its exit code."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    size, streams, _, _ = socket.recv_fds(link, 4, 3)
    with link.makefile("rb") as told:
        arguments, environment, here = json.loads(told.read(int.from_bytes(size, "big")))
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    sys.stdin = open(0)  # noqa: SIM115 - for the rest of the process
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(here)
    tempfile.tempdir = None
    random.seed()
    sys.argv = ["kaggle", *arguments]
    try:
        from kaggle.cli import main

        code = main()
    except SystemExit as left:
        code = left.code
    except BaseException:
        traceback.print_exc()
        code = 1
    if isinstance(code, str):
        print(code, file=sys.stderr)
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code or 0


if __name__ == "__main__":
    serve(sys.argv[1])
