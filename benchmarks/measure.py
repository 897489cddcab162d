"""Times of variants that take turns, and the peak memory of a process with all its children."""

import json
import os
import statistics
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

POLL = 0.1  # seconds between two looks at the memory of a process tree


@dataclass(frozen=True)
class Spread:
    """Median, lowest and highest of the rounds."""

    median: float
    low: float
    high: float

    def of(self, factor):
        """The same in another unit."""
        return Spread(self.median * factor, self.low * factor, self.high * factor)


def spread(values):
    """The `Spread` of some numbers."""
    return Spread(statistics.median(values), min(values), max(values))


def ratio(times, upper, lower):
    """`Spread` of the ratio of two variants, formed round by round."""
    return spread([a / b for a, b in zip(times[upper], times[lower], strict=True)])


def take_turns(ways, rounds, warm=1):
    """Seconds of each way, round by round: a dict of lists.

    ways  functions by name; one that returns a number has taken the time itself
    warm  rounds before, which are not counted

    Every other round goes the other way about, so that no variant always follows the same one.
    """
    times = {name: [] for name in ways}
    for number in range(warm + rounds):
        for name in list(ways)[:: 1 if number % 2 else -1]:
            started = time.perf_counter()
            own = ways[name]()
            seconds = own if isinstance(own, float) else time.perf_counter() - started
            if number >= warm:
                times[name].append(seconds)
    return times


def job(*words):
    """Runs `python -m benchmarks.job WORDS` and returns its result (a dict) with "peak", in bytes, of its process tree."""
    command = [sys.executable, "-m", "benchmarks.job", *map(str, words)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent.parent) as process:
        peak = 0
        while process.poll() is None:
            peak = max(peak, tree_memory(process.pid))
            time.sleep(POLL)
        told = process.stdout.read()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
    return json.loads(told.splitlines()[-1]) | {"peak": peak}


def tree_memory(pid):
    """Bytes of memory of a process and its children, what they share counted once (PSS of Linux)."""
    return sum(_memory(each) for each in _tree(pid))


def _tree(pid):
    found, todo = [], [pid]
    while todo:
        found.append(todo.pop())
        with suppress(OSError):  # it has ended meanwhile
            for thread in os.listdir(f"/proc/{found[-1]}/task"):
                children = Path(f"/proc/{found[-1]}/task/{thread}/children").read_text()
                todo += map(int, children.split())
    return found


def _memory(pid):
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0
