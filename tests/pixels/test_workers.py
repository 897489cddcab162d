"""Workers that are lost: what it costs, and that none is left behind."""

import os
import resource
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from siim_kernel.pixels import workers
from siim_kernel.pixels.workers import AHEAD, Lost, WorkerError, in_order
from tests.pixels import faults

ROOT = Path(__file__).parents[2]


def act(item, folder=None):
    """What a test asks of a worker: an answer, a fault, or a note of what it did in a folder."""
    kind, value = item
    if folder:
        (folder / f"{kind}{value}-{os.getpid()}-{time.monotonic_ns()}").touch()
    if kind == "sleep":
        time.sleep(value)
    elif kind == "killed once":
        if len(list(folder.glob(f"{kind}{value}-*"))) == 1:
            faults.killed()
    elif kind == "allocate":
        return len(bytearray(value))
    elif kind == "exit":
        os._exit(value)
    elif kind == "divide":
        return 1 / value
    elif kind == "core":
        return resource.getrlimit(resource.RLIMIT_CORE)[0]
    elif kind == "interrupt":
        os.kill(os.getpid(), signal.SIGINT)
    elif kind == "shout":
        os.write(1, b"free(): invalid pointer")
        os.write(2, b"free(): invalid pointer")
    elif kind != "echo":
        getattr(faults, kind)()
    return value


def outcomes(items, count=2, **limits):
    """Results of `act`, in order; reasons instead of `Lost`."""
    found = list(in_order(act, items, count, **limits))
    assert [item for item, _ in found] == items
    return [result.reason if isinstance(result, Lost) else result for _, result in found]


def wait_until(true, seconds=30):
    limit = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < limit, "waited in vain"
        time.sleep(0.01)


@pytest.mark.parametrize("count", [1, 2])
def test_results_come_in_order(count):
    assert outcomes([("sleep", 0.05 * (number % 3)) for number in range(9)], count) == [0.05 * (number % 3) for number in range(9)]
    assert outcomes([], count) == []


def test_a_crash_costs_its_own_item_alone():
    items = [("echo", 0), ("crash", 0), ("echo", 1), ("echo", 2), ("exit", 3), ("echo", 3), ("crash", 0)]
    crashed = "the process that read it died (SIGSEGV): its decoder crashed"
    left = "the process that read it died (exit code 3): its decoder crashed"
    for count in (1, 2):
        assert outcomes(items, count) == [0, crashed, 1, 2, left, 3, crashed]


def test_a_hang_costs_its_own_item_and_the_limit():
    found = outcomes([("echo", 0), ("hang", 0), ("echo", 1), ("hang", 1), ("echo", 2)], seconds=1)
    late = "reading it took longer than 1 seconds: its decoder hangs, or the disk does"
    assert found == [0, late, 1, late, 2]


def test_the_limit_is_for_one_item_not_for_what_stands_before_it():
    assert outcomes([("sleep", 0.7)] * 4, 1, seconds=1.6) == [0.7] * 4


def test_time_in_which_this_process_was_stopped_counts_for_no_item(monkeypatch):
    jumps = iter(range(0, 10**9, 1000))
    monkeypatch.setattr(workers, "monotonic", lambda: next(jumps))
    assert outcomes([("sleep", 0.3)] * 2, seconds=60) == [0.3, 0.3]


def test_absurd_memory_costs_its_own_item():
    found = outcomes([("echo", 0), ("allocate", 2**32), ("allocate", 2**20), ("echo", 1)], 1, memory=2**28)
    assert found == [0, "reading it takes more than 0.25 GiB of memory", 2**20, 1]


def test_what_the_system_kills_is_tried_once_more(tmp_path):
    items = [("echo", 0), ("killed once", 1), ("killed", 2), ("echo", 3)]
    found = list(in_order(partial(act, folder=tmp_path), items, 2))
    reason = "the process that read it was killed twice (SIGKILL): memory ran out"
    assert [result for _, result in found] == [0, 1, Lost(reason), 3]
    tries = [path.name.split("-")[0] for path in tmp_path.iterdir()]
    assert sorted(tries) == ["echo0", "echo3", "killed once1", "killed once1", "killed2", "killed2"]


def test_nothing_else_is_read_twice(tmp_path):
    items = [("crash" if number % 5 == 2 else "echo", number) for number in range(20)]
    list(in_order(partial(act, folder=tmp_path), items, 2))
    assert len(list(tmp_path.iterdir())) == 20


def test_workers_go_on_while_the_consumer_is_busy(tmp_path):
    results = in_order(partial(act, folder=tmp_path), [("echo", number) for number in range(20)], 2)
    next(results)
    wait_until(lambda: len(list(tmp_path.iterdir())) == 2 * AHEAD)
    time.sleep(0.2)
    assert len(list(tmp_path.iterdir())) == 2 * AHEAD  # and no further than that
    results.close()


def test_ctrl_c_is_not_for_the_workers():
    assert outcomes([("interrupt", 0), ("echo", 1), ("interrupt", 2)], 2) == [0, 1, 2]


def test_no_more_workers_than_items_and_none_is_left():
    before = set(faults.children(os.getpid()))
    results = in_order(act, [("echo", 0), ("hang", 0)], 8)
    next(results)
    made = set(faults.children(os.getpid())) - before
    assert 1 <= len(made) <= 3  # the workers, and Python's resource tracker if it was not there
    started = time.monotonic()
    results.close()
    assert time.monotonic() - started < 30  # and not the limit of a film
    assert len(set(faults.children(os.getpid())) - before) <= 1


def test_an_error_in_the_consumer_ends_the_workers():
    def consume():
        for _ in in_order(act, [("echo", 0), ("hang", 0)], 2):
            raise KeyboardInterrupt

    before = set(faults.children(os.getpid()))
    with pytest.raises(KeyboardInterrupt):
        consume()
    assert len(set(faults.children(os.getpid())) - before) <= 1


def test_an_error_of_this_package_is_raised_with_its_traceback():
    with pytest.raises(WorkerError, match=r"(?s)reading \('divide', 0\) failed:.*ZeroDivisionError"):
        outcomes([("echo", 0), ("divide", 0), ("echo", 1)])


class Unloadable:
    """What ends every process that takes it out of its pickle."""

    def __reduce__(self):
        return os._exit, (3,)


def test_workers_that_never_start_end_in_an_error():
    with pytest.raises(WorkerError, match=r"the processes that read films do not start \(exit code 3\)"):
        list(in_order(Unloadable(), range(30), 2))


def test_a_process_that_cannot_be_started_is_an_error_that_says_so(monkeypatch):
    def refuse(process):
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr("multiprocessing.context.SpawnProcess.start", refuse)
    with pytest.raises(WorkerError, match="cannot be started: Resource temporarily unavailable; use fewer workers"):
        list(in_order(act, ["one"]))


def test_items_that_cannot_be_sent_are_an_error_not_a_wait():
    with pytest.raises(Exception, match="pickle"):
        list(in_order(act, [("echo", lambda: None)], 1))


def test_an_error_of_the_items_is_the_consumers():
    def items():
        yield "echo", 0
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        list(in_order(act, items(), 1))


def test_a_dying_worker_is_silent_and_leaves_no_core(capfd):
    assert outcomes([("shout", 0), ("crash", 0), ("core", 0)]) == [0, "the process that read it died (SIGSEGV): its decoder crashed", 0]
    assert capfd.readouterr() == ("", "")


# A program without a file (`python -c`, as in a notebook) whose workers hang in C code.
PROGRAM = """
from siim_kernel.pixels.workers import in_order
from tests.pixels.test_workers import act
print("begun", flush=True)
for item, _ in in_order(act, [("echo", 0), ("echo", 1), ("hang", 0), ("hang", 1)], 2):
    print(item, flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_orphans(number):
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell starts background jobs with it ignored
    ) as process:
        while "echo', 1" not in process.stdout.readline():
            assert process.poll() is None, process.stderr.read()
        offspring = faults.children(process.pid)
        assert len(offspring) == 3  # two workers and Python's resource tracker
        # Ctrl-C reaches the whole group of a terminal; the others one process.
        (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
        wait_until(lambda: all(map(faults.dead, offspring)))
        said = process.communicate(timeout=30)[1]
    assert process.returncode == -number
    assert said.count("Traceback") == (number == signal.SIGINT)  # the program's own
