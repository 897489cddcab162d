"""Limits and ends: whatever ends a kernel ends every process of it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from siim_kernel.delivery import rehearsal
from siim_kernel.delivery.rehearsal import Limits

CHECKOUT = Path(rehearsal.__file__).parents[2]


BEATS = """
    import os, subprocess, sys, time
    beat = "import time\\nwhile True: open('beat-%s', 'a').write('x'); time.sleep(0.02)"
    for how in ("child", "daemon"):
        if os.fork() == 0:
            if how == "daemon":
                os.setsid()
                if os.fork():
                    os._exit(0)
            os.execv(sys.executable, [sys.executable, "-c", beat % how])
    while not (os.path.exists("beat-child") and os.path.exists("beat-daemon")):
        time.sleep(0.01)
    print("beating", flush=True)
    """


def assert_still(folder):
    """Nobody writes there any more."""
    sizes = [path.stat().st_size for path in sorted(folder.glob("beat-*"))]
    assert len(sizes) == 2
    time.sleep(0.15)
    assert [path.stat().st_size for path in sorted(folder.glob("beat-*"))] == sizes


def test_time_limit_kills_the_whole_tree(run, level):
    result, lines = run(BEATS + "time.sleep(60)\n", level=level, limits=Limits(seconds=1))
    assert lines == ["beating"]
    assert result.killed == "over 1 s"
    assert result.outcome == "killed: over 1 s"
    assert result.returncode == 137
    assert not result.ok
    assert 1 <= result.seconds < 5
    assert_still(run.folder / "working")


def test_daemons_end_with_the_kernel(run, level):
    result, _ = run(BEATS, level=level)
    assert result.ok
    assert_still(run.folder / "working")


def test_memory_limit_counts_the_whole_tree(run, level):
    code = """
        import os, time
        if os.fork() == 0:
            keep = bytearray(120_000_000)
            time.sleep(60)
        keep = bytearray(120_000_000)
        time.sleep(60)
        """
    result, _ = run(code, level=level, limits=Limits(seconds=30, memory_bytes=200_000_000))
    assert result.killed == "over 0.2 GB of memory"
    assert 200_000_000 < result.peak_bytes < 400_000_000


def test_shared_pages_count_once(run, level):
    code = """
        import os, time
        keep = bytearray(b"x") * 100_000_000
        children = [os.fork() for _ in range(1)]
        time.sleep(0.7)
        """
    result, _ = run(code, level=level)
    assert result.ok
    assert 100_000_000 < result.peak_bytes < 180_000_000


def test_disk_limit(run, namespaces):
    result, _ = run(
        "import time\nopen('big', 'wb').write(bytes(3_000_000))\ntime.sleep(60)\n", limits=Limits(seconds=30, working_bytes=2_000_000)
    )
    assert result.killed == "over 0.002 GB in /kaggle/working"
    assert result.working_bytes == 3_000_000
    assert result.seconds < 10


def test_disk_limit_after_the_end(run, namespaces):
    result, _ = run("open('big', 'wb').write(bytes(3_000_000))\n", limits=Limits(working_bytes=2_000_000))
    assert (result.returncode, result.ok, result.outcome) == (0, False, "killed: over 0.002 GB in /kaggle/working")


def test_ctrl_c_ends_the_tree(run, level):
    kernel = run.write(BEATS + "time.sleep(60)\n")
    arguments = f"{str(kernel)!r}, {str(run.folder / 'input')!r}, {str(run.folder / 'working')!r}, level={level!r}"
    code = f"from siim_kernel.delivery.rehearsal import rehearse\nrehearse({arguments}, on_line=lambda line: print(line, flush=True))"
    caller = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell starts background jobs with it ignored
    )
    assert "beating\n" in iter(caller.stdout.readline, "")
    caller.send_signal(signal.SIGINT)
    _, errors = caller.communicate(timeout=20)
    assert "KeyboardInterrupt" in errors
    assert_still(run.folder / "working")


def test_the_death_of_the_caller_ends_the_tree(run, namespaces):
    kernel = run.write(BEATS + "time.sleep(60)\n")
    arguments = f"{str(kernel)!r}, {str(run.folder / 'input')!r}, {str(run.folder / 'working')!r}"
    code = f"from siim_kernel.delivery.rehearsal import rehearse\nrehearse({arguments}, on_line=lambda line: print(line, flush=True))"
    caller = subprocess.Popen(
        [sys.executable, "-c", code], cwd=CHECKOUT, env=os.environ | {"TMPDIR": str(run.folder)}, stdout=subprocess.PIPE, text=True
    )
    assert "beating\n" in iter(caller.stdout.readline, "")
    caller.kill()
    caller.communicate(timeout=20)
    time.sleep(0.2)
    assert_still(run.folder / "working")
