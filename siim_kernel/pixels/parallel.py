"""Where image sets are built in parallel: processes of this machine, or a Dask cluster, both through joblib."""

from contextlib import ExitStack, contextmanager

import joblib
from joblib.externals.loky.process_executor import TerminatedWorkerError

from siim_kernel.errors import ImageSetError

BACKENDS = ("loky", "dask")


@contextmanager
def in_order(workers, backend="loky"):
    """A function from an iterable of joblib's delayed calls to an iterator over their results, in order.

    backend  "loky": `workers` processes here; "dask": the cluster of the current Client, else that of the environment
             variable DASK_SCHEDULER_ADDRESS, else one on this machine with `workers` processes

    At most two calls a worker are under way. Raises ImageSetError where Dask is not installed or a process dies.
    """
    if backend not in BACKENDS:
        raise ImageSetError(f"films are read in parallel by {' or '.join(BACKENDS)}, got {backend!r}")
    with ExitStack() as stack:
        if backend == "dask":
            stack.enter_context(_dask_client(workers))
        # With Dask the cluster says how many there are.
        stack.enter_context(joblib.parallel_config(backend=backend, n_jobs=-1 if backend == "dask" else workers))
        try:
            yield joblib.Parallel(return_as="generator", pre_dispatch="2*n_jobs")
        except TerminatedWorkerError:
            raise ImageSetError(
                "a process died while it read films: a decoder crashed, or memory ran out; run the same command again with "
                "fewer workers, it goes on where it stopped"
            ) from None


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
        client, own = distributed.Client(**({} if dask.config.get("scheduler-address", None) else local)), True
    try:
        yield client
    finally:
        if own:
            client.close()
