"""From files to squares: the one way that image sets and prediction share, alone and as a stream from worker processes."""

from collections import deque
from concurrent.futures import ProcessPoolExecutor
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


def stream(films, recipes, workers=1):
    """Yields a `Read` for each (image, path) of `films`, in their order, decoded by `workers` processes ahead of the consumer.

    At most `AHEAD` films a worker are held. Processes are spawned, not forked: the consumer may hold TensorFlow.
    """
    with ProcessPoolExecutor(max_workers=workers, mp_context=get_context("spawn")) as pool:
        films = iter(films)
        waiting = deque(pool.submit(_read, image, path, recipes) for image, path in islice(films, AHEAD * workers))
        while waiting:
            result = waiting.popleft().result()
            for image, path in islice(films, 1):
                waiting.append(pool.submit(_read, image, path, recipes))
            yield result
