"""From files to squares: the one way that image sets and prediction share, alone and as a stream from worker processes."""

import traceback
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from siim_kernel.errors import DicomError, ImageSetError
from siim_kernel.pixels import decoders, dicom, images, pictures
from siim_kernel.pixels.stores import encode
from siim_kernel.pixels.workers import Lost, in_order


def read_squares(path, recipes):
    """One DICOM file as squares: (uint8 [S, S] for each pixel recipe, facts as a dict of rows, columns, patient, ...).

    This is the one way from a file to pixels: image sets and prediction both come through here. A file that is a PNG or JPG by
    its name is read as `pictures` says. Raises DicomError, for a picture ImageSetError.
    """
    film = pictures.read_picture(path) if pictures.is_picture(path) else dicom.read_film(path)
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
    """One film of a stream: squares for each pixel recipe and facts, or the reason why there are none.

    A square is uint8 [S, S], or the bytes of a PNG or JPG file where one was asked for.
    """

    image: str
    path: str
    squares: tuple[np.ndarray | bytes, ...] = ()
    facts: dict | None = None
    reason: str = ""


def read(film, recipes, form="npy"):
    """The `Read` of one film (image, path), in this process. Raises MemoryError.

    A tolerance boundary: an error that no film should be able to cause costs the film, not the run, and its reason says so.
    """
    image, path = film
    cv2.setNumThreads(1)
    try:
        squares, facts = read_squares(path, recipes)
        squares = tuple(squares if form == "npy" else (encode(square, form) for square in squares))
    except (DicomError, ImageSetError) as error:
        return Read(image, path, reason=str(error))
    except MemoryError:
        raise
    except Exception as error:
        if isinstance(error, cv2.error) and error.code == cv2.Error.StsNoMem:
            raise MemoryError from error
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(place.filename).name} line {place.lineno}"
        return Read(image, path, reason=f"a fault of siim-kernel, please report it: {decoders.one_line(error)} ({where})")
    return Read(image, path, squares, facts)


def stream(films, recipes, workers=1, form="npy", **limits):
    """Yields a `Read` for each (image, path) of `films`, in their order, decoded by `workers` processes ahead of the consumer.

    form    "npy", or "png" or "jpg" for squares that are encoded already
    limits  `seconds` and `memory` of one film, where they are not to be those of `pixels.workers`

    A film on which a process dies, hangs or wants more memory than the limit is not read, with that as its reason; the films
    beside it are. At most `AHEAD` (of `pixels.workers`) films a worker are held. Raises WorkerError where the processes cannot be started.
    """
    function = partial(read, recipes=tuple(recipes), form=form)
    for (image, path), result in in_order(function, films, workers, **limits):
        yield Read(image, path, reason=result.reason) if isinstance(result, Lost) else result
