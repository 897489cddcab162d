"""Where the films of an image set are read in parallel: processes of this machine, or a Dask cluster."""

from collections import deque
from contextlib import contextmanager

from siim_kernel.errors import ImageSetError
from siim_kernel.pixels import reading
from siim_kernel.pixels.workers import SECONDS

BACKENDS = ("local", "dask")
CHUNK = 8  # films that go to a Dask worker at a time


def reads(films, recipes, form, workers, backend="local"):
    """An iterator over `Read` for each (image, path) of `films`, in order.

    form     "npy", or "png" or "jpg" for squares that are encoded already
    backend  "local": `workers` processes here; "dask": the cluster of the current Client, else that of the environment
             variable DASK_SCHEDULER_ADDRESS, else one on this machine with `workers` processes

    With both a film on which a process dies, or that takes too long, is a `Read` with that as its reason. Raises
    ImageSetError where Dask is not installed or its cluster is lost.
    """
    if backend not in BACKENDS:
        raise ImageSetError(f"films are read in parallel by {' or '.join(BACKENDS)}, got {backend!r}")
    if backend == "local":
        return reading.stream(films, recipes, workers, form)
    return _on_dask(films, recipes, form, workers)


def _on_dask(films, recipes, form, workers):
    """Chunks of films on a cluster, two a worker under way.

    Dask gives the chunks of a lost worker to others, and gives a chunk up on which several were lost. That one, and one
    that does not come back or asks for too much memory, is read here by `stream`, which knows which film is the cause.
    """
    from distributed import CancelledError
    from distributed import TimeoutError as LateError
    from distributed.scheduler import KilledWorker

    lost = ImageSetError("the Dask cluster was lost; run the same command again, it goes on where it stopped")
    with _dask_client(workers) as client:
        starts, waiting = deque(range(0, len(films), CHUNK)), deque()
        while starts or waiting:
            if client.status != "running":
                raise lost
            while starts and len(waiting) < 2 * max(1, sum(client.nthreads().values())):
                chunk = films[starts[0] : starts.popleft() + CHUNK]
                waiting.append((chunk, client.submit(_read_chunk, chunk, recipes, form, pure=False)))
            chunk, future = waiting.popleft()
            try:
                found = future.result(timeout=2 * CHUNK * SECONDS)  # those before it on its worker have their time too
            except (KilledWorker, LateError, MemoryError):
                future.cancel()
                found = reading.stream(chunk, recipes, 1, form)
            except CancelledError:
                raise lost from None
            yield from found


def _read_chunk(films, recipes, form):
    """What a Dask worker does."""
    return [reading.read(film, recipes, form) for film in films]


@contextmanager
def _dask_client(workers):
    """The Dask client that is there already, else one that is closed at the end."""
    try:
        import dask
        import distributed
    except ImportError:
        raise ImageSetError("the backend dask needs the packages dask and distributed: install siim-kernel[dask]") from None
    try:
        client, own = distributed.get_client(), False
    except ValueError:
        # Where Dask's configuration names a scheduler the options of a local cluster do not apply. Processes of one
        # thread: pydicom's warnings are kept quiet per process.
        local = {"n_workers": workers, "threads_per_worker": 1, "dashboard_address": None}
        scheduler = dask.config.get("scheduler-address", None)
        try:
            client, own = distributed.Client(**({} if scheduler else local)), True
        except OSError as error:
            where = f"the scheduler {scheduler} of Dask's configuration" if scheduler else "Dask processes here"
            raise ImageSetError(f"no Dask cluster: {where} cannot be reached: {error}") from None
    try:
        yield client
    finally:
        if own:
            client.close()
