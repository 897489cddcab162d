"""Augmented training input alone against the training step alone, on one batch that is kept."""

import itertools
import time

import keras
import numpy as np

from benchmarks import measure, networks
from benchmarks.table import line
from siim_kernel.learning import networks as learning_networks
from siim_kernel.learning import pipeline

# A step at 512 px with a batch of 16 wants some 17 GB on a CPU: it is measured on 4 films, and per film that is the same.
MOST_PIXELS = 16 * 299**2
FILMS = 64


def run(settings):
    """The lines of this part, and its facts: films a second."""
    lines, rates = [], {}
    for size in settings.sizes:
        found, batch = _rates(settings, size)
        rates[str(size)] = {name: round(measure.spread(values).median, 2) for name, values in found.items()}
        beside = f"{rates[str(size)]['input']:.0f} against {rates[str(size)]['step']:.2f} films a second (step: batch of {batch}, all "
        beside += f"layers train); input without augmentation {rates[str(size)]['plain']:.0f}"
        times = {name: [1 / value for value in values] for name, values in found.items()}
        lines.append(
            line(f"training input to training step, {size} px", measure.ratio(times, "step", "input"), wanted=">= 15", beside=beside)
        )
    return lines, {"films_a_second": rates}


def _rates(settings, size):
    """Films a second of input, plain input and step, round by round; and the films of a step."""
    recipe = networks.recipe(settings.network, size, settings.batch)
    films = _examples(settings.folder / f"squares-{size}.npy", size, recipe)
    batch = max(1, min(settings.batch, MOST_PIXELS // size**2))
    squares, targets, weights = next(iter(pipeline.plain_data(films, recipe).rebatch(batch)))
    keras.utils.clear_session()
    model = learning_networks.build(recipe)
    losses = {"study": "categorical_crossentropy", "none": "binary_crossentropy"}
    model.compile(keras.optimizers.Adam(1e-4), loss={head: losses[head] for head in recipe.heads})

    def step():
        for _ in range(settings.steps):
            model.train_on_batch(squares, targets, sample_weight=weights)

    augmented = iter(pipeline.training_data(films, recipe, 0, 10**6))
    plain = itertools.chain.from_iterable(pipeline.plain_data(films, recipe) for _ in itertools.count())
    ways = {
        "step": step,
        "input": lambda: _drain(augmented, settings.inputs),
        "plain": lambda: _drain(plain, settings.inputs),
    }
    seconds = measure.take_turns(ways, settings.rounds)
    each = {"step": batch * settings.steps, "input": settings.batch * settings.inputs, "plain": settings.batch * settings.inputs}
    return {name: [each[name] / value for value in values] for name, values in seconds.items()}, batch


def _drain(batches, count):
    """Seconds of `count` batches after the two that stand ready."""
    for _ in itertools.islice(batches, 3):
        pass
    started = time.perf_counter()
    for _ in itertools.islice(batches, count):
        pass
    return time.perf_counter() - started


def _examples(path, size, recipe):
    """Squares of noise on a memory map with made targets: what they show takes no time."""
    draw = np.random.default_rng(0)
    np.save(path, draw.integers(0, 256, (FILMS, size, size), dtype=np.uint8))
    targets = {"study": np.eye(4, dtype=np.float32)[np.arange(FILMS) % 4], "none": (np.arange(FILMS) % 2).astype(np.float32)[:, None]}
    weights = {head: np.ones(FILMS, np.float32) for head in recipe.heads}
    return pipeline.Examples(np.load(path, mmap_mode="r"), np.arange(FILMS), targets, weights)
