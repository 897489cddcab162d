"""The real `kaggle` command, started from a process that has imported what it imports: a tenth of the time of a start from nothing.

`folder()` holds a `kaggle` that hands its arguments, environment, working folder and streams to that process. It forks, and the fork
is the client: the modules of `kaggle` itself, which read the environment as they are imported, are imported anew in each. The
process itself knows no token and no way out of this machine, whoever starts it. A fork ends with the command that it is for.

SIIM_KERNEL_COLD_KAGGLE=1      everything with the command as it is installed, from nothing
LONGEST_SLEEP (for a client)   seconds, so that its pauses before it tries again are no longer
"""

import atexit
import contextlib
import functools
import gc
import importlib.util
import io
import os
import random
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path

COLD = "SIIM_KERNEL_COLD_KAGGLE"
LONGEST_SLEEP = "SIIM_KERNEL_LONGEST_SLEEP"
PLACES = "/tmp"  # whatever a test's temporary folder is: the path of a socket has 107 bytes
NOWHERE = "http://127.0.0.1:9"  # nothing listens there
SOCKET = "warm"
KILLED = 137
# With next to no imports: they are half of its time.
FRONT = """#!{python} -IS
import _socket, posix, sys
link = _socket.socket(_socket.AF_UNIX)
link.connect({path!r})
words = [word.encode(errors="surrogateescape") for word in [posix.getcwd(), *sys.argv[1:]]]
told = b"\\0".join([b"%d" % len(words), *words, *map(b"=".join, posix.environ.items())])
streams = b"".join(number.to_bytes(4, sys.byteorder) for number in (0, 1, 2))
link.sendmsg([len(told).to_bytes(4, "big")], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, streams)])
link.sendall(told)
code = link.recv(1)
sys.exit(code[0] if code else {killed})
"""


@functools.cache
def folder():
    """The folder that holds the command, None where it is not installed; the process behind it lives as long as this one."""
    if importlib.util.find_spec("kaggle") is None or os.environ.get(COLD):
        return None
    return start().folder


class start:
    """A new warm process: its `folder`, and its `process`, which ends with this one."""

    def __init__(self):
        place = tempfile.TemporaryDirectory(prefix="warm-kaggle-", dir=PLACES)
        self.folder = Path(place.name)
        path, command = self.folder / SOCKET, self.folder / "kaggle"
        command.write_text(FRONT.format(python=sys.executable, path=str(path), killed=KILLED))
        command.chmod(0o755)
        self.process = subprocess.Popen(
            [sys.executable, "-P", __file__, path],
            env=environment(self.folder),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=self.folder,
        )
        if self.process.stdout.readline() != b"ready\n":
            raise RuntimeError("the kaggle command cannot be imported")

        def end():
            self.process.stdin.close()
            self.process.wait()
            place.cleanup()

        atexit.register(end)


def environment(place):
    """The whole environment of the warm process: the client authenticates as it is imported, and must find nobody's token there."""
    proxies = {f"{kind}_proxy": NOWHERE for kind in ("http", "https", "all")} | {"no_proxy": ""}
    homes = ("HOME", "XDG_CONFIG_HOME", "KAGGLE_CONFIG_DIR", "TMPDIR")
    return {
        **{"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8", "PYTHONUTF8": "1", "KAGGLE_API_ENVIRONMENT": "LOCALHOST"},
        **{name: str(place) for name in homes},
        **proxies,
        **{name.upper(): value for name, value in proxies.items()},
    }


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
                    with contextlib.suppress(OSError):
                        link.sendall(bytes([code & 255]))
                    os._exit(0)
            link.close()


def answer(link):
    """Is the client, in a fork; returns its exit code."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    gc.disable()  # it does not live long
    size, streams, _, _ = socket.recv_fds(link, 4, 3)
    with link.makefile("rb") as told:
        count, *words = map(os.fsdecode, told.read(int.from_bytes(size, "big")).split(b"\0"))
    here, *arguments = words[: int(count)]
    environment = dict(pair.split("=", 1) for pair in words[int(count) :])
    threading.Thread(target=end_with, args=(link,), daemon=True).start()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    sys.stdin = open(0)  # noqa: SIM115 - for the rest of the process
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(here)
    tempfile.tempdir = None
    random.seed()
    if LONGEST_SLEEP in environment:
        longest, sleep = float(environment[LONGEST_SLEEP]), time.sleep
        time.sleep = lambda seconds: sleep(min(seconds, longest))
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


def end_with(link):
    """Ends this process when the one at the other end is gone: it was killed, and so is what it stands for."""
    while link.recv(1):
        pass
    os._exit(KILLED)


if __name__ == "__main__":
    serve(sys.argv[1])
