"""A known token is looked for in everything that the commands leave or show, while they run and after."""

import base64
import contextlib
import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
import traceback
from pathlib import Path

import pytest

from siim_kernel.delivery import fetching, steps
from siim_kernel.errors import DeliveryError
from tests.delivery.made_kaggle import CHECKOUT, SOLUTION, USER, at_a_desk

pytestmark = pytest.mark.slow


class Watch(threading.Thread):
    """Looks at the arguments of all processes and at all files below some folders, over and over; `seen` is where a secret was."""

    def __init__(self, secrets, folders):
        super().__init__(daemon=True)
        self.secrets, self.folders, self.seen, self.looks, self.ended = secrets, folders, set(), 0, threading.Event()
        self.processes = set()

    def run(self):
        while not self.ended.wait(0.05):
            self.look()

    def look(self):
        self.looks += 1
        for place in Path("/proc").glob("[0-9]*/cmdline"):
            content = self.search(place)
            if b"kaggle" in content:
                self.processes.add(content)
        for folder in self.folders:
            for place, _, names in os.walk(folder):  # which takes it that folders go meanwhile
                for name in names:
                    self.search(Path(place, name))

    def search(self, place):
        content = b""
        with contextlib.suppress(OSError):
            content = place.read_bytes()
        if any(secret in content for secret in self.secrets):
            self.seen.add(str(place))
        return content

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.join()
        before = self.looks
        self.look()
        assert before > 1, "nobody looked"


@pytest.fixture
def program():
    """None for the client from a warm process."""
    return


@pytest.fixture
def desk(tmp_path, monkeypatch, program):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    with at_a_desk(tmp_path, program) as desk:
        yield desk


def forms(desk, token=None):
    """The secrets as bytes, in the forms in which they travel."""
    basic = base64.b64encode(f"{USER}:{desk.service.key}".encode())
    return [desk.service.key.encode(), basic, *([token.encode()] if token else [])]


def everything(desk):
    """Commands that go well and commands that do not; what they said and their tracebacks."""
    told = []
    desk.have_sources()

    def attempt(act, *arguments, **options):
        try:
            told.append(str(act(desk.client, desk.manifest, *arguments, say=desk.said.append, **options)))
        except DeliveryError:
            told.append(traceback.format_exc())

    attempt(steps.publish, "imagenet-weights", desk.files(a_h5=b"a" * 100_000))
    desk.service.inject("CreateDatasetVersion", 500)
    attempt(steps.publish, "imagenet-weights", desk.files(a_h5=b"b"))
    desk.service.inject("SaveKernel", "reset")
    attempt(steps.push, "inference", steps.Wish())
    images = f"{USER}/siim-kernel-images"
    attempt(lambda client, _, say: fetching.wait(client, images, say))
    desk.service.inject("output", 500)
    attempt(lambda client, _, say: fetching.fetch(client, images, desk.folder / "output", say))
    desk.have_kernel("siim-kernel-inference", submission_csv=SOLUTION)
    desk.service.inject("CreateCodeSubmission", 400)
    attempt(steps.submit, f"{USER}/siim-kernel-inference", 1)
    return "\n".join([*told, *desk.said, repr(desk.client), repr(vars(desk.manifest))])


@pytest.mark.parametrize(("by", "program"), [("key", "kaggle"), ("access token", None), ("file", None)])
def test_the_token_is_nowhere(desk, caplog, capfd, by):
    caplog.set_level(logging.DEBUG)
    given = {"key": {}, "access token": {"KAGGLE_API_TOKEN": desk.service.token}, "file": {"KAGGLE_USERNAME": "", "KAGGLE_KEY": ""}}[by]
    config = Path(desk.service.environment["KAGGLE_CONFIG_DIR"]) / "kaggle.json"
    if by == "file":
        config.parent.mkdir()
        config.write_text(json.dumps({"username": USER, "key": desk.service.key}))
        config.chmod(0o600)
    # VERBOSE would have the client print its requests, with the token in them.
    desk.client = desk.new_client(VERBOSE="1", **given)
    with Watch(forms(desk, desk.service.token), [desk.folder]) as watch:
        told = everything(desk)
    shown = capfd.readouterr()
    for secret in watch.secrets:
        for text in (told, caplog.text, shown.out, shown.err):
            assert secret.decode() not in text
    assert "500 Server Error" in told, "nothing went wrong, so nothing was looked at"
    assert "1 files in" in told, "nothing went well"
    assert "400 Client Error" in told, "nothing was submitted"
    assert watch.processes, "no command was seen"
    assert watch.seen == ({str(config)} if by == "file" else set())


@pytest.mark.parametrize("by", ["key", "access token"])
def test_a_refused_token_is_not_shown(desk, by):
    wrong = "KGAT_wrong_but_secret_all_the_same"
    given = {"KAGGLE_KEY": wrong} if by == "key" else {"KAGGLE_API_TOKEN": wrong}
    command = [sys.executable, CHECKOUT / "scripts" / "fetch_output.py", "inference", "--folder", desk.folder / "out"]
    with Watch([wrong.encode()], [desk.folder]) as watch:
        done = subprocess.run(command, capture_output=True, text=True, env=desk.service.environment | given)
    assert done.returncode == 1
    assert "did not accept the token" in done.stderr
    assert wrong not in done.stdout + done.stderr
    assert watch.seen == set()


def test_the_watch_finds_what_it_looks_for(tmp_path):
    secret = "a" + os.urandom(8).hex()
    with Watch([secret.encode()], [tmp_path]) as watch:
        subprocess.run([sys.executable, "-c", "import time; time.sleep(1)", secret], check=True)
        (tmp_path / "file").write_text(secret)
    assert {place.startswith("/proc/") for place in watch.seen} == {True, False}
