"""From a full-size DICOM to small PNGs: the peers' way, ours, and the floors, on the same films with the same processes."""

from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import imagecodecs
import numpy as np
import pydicom
from PIL import Image
from pydicom.encaps import get_frame
from pydicom.pixels import apply_voi_lut, get_decoder

from benchmarks import films, measure
from benchmarks.table import line
from siim_kernel.pixels.dicom import read_film
from siim_kernel.pixels.reading import read_squares
from siim_kernel.pixels.stores import encode
from siim_kernel.pixels.workers import keep_freed_memory
from siim_kernel.recipes.recipe import PixelRecipe

WANTED = {films.LOSSLESS: ">= 4.5", films.RAW: ">= 6.5"}
_frames = {}


def peers_way(sizes, folder, path):
    """What most public notebooks do: pydicom, VOI LUT, whole-film min-max, MONOCHROME1, LANCZOS, PNG; one reading for all sizes."""
    dataset = pydicom.dcmread(path)
    data = apply_voi_lut(dataset.pixel_array, dataset)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        data = np.amax(data) - data
    data = data - np.min(data)
    data = (data / np.max(data) * 255).astype(np.uint8)
    for size in sizes:
        Image.fromarray(data).resize((size, size), Image.Resampling.LANCZOS).save(f"{folder}/{Path(path).stem}-{size}.png")


def ours(sizes, folder, path):
    """The package's one way from a file to pixels, and its PNG."""
    squares, _ = read_squares(path, [PixelRecipe(size=size) for size in sizes])
    for size, square in zip(sizes, squares, strict=True):
        Path(f"{folder}/{Path(path).stem}-{size}.png").write_bytes(encode(square, "png"))


def squares_alone(path):
    """The same without the PNG: what image sets as arrays and prediction take."""
    read_squares(path, [PixelRecipe(size=512)])


def reading_alone(path):
    """A floor: from the file to stored values by the package."""
    read_film(path)


def decoder_alone(path):
    """The floor: the fastest decoder on bytes that are in memory; of an uncompressed film, its bytes from the disk."""
    if path in _frames:
        imagecodecs.jpeg8_decode(_frames[path])
    else:
        Path(path).read_bytes()


def _begin_peers():
    cv2.setNumThreads(1)


def _begin_ours(compressed):
    """As the package's workers begin; the floors are measured in them too."""
    cv2.setNumThreads(1)
    keep_freed_memory()
    for path in compressed:
        _frames[path] = get_frame(pydicom.dcmread(path).PixelData, 0, number_of_frames=1)


def bits_a_pixel(paths):
    """Mean bits a pixel of the files of some films."""
    headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in paths]
    return np.mean([8 * Path(path).stat().st_size / (header.Rows * header.Columns) for path, header in zip(paths, headers, strict=True)])


def times(settings, paths, workers):
    """Seconds a film of each way, round by round, with `workers` processes; and the ways' names, both by syntax."""
    found = {}
    context = get_context("spawn")
    with (
        TemporaryDirectory(dir=settings.folder) as folder,
        ProcessPoolExecutor(workers, context, initializer=_begin_peers) as theirs,
        ProcessPoolExecutor(workers, context, initializer=_begin_ours, initargs=(paths[films.LOSSLESS],)) as pool,
    ):
        for syntax, of_syntax in paths.items():
            ways = {
                "peers": partial(peers_way, (512,), folder),
                "ours": partial(ours, (512,), folder),
                "peers, three sizes": partial(peers_way, (512, 640, 1024), folder),
                "ours, three sizes": partial(ours, (512, 640, 1024), folder),
                "squares": squares_alone,
                "reading": reading_alone,
                "decoder": decoder_alone,
            }
            calls = {name: partial(_all, theirs if name.startswith("peers") else pool, way, of_syntax) for name, way in ways.items()}
            seconds = measure.take_turns(calls, settings.rounds)
            found[syntax] = {name: [each / len(of_syntax) for each in values] for name, values in seconds.items()}
    return found


def _all(pool, way, paths):
    for _ in pool.map(way, paths):
        pass


def run(settings):
    """The lines of this part, and its facts: milliseconds a film."""
    paths = {syntax: [str(path) for path in found[: settings.read]] for syntax, found in films.full_size(settings).items()}
    lines, milliseconds = [], {}
    for workers in sorted({1, settings.workers}):
        for syntax, seconds in times(settings, paths, workers).items():
            ms = {name: round(measure.spread(values).median * 1000, 1) for name, values in seconds.items()}
            milliseconds[f"{syntax}, {workers}"] = ms
            lines += _lines(syntax, f"{workers} process{'es' if workers > 1 else ''}", seconds, ms)
    return lines, {
        "milliseconds": milliseconds,
        "bits_a_pixel": {syntax: round(float(bits_a_pixel(found)), 2) for syntax, found in paths.items()},
        "pydicom_decodes_by": list(get_decoder(films.SYNTAXES[films.LOSSLESS]).available_plugins),
    }


def _lines(syntax, processes, seconds, ms):
    """The lines of one syntax from the seconds, round by round, and the median milliseconds of the ways."""
    floor = f"{'decoder' if syntax == films.LOSSLESS else 'the bytes'} alone {ms['decoder']:.0f}"
    one, three = (measure.ratio(seconds, f"peers{many}", f"ours{many}") for many in ("", ", three sizes"))
    lines = [
        line(
            f"{syntax} to 512 px, {processes}, peers' way to ours",
            one,
            wanted=WANTED[syntax],
            beside=f"{ms['peers']:.0f} against {ms['ours']:.0f} ms; without PNG {ms['squares']:.0f}, "
            f"reading alone {ms['reading']:.0f}, {floor}",
        ),
        line(
            f"{syntax} to 512 + 640 + 1024 px, {processes}, peers' way to ours",
            three,
            wanted=">= 4.5",
            beside=f"{ms['peers, three sizes']:.0f} against {ms['ours, three sizes']:.0f} ms",
        ),
    ]
    if syntax == films.LOSSLESS:
        lines.append(
            line(
                f"{syntax} to 512 px, {processes}, whole chain to its decoder alone",
                measure.ratio(seconds, "ours", "decoder"),
                wanted="<= 1.5",
                beside=f"{ms['ours']:.0f} against {ms['decoder']:.0f} ms; without PNG {ms['squares'] / ms['decoder']:.2f} x",
            )
        )
    return lines
