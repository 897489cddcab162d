"""The official `kaggle` command as a subprocess: found, of the right version, run once, its answer kept without secrets."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from siim_kernel.delivery.credentials import scrub, secrets_in
from siim_kernel.errors import DeliveryError

VERSION = "2.2.4"
INSTALL = f"pip install kaggle=={VERSION} six"
# Every KAGGLE_ variable becomes a setting of the client (a competition, a folder, a proxy), so no others are passed on.
PASSED = ("KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_API_TOKEN", "KAGGLE_CONFIG_DIR", "KAGGLE_API_ENVIRONMENT")
TIMED_OUT = 124
REFUSED = re.compile(r"\b4(?!29|08)\d\d Client Error")  # 408 and 429 may pass when asked again
CHATTER = ("Starting upload", "Upload successful", "Traceback", "File ", "^", "Output file downloaded", "Kernel log downloaded")


@dataclass(frozen=True)
class Answer:
    """What a command left: exit code, standard output and error without secrets."""

    code: int
    out: str
    err: str

    @property
    def refused_login(self):
        """Whether Kaggle, or the client by itself, found no valid token. (An access token that is refused makes it a traceback.)"""
        told = self.out + self.err
        return self.code != 0 and ("Authentication required to call the Kaggle API" in told or "401 Client Error" in told)

    @property
    def refused(self):
        """Whether Kaggle said clearly that it did not do it: no valid token, or an error of the 4xx kind that no retry mends."""
        return self.refused_login or (self.code != 0 and bool(REFUSED.search(self.out + self.err)))

    @property
    def reason(self):
        """The last lines that say something, for messages."""
        if self.refused_login:
            return "Kaggle did not accept the token, or there is none (KAGGLE_API_TOKEN, KAGGLE_USERNAME and KAGGLE_KEY, or ~/.kaggle)"
        lines = [line.strip() for text in (self.out, self.err) for line in text.split("\n")]
        lines = [re.sub(r" for url: \S+", "", line.rpartition("\r")[2]) for line in lines]
        told = [line for line in lines if line and "%|" not in line and not line.startswith(CHATTER)]
        return " / ".join(told[-3:]) or f"exit code {self.code} without a word"


class Command:
    """Runs the Kaggle command of the environment's owner.

    environment  dict of environment variables, of which the client's own get through
    program      the command, a name or a path
    say, sleep   told of each wait; waits a number of seconds
    """

    def __init__(self, environment, program="kaggle", say=print, sleep=time.sleep):
        wanted = environment.get("KAGGLE_API_ENVIRONMENT")
        if wanted not in (None, "", "LOCALHOST"):
            raise DeliveryError(
                f"KAGGLE_API_ENVIRONMENT is {wanted!r}; the Kaggle client knows LOCALHOST alone and takes anything else for kaggle.com, "
                "without a word. Unset it, or give LOCALHOST"
            )
        kept = {name: value for name, value in environment.items() if not name.startswith("KAGGLE_") or name in PASSED}
        kept.pop("VERBOSE", None)  # it makes the client print its requests, with the token in their headers
        kept["PYTHONUTF8"] = "1"
        self._environment = kept
        self._secrets = secrets_in(kept)
        self._program = _find(program, kept)
        self._version_seen = False
        self.say, self.sleep = say, sleep

    def __repr__(self):
        return f"{type(self).__name__}({self._program})"

    def run(self, arguments, timeout=900):
        """Runs `kaggle ARGUMENTS` once, in a temporary folder of its own, and returns its `Answer`; never again by itself.

        timeout  seconds, after which the command is ended and the answer's code is 124

        Raises DeliveryError where the command is not there or is of another version than the one this was written for.
        """
        self._require_version()
        return self._run(["-W", *map(str, arguments)], timeout)

    def _run(self, arguments, timeout):
        # Unfinished uploads are remembered in TMPDIR by path, size and second; a used folder could bring an old file back.
        with tempfile.TemporaryDirectory(prefix="siim-kernel-") as folder:
            process = subprocess.Popen(
                [self._program, *arguments],
                env=self._environment | {"TMPDIR": folder},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
            code = None
            try:
                out, err = process.communicate(timeout=timeout)
            except subprocess.TimeoutExpired:
                _kill(process)
                out, err = process.communicate()
                code, err = TIMED_OUT, err + f"\nno answer within {timeout:g} s".encode()
            except BaseException:
                _kill(process)
                raise
        texts = (scrub(data.decode(errors="replace").replace(folder, "TMPDIR"), self._secrets) for data in (out, err))
        return Answer(process.returncode if code is None else code, *texts)

    def _require_version(self):
        if self._version_seen:
            return
        answer = self._run(["--version"], 120)
        found = answer.out.strip().removeprefix("Kaggle CLI ")
        if answer.code or found != VERSION:
            raise DeliveryError(f"{self._program} is version {found or answer.reason}, this was written for {VERSION}; {INSTALL}")
        self._version_seen = True


def _find(program, environment):
    """The command beside this interpreter (the one of the lock), else on the PATH."""
    beside = Path(sys.executable).parent / program
    if os.sep not in program and beside.is_file():
        return str(beside)
    found = shutil.which(program, path=environment.get("PATH"))
    if not found:
        raise DeliveryError(f"{program} is not on the PATH: activate the environment (. .venv/bin/activate), or {INSTALL}")
    return found


def _kill(process):
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
