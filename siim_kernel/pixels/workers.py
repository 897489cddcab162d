"""Worker processes that may be lost: a film on which one crashes, hangs or wants absurd memory costs itself alone.

Each worker has one film under way, so that it is known which one ended it, and a second one queued, so that it never
waits for this process. A thread deals the films out and hears the results, also while the consumer is busy. Processes
are spawned, not forked: the consumer may hold TensorFlow.
"""

import ctypes
import os
import resource
import signal
import traceback
from collections import deque
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing import connection, get_context, parent_process, resource_tracker
from pathlib import Path
from threading import Thread
from time import monotonic

from siim_kernel.errors import WorkerError

AHEAD = 4  # films per worker that may be under way or wait for the consumer: memory stays flat
SECONDS = 120  # for one film, from when its worker begins it; the largest takes some 2 s, a mount over the network more
MEMORY = 4 * 2**30  # bytes that a worker may map beyond what it maps when it is ready; the largest film needs some 1 GiB
START_SECONDS = 300  # for a worker's imports
STARTS = 3  # workers in a row that may fail to start
TICK = 0.5  # seconds between two looks at the limits
PR_SET_PDEATHSIG = 1  # prctl(2)
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # mallopt(3)


@dataclass(frozen=True)
class Lost:
    """Stands for the result of an item that has none; the reason is the same on every run."""

    reason: str


def in_order(function, items, workers=1, seconds=SECONDS, memory=MEMORY):
    """Yields (item, function(item)) for each item in order, by `workers` processes ahead of the consumer.

    function  picklable; as it is sent once to each worker, it may hold what all calls share
    items     an iterable; at most `AHEAD` a worker are held, it is asked for more only when the consumer comes for more
    seconds   limit of one call, after which its worker is killed
    memory    bytes that one call may ask for

    An item on which a worker dies, or that goes beyond a limit, has a `Lost` as its result. One whose worker was killed from
    outside (by the system, when memory is short) is tried once more, as it need not be the cause. Leaving the generator ends
    the workers; they end too when this process is killed. Raises WorkerError where no worker starts, or `function` fails.
    """
    items, waiting, crew = iter(items), deque(), _Crew(function, workers, seconds, memory)
    try:
        while True:
            for item in islice(items, AHEAD * workers - len(waiting)):
                waiting.append(crew.submit(item))
            if not waiting:
                return
            task = waiting.popleft()
            yield task.item, task.future.result()
    finally:
        crew.end()


@dataclass
class _Task:
    item: object
    future: Future = field(default_factory=Future)
    again: bool = False


@dataclass(eq=False)
class _Worker:
    process: object
    connection: connection.Connection
    ready: bool = False
    tasks: deque = field(default_factory=deque)  # the first is under way, the second queued
    spent: float = 0  # seconds since it began what it does now


class _Crew:
    """The workers, and the thread that serves them."""

    def __init__(self, function, workers, seconds, memory):
        self.arguments, self.workers, self.seconds, self.memory = (function, memory), workers, seconds, memory
        self.todo, self.crew, self.failed_starts, self.error, self.ended = deque(), [], 0, None, False
        self.bell, self.button = connection.Pipe(duplex=False)
        self.thread = Thread(target=self._serve, name="films", daemon=True)
        self.thread.start()

    def submit(self, item):
        task = _Task(item)
        self.todo.append(task)
        if self.error:  # set before what waits is answered: a film that comes later is not answered any more
            raise self.error
        self._ring()
        return task

    def end(self):
        self.ended = True
        self._ring()
        self.thread.join()

    def _ring(self):
        self.button.send_bytes(b"!")

    def _serve(self):
        # Ctrl-C reaches every process of a terminal. It is for the consumer, who ends the workers: they are started with
        # the signal blocked. (Starting the first process unblocks it, unless Python's resource tracker runs already.)
        resource_tracker.ensure_running()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        error = WorkerError("the workers have been ended")
        try:
            while not self.ended:
                self._start()
                self._deal()
                self._listen()
        except BaseException as caught:  # whatever it is, the consumer must hear of it, not wait for ever
            error = caught
        finally:
            self._fail(error)

    def _start(self):
        """Starts workers: as many as there are films for."""
        unfinished = len(self.todo) + sum(len(worker.tasks) for worker in self.crew)
        while len(self.crew) < min(self.workers, unfinished):
            context = get_context("spawn")
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(theirs, *self.arguments), daemon=True)
            try:
                process.start()
            except OSError as error:
                raise WorkerError(f"a process that reads films cannot be started: {error.strerror or error}; use fewer workers") from error
            theirs.close()  # so that the worker's death closes its end
            self.crew.append(_Worker(process, ours))

    def _deal(self):
        for depth in (0, 1):
            for worker in self.crew:
                if self.todo and worker.ready and len(worker.tasks) == depth:
                    task = self.todo.popleft()
                    worker.tasks.append(task)
                    worker.spent = worker.spent if depth else 0
                    try:
                        worker.connection.send(task.item)
                    except OSError:  # it died while it waited, as `_listen` will hear
                        self.todo.appendleft(worker.tasks.pop())

    def _listen(self):
        by_connection = {worker.connection: worker for worker in self.crew}
        before = monotonic()
        heard = connection.wait([self.bell, *by_connection], TICK)
        # Time in which this process itself was stopped or starved is no film's.
        step = min(monotonic() - before, 2 * TICK)
        for worker in self.crew:
            worker.spent += step
        for channel in heard:
            if channel is self.bell:
                self.bell.recv_bytes()
            else:
                self._hear(by_connection[channel])
        for worker in list(self.crew):
            if worker.tasks and worker.spent > self.seconds:
                self._bury(worker, f"reading it took longer than {self.seconds:g} seconds: its decoder hangs, or the disk does")
            elif not worker.ready and worker.spent > START_SECONDS:
                self._bury(worker)

    def _hear(self, worker):
        try:
            kind, value = worker.connection.recv()
        except (EOFError, OSError):
            self._bury(worker)
            return
        worker.spent = 0
        if kind == "ready":
            worker.ready, self.failed_starts = True, 0
        elif kind == "error":
            raise WorkerError(f"reading {worker.tasks[0].item} failed:\n{value}")
        else:
            reason = f"reading it takes more than {self.memory / 2**30:g} GiB of memory"
            worker.tasks.popleft().future.set_result(Lost(reason) if kind == "memory" else value)

    def _bury(self, worker, reason=None):
        """Takes a dead worker out, or kills it for a reason; the film that it had under way is lost, the queued one is not."""
        self.crew.remove(worker)
        code = _end([worker], kill=reason is not None)[0]
        if not worker.tasks:
            self.failed_starts += not worker.ready
            if self.failed_starts >= STARTS:
                raise WorkerError(f"the processes that read films do not start ({_how(code)}); what they say is above")
            return
        task = worker.tasks.popleft()
        self.todo.extendleft(reversed(worker.tasks))
        if reason is None and code == -signal.SIGKILL and not task.again:
            task.again = True
            self.todo.appendleft(task)
            return
        task.future.set_result(Lost(reason or _death(code)))

    def _fail(self, error):
        """Ends the workers; whoever still waits for a result gets the error."""
        self.error = error
        _end(self.crew)
        for worker in self.crew:
            self.todo.extend(worker.tasks)
        while self.todo:
            self.todo.popleft().future.set_exception(error)


def _end(workers, kill=True):
    """Kills workers, or waits for those that die of themselves; their exit codes (None where the system holds on to one)."""
    for worker in workers:
        worker.connection.close()
        if not kill:
            worker.process.join(5)
        worker.process.kill()
    for worker in workers:
        worker.process.join(5)
    return [worker.process.exitcode for worker in workers]


def _how(code):
    return signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"


def _death(code):
    if code == -signal.SIGKILL:
        return "the process that read it was killed twice (SIGKILL): memory ran out"
    return f"the process that read it died ({_how(code)}): its decoder crashed"


def _work(channel, function, memory):
    """What a worker does: results of `function` for what comes through the channel, until it is closed."""
    _prepare(memory)
    channel.send(("ready", None))
    while True:
        try:
            item = channel.recv()
        except EOFError:
            return
        try:
            message = "result", function(item)
        except MemoryError:
            message = "memory", None
        except Exception:  # an error of this package, not of the film: the consumer raises it
            message = "error", traceback.format_exc()
        channel.send(message)


def _prepare(memory):
    """Sees to it that this process ends with its parent (before it when memory is short), within its limit, and in silence."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_process().pid:  # it is gone already
        os._exit(1)
    with suppress(OSError):  # when memory is short the system shall end the reader of a film, not the holder of the networks
        Path("/proc/self/oom_score_adj").write_text("500")
    _limit(resource.RLIMIT_CORE, 0)
    with suppress(FileNotFoundError):  # where /proc is not mounted it is not known what is mapped: no limit then
        mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        _limit(resource.RLIMIT_AS, mapped + memory)
    keep_freed_memory()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)  # what decoders say on damaged films; the reason of a film says what matters


def keep_freed_memory():
    """Lets this process keep what it frees: each film wants blocks of the same size, and new ones cost a tenth of the time.

    The bounds at which glibc's malloc gives memory back (mallopt(3)) are lifted; where the C library is another one nothing changes.
    """
    with suppress(AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_MMAP_THRESHOLD, 2**30)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def _limit(kind, value):
    """Lowers a limit of this process."""
    soft, hard = resource.getrlimit(kind)
    lowest = min(bound for bound in (soft, hard, value) if bound != resource.RLIM_INFINITY)
    resource.setrlimit(kind, (lowest, hard))
