"""How much is measured: in full, for a quick look, or next to nothing for the test."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Counts of films and rounds.

    folder       where films are kept between runs and results are written
    rounds       of each comparison, in which the variants take turns; one more warms up
    shape        (rows, columns) of a full-size film
    scenes       distinct full-size films, each stored uncompressed and as JPEG Lossless
    read         films of each syntax that the reading comparison takes
    built        few and many films for `build-images`; what lies between them is the marginal rate
    build_rounds, predict_rounds, memory_rounds    as `rounds`, of the slow parts
    sizes        sides in pixels at which training is measured
    size         side in pixels of the network that predicts
    network      that is trained and predicts
    batch        films a training step
    steps        training steps a round
    inputs       batches of training input a round
    predicted    full-size films for prediction
    small        distinct small films of the memory and growth parts, linked under new ids beyond that
    memory       two numbers of films between which memory should not grow
    growth       numbers of films of the growth curve
    workers      processes
    """

    folder: Path
    rounds: int = 5
    shape: tuple[int, int] = (3056, 2544)
    scenes: int = 16
    read: int = 6
    built: tuple[int, int] = (64, 512)
    build_rounds: int = 3
    predict_rounds: int = 2
    memory_rounds: int = 3
    sizes: tuple[int, ...] = (299, 512)
    size: int = 299
    network: str = "xception"
    batch: int = 16
    steps: int = 1
    inputs: int = 40
    predicted: int = 400
    small: int = 400
    memory: tuple[int, int] = (200, 2000)
    growth: tuple[int, ...] = (100, 200, 400, 800, 1600, 3200)
    workers: int = 2


def full(folder):
    """What `make bench` measures."""
    return Settings(folder=Path(folder))


def quick(folder):
    """A look in some minutes: the figures are rough."""
    return Settings(
        folder=Path(folder),
        rounds=2,
        read=4,
        built=(32, 128),
        build_rounds=1,
        predict_rounds=1,
        memory_rounds=1,
        inputs=10,
        predicted=96,
        memory=(200, 800),
        growth=(100, 200, 400),
    )
