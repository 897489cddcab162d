"""The warm client is the real one: the same answers, nobody's token, and an end when its command is ended."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.loopback import warm
from tests.loopback.folders import COMPETITION
from tests.loopback.service import USER

KERNEL, DATASET = f"{USER}/small-kernel", f"{USER}/small-data"
PLANTED = "KGAT_planted0token0that0must0never0leave"

pytestmark = pytest.mark.skipif(warm.folder() is None, reason="no warm client: not installed, or SIIM_KERNEL_COLD_KAGGLE is set")


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ("--version",),
        ("quota", "-v"),
        ("kernels", "status", f"{USER}/no-kernel"),
        ("datasets", "files", DATASET, "--format", "json"),
        ("competitions", "submissions", COMPETITION, "-v"),
        ("kernels", "push", "-p", "/nowhere"),
        ("kernels", "pish", "", "ä b"),
    ],
    ids=" ".join,
)
def test_cold_and_warm_say_the_same(service, competition, arguments):
    service.give_dataset(DATASET, {"a.txt": "hello"})
    service.give_kernel(KERNEL, {"submission.csv": "x"})
    cold = Path(sys.executable).parent / "kaggle"
    if not cold.is_file():
        pytest.skip(f"no {cold}")
    told = []
    for program in (cold, warm.folder() / "kaggle"):
        done = subprocess.run(
            [program, "-W", *arguments], env=service.environment, capture_output=True, text=True, stdin=subprocess.DEVNULL
        )
        told.append((done.returncode, done.stdout, done.stderr))
    assert told[0] == told[1]
    assert told[0][1] + told[0][2]


@pytest.fixture
def eavesdropper():
    """A port on which somebody listens, and the connections that came."""
    came = []
    with socket.create_server(("127.0.0.1", 0)) as door:
        door.settimeout(0.05)
        ended = threading.Event()

        def listen():
            while not ended.is_set():
                try:
                    link, _ = door.accept()
                except TimeoutError:
                    continue
                came.append(link.recv(1000))
                link.close()

        thread = threading.Thread(target=listen)
        thread.start()
        yield door.getsockname()[1], came
        ended.set()
        thread.join()


def planted(home, port):
    """An environment with a token wherever the client looks for one, and a way to the world that is listened to."""
    (home / ".kaggle").mkdir(parents=True)
    (home / ".kaggle" / "access_token").write_text(PLANTED)
    (home / "kaggle").mkdir()
    (home / "kaggle" / "kaggle.json").write_text(f'{{"username": "dev", "key": "{PLANTED}"}}')
    way = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), f"http://127.0.0.1:{port}")
    kaggle = {"KAGGLE_API_TOKEN": PLANTED, "KAGGLE_USERNAME": "dev", "KAGGLE_KEY": PLANTED}
    return {"PATH": os.environ["PATH"], "HOME": str(home), "XDG_CONFIG_HOME": str(home), "no_proxy": ""} | way | kaggle


def test_a_token_of_whoever_runs_the_tests_does_not_leave(tmp_path, eavesdropper):
    port, came = eavesdropper
    given = planted(tmp_path / "home", port)
    # What the client does by itself in such an environment: it shows its token as it is imported.
    subprocess.run([sys.executable, "-c", "import kaggle"], env=given, capture_output=True)
    assert came
    came.clear()
    script = """
from pathlib import Path
from tests.loopback import warm
started = warm.start()
print(started.folder)
print(Path(f"/proc/{started.process.pid}/environ").read_text())
"""
    run = subprocess.run(
        [sys.executable, "-c", script],
        env=given | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert came == []
    assert PLANTED not in run.stdout
    assert str(tmp_path) not in run.stdout
    assert "KAGGLE_API_ENVIRONMENT=LOCALHOST" in run.stdout
    assert "https_proxy=http://127.0.0.1:9" in run.stdout


def clients():
    """Process numbers of the warm process's forks."""
    found = set()
    for place in Path("/proc").glob("[0-9]*/stat"):
        try:
            number, _, rest = place.read_text().partition(" (")
            parent = int(rest.rpartition(")")[2].split()[1])
            name = Path("/proc", str(parent), "cmdline").read_bytes().decode()
        except (OSError, ValueError):
            continue
        if str(warm.folder() / warm.SOCKET) in name:
            found.add(int(number))
    return found


def wait_until(true, seconds=10):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.02)


def test_a_client_ends_with_the_command_that_is_killed(service):
    service.lock.acquire()  # no answer comes
    try:
        front = subprocess.Popen([warm.folder() / "kaggle", "quota"], env=service.environment, start_new_session=True)
        wait_until(clients)
        os.killpg(front.pid, signal.SIGKILL)
        assert front.wait() == -signal.SIGKILL
        wait_until(lambda: not clients())
    finally:
        service.lock.release()


def test_the_place_is_short_whatever_the_temporary_folder(tmp_path, monkeypatch, service):
    deep = tmp_path / ("a" * 120)
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    started = warm.start()
    assert len(str(started.folder / warm.SOCKET)) < 100
    run = subprocess.run([started.folder / "kaggle", "--version"], env=service.environment, capture_output=True, text=True)
    assert (run.returncode, run.stdout.split()[:2]) == (0, ["Kaggle", "CLI"])
    shutil.rmtree(deep)


def test_pauses_are_as_long_as_wanted(service):
    service.give_dataset(DATASET, {"a.txt": "hello"})
    folder = service.store.folder / "upload"
    folder.mkdir()
    (folder / "a.txt").write_text("hello again")
    (folder / "dataset-metadata.json").write_text(f'{{"id": "{DATASET}"}}')
    service.inject("StartBlobUpload", 429, times=3, retry_after=30)
    begin = time.monotonic()
    given = service.environment | {warm.LONGEST_SLEEP: "0.01"}
    run = subprocess.run(
        [warm.folder() / "kaggle", "datasets", "version", "-p", folder, "-m", "x"], env=given, capture_output=True, text=True
    )
    assert run.returncode == 0
    assert "Will retry in 30.0 seconds" in run.stderr
    assert time.monotonic() - begin < 20
