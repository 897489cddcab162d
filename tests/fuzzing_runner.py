"""Reads mutants in child processes under limits of time and memory, and tells what came of each."""

import contextlib
import os
import resource
import shutil
import signal
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from multiprocessing import connection, get_context
from pathlib import Path

import cv2
import numpy as np

from siim_kernel.errors import DicomError
from siim_kernel.pixels import dicom, reading
from siim_kernel.recipes.recipe import PixelRecipe
from tests.fuzzing_mutants import mutant

RECIPES = (PixelRecipe(size=64), PixelRecipe(size=64, aspect="pad", equalise=True))
SECONDS = 30  # for the reading of one mutant
MAKING_SECONDS = 120  # for a child's start and the making of a mutant
MEMORY = 2 * 2**30  # address space beyond what the child has before the first mutant
# Streams that are decoded in C by libraries which end the process on some damage: the guard of `reading.stream` is for them.
GUARDED = tuple(
    uid
    for uid, names in dicom.decoders.DECODERS.items()
    if {dicom.decoders.GDCM, dicom.decoders.CHARLS, dicom.decoders.OPENJPEG} & set(names)
)

FAULTS = ("exception", "crash", "hang", "memory", "nonsense")
OUTCOMES = ("read", "refused", "guarded", *FAULTS)


@dataclass(frozen=True)
class Result:
    """What came of one mutant.

    outcome  read, refused (DicomError), guarded (its decoder ended the process, and `reading.stream` gave a reason), or a fault:
             exception (another one), crash, hang, memory (over the limit), nonsense (read, but not as promised)
    detail   the reason or the fault; kept: where the mutant of a fault or a guarded one lies
    """

    index: int
    kind: str
    what: str
    outcome: str
    detail: str
    kept: Path | None = None


@dataclass(frozen=True)
class MutantReader:
    """Reads one file: (outcome, detail). What it reads with may be another function, to see that faults are reported."""

    read: Callable = reading.read_squares

    def __call__(self, path):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", RuntimeWarning)  # a numeric overflow is a value that was not looked at
                squares, facts = self.read(path, RECIPES)
        except DicomError as error:
            reason = str(error)
            if "MemoryError" in reason or "bad_alloc" in reason:
                return "memory", reason
            if not reason or "\n" in reason or len(reason) > 1000:
                return "nonsense", f"the reason is not one short line: {reason[:1000]!r}"
            return "refused", reason
        except MemoryError as error:
            return "memory", repr(error)
        except Exception as error:
            return "exception", _where(error)
        return _checked(path, squares, facts)


def _checked(path, squares, facts):
    """("read", "") where squares and facts are what `read_squares` promises."""
    film = dicom.read_film(path)
    promises = {
        "squares are uint8 [64, 64]": all(s.dtype == np.uint8 and s.shape == (64, 64) for s in squares) and len(squares) == len(RECIPES),
        "one Rows and Columns": (facts["rows"], facts["columns"])
        == film.pixels.shape
        == tuple(int(film.header[k].value) for k in ("Rows", "Columns")),
        "pixels of 8 or 16 bits": film.pixels.dtype.kind in "iu" and film.pixels.itemsize <= 2,
        "facts are of the file": facts["size_bytes"] == os.path.getsize(path) and len(facts["crc32"]) == 8,
        "grey": facts["photometric"] in ("MONOCHROME1", "MONOCHROME2"),
        "patient is text": isinstance(facts["patient"], str),
        "the same squares again": all(map(np.array_equal, squares, reading.images.render_all(film, RECIPES))),
    }
    broken = [promise for promise, kept in promises.items() if not kept]
    return ("nonsense", f"not kept: {', '.join(broken)}") if broken else ("read", "")


def _where(error):
    place = error.__traceback__
    while place.tb_next is not None:
        place = place.tb_next
    code = place.tb_frame.f_code
    return f"{type(error).__name__}: {str(error)[:300]} ({Path(code.co_filename).name}:{place.tb_lineno} {code.co_name})"


def _child(pipe, reader, sources, seed, folder, memory):
    """Makes and reads the mutants whose indices come through the pipe; each lies in `folder`/mutant while it is read."""
    cv2.setNumThreads(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # what decoders print
    path = folder / "mutant"
    if memory:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + memory,) * 2)
    with contextlib.suppress(EOFError):
        while True:
            index = pipe.recv()
            made = mutant(sources, seed, index)
            path.write_bytes(made.data)
            pipe.send((index, made.kind, made.what))
            pipe.send(reader(path))


class _Worker:
    def __init__(self, arguments):
        self.folder = Path(tempfile.mkdtemp())
        self.arguments = arguments
        self.start()

    def start(self):
        context = get_context("spawn")
        self.pipe, other = context.Pipe()
        reader, sources, seed, memory = self.arguments
        self.process = context.Process(target=_child, args=(other, reader, sources, seed, self.folder, memory), daemon=True)
        self.process.start()
        other.close()
        self.begun = None

    def give(self, index):
        self.index, self.made, self.since = index, None, time.monotonic()
        self.pipe.send(index)

    def end(self):
        self.process.kill()
        self.process.join()
        self.pipe.close()


def run(sources, seed, indices=None, *, keep=None, workers=1, stop=float("inf"), reader=None, seconds=SECONDS, memory=MEMORY):
    """Yields a Result for each mutant of `indices` (all from 0 on), in the order in which they are done, until time `stop`.

    reader  a picklable callable from a path to (outcome, detail); MutantReader() by default
    """
    arguments = (reader or MutantReader(), sources, seed, memory)
    todo = iter(count() if indices is None else indices)
    idle = [_Worker(arguments) for _ in range(workers)]
    everyone, busy = list(idle), []
    try:
        while True:
            while idle and time.monotonic() < stop and (index := next(todo, None)) is not None:
                worker = idle.pop()
                worker.give(index)
                busy.append(worker)
            if not busy:
                return
            connection.wait([worker.pipe for worker in busy], timeout=0.1)
            for worker in list(busy):
                outcome = _outcome(worker, seconds)
                if outcome is None:
                    continue
                yield _result(worker, *outcome, keep, seed)
                busy.remove(worker)
                idle.append(worker)
                if worker.process.exitcode is not None:
                    worker.end()
                    worker.start()
    finally:
        for worker in everyone:
            worker.end()
            shutil.rmtree(worker.folder)


def _outcome(worker, seconds):
    """(outcome, detail) of the mutant that a worker has, or None while it reads."""
    try:
        while worker.pipe.poll():
            message = worker.pipe.recv()
            if worker.made is not None:
                return message
            worker.made, worker.since = message, time.monotonic()
    except (EOFError, ConnectionResetError):
        worker.process.join()
        code = worker.process.exitcode
        return "crash", f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    limit = MAKING_SECONDS if worker.made is None else seconds
    if time.monotonic() - worker.since > limit:
        worker.process.kill()
        worker.process.join()
        return "hang", f"took more than {limit} seconds"
    return None


def _result(worker, outcome, detail, keep, seed):
    if worker.made is None:
        raise RuntimeError(f"the mutant of seed {seed}, index {worker.index} could not be made: {detail}")
    index, kind, what = worker.made
    path, kept = worker.folder / "mutant", None
    if outcome == "crash":
        outcome, detail = guarded(path, detail)
    if keep is not None and outcome in (*FAULTS, "guarded"):
        keep.mkdir(parents=True, exist_ok=True)
        kept = keep / f"{outcome}-{seed}-{index}.dcm"
        shutil.copyfile(path, kept)
    return Result(index, kind, what, outcome, detail, kept)


def guarded(path, detail):
    """Outcome of a mutant that ended its process: "guarded" if its decoder is one that may, and the guard gave a reason."""
    try:
        syntax = dicom.text(dicom.read_header(path).file_meta, "TransferSyntaxUID")
    except DicomError:
        return "crash", detail
    if syntax not in GUARDED:
        return "crash", detail
    (read,) = reading.stream([("mutant", str(path))], RECIPES)
    return ("guarded", f"{detail}; {read.reason}") if read.reason else ("crash", f"{detail}, and not when read again")
