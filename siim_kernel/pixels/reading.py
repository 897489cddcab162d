"""From files to squares: the one way that image sets and prediction share, alone and as a stream from worker processes."""

from collections import deque
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context

import cv2
import numpy as np

from siim_kernel.errors import DicomError
from siim_kernel.pixels import dicom, images

AHEAD = 4  # films per worker that may be under way or wait for the consumer: memory stays flat


def read_squares(path, recipes):
    """One DICOM file as squares: (uint8 [S, S] for each pixel recipe, facts as a dict of rows, columns, patient, ...).

    This is the one way from a file to pixels: image sets and prediction both come through here. Raises DicomError.
    """
    film = dicom.read_film(path)
    facts = {
        "patient": dicom.text(film.header, "PatientID"),
        "rows": film.pixels.shape[0],
        "columns": film.pixels.shape[1],
        "photometric": film.photometric,
        "transfer_syntax": str(film.transfer_syntax),
        "size_bytes": film.size_bytes,
        "crc32": f"{film.crc32:08x}",
    }
    return images.render_all(film, recipes), facts


@dataclass(frozen=True)
class Read:
    """One film of a stream: squares (uint8 [S, S] for each pixel recipe) and facts, or the reason why there are none."""

    image: str
    path: str
    squares: tuple[np.ndarray, ...] = ()
    facts: dict | None = None
    reason: str = ""


def _read(image, path, recipes):
    cv2.setNumThreads(1)
    try:
        squares, facts = read_squares(path, recipes)
    except DicomError as error:
        return Read(image, path, reason=str(error))
    return Read(image, path, tuple(squares), facts)


def _pool(workers):
    return ProcessPoolExecutor(max_workers=workers, mp_context=get_context("spawn"))


def _read_alone(image, path, recipes):
    """A film that was under way when a process died, in a process of its own: it may be the cause, or have stood beside it."""
    with _pool(1) as pool:
        try:
            return pool.submit(_read, image, path, recipes).result()
        except BrokenProcessPool:
            return Read(image, path, reason="the process that read it died: its decoder crashed, or memory ran out")


def stream(films, recipes, workers=1):
    """Yields a `Read` for each (image, path) of `films`, in their order, decoded by `workers` processes ahead of the consumer.

    At most `AHEAD` films a worker are held. Processes are spawned, not forked: the consumer may hold TensorFlow. A film on
    which a process dies is not read, with that as its reason; the films beside it are.
    """
    films, waiting, pool = iter(films), deque(), _pool(workers)
    try:
        while True:
            for image, path in islice(films, AHEAD * workers - len(waiting)):
                try:
                    task = pool.submit(_read, image, path, recipes)
                except BrokenProcessPool:
                    pool = _pool(workers)
                    task = pool.submit(_read, image, path, recipes)
                waiting.append((image, path, task))
            if not waiting:
                return
            image, path, task = waiting.popleft()
            try:
                result = task.result()
            except BrokenProcessPool:
                result = _read_alone(image, path, recipes)
            yield result
    finally:
        pool.shutdown(cancel_futures=True)
