"""Films that end their worker, or hang: they are listed, and the build goes on, the same at any number of workers."""

from functools import partial

import pytest

from siim_kernel.errors import ImageSetError
from siim_kernel.pixels import imagesets, parallel, reading, workers
from siim_kernel.pixels.building import build
from siim_kernel.recipes.recipe import PixelRecipe
from tests.pixels import competitions, faults
from tests.pixels.competitions import files

RECIPE = PixelRecipe(size=16)


@pytest.fixture
def films(tmp_path):
    """20 films; the 4th crashes its worker, the 12th hangs, the 13th is no film."""
    table = competitions.make(tmp_path / "competition", 20, broken={12}).astype({"path": object})
    table.at[3, "path"] = faults.FilmPath(table.path[3], faults.crash)
    table.at[11, "path"] = faults.FilmPath(table.path[11], faults.hang)
    return table


def listed(built):
    return {image: reason.split(" (")[0].split(":")[0] for image, _, reason in built.not_read}


@pytest.mark.parametrize("form", ["npy", "png"])
def test_they_are_listed_and_the_build_goes_on(films, tmp_path, monkeypatch, form):
    monkeypatch.setattr(reading, "in_order", partial(workers.in_order, seconds=2))
    for count in (1, 2):
        built = build(films, tmp_path / str(count), [RECIPE], form=form, workers=count)
        assert built.images == 17
        assert listed(built) == {
            "i003": "the process that read it died",
            "i011": "reading it took longer than 2 seconds",
            "i012": "not a DICOM file",
        }
        assert imagesets.verify(tmp_path / str(count)) == []
    assert files(tmp_path / "1") == files(tmp_path / "2")


@pytest.mark.slow
def test_dask_gives_up_a_chunk_and_it_is_read_here(films, tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed")
    import dask

    monkeypatch.setattr(reading, "in_order", partial(workers.in_order, seconds=2))
    monkeypatch.setattr(parallel, "SECONDS", 0.5)  # 8 s a chunk
    build(films, tmp_path / "local", [RECIPE])
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster),
    ):
        built = build(films, tmp_path / "dask", [RECIPE], backend="dask")
    assert set(listed(built)) == {"i003", "i011", "i012"}
    assert files(tmp_path / "dask") == files(tmp_path / "local")


@pytest.mark.slow
def test_a_lost_cluster_is_said_and_the_build_goes_on_elsewhere(tmp_path):
    distributed = pytest.importorskip("distributed")
    films = competitions.make(tmp_path / "competition", 80)
    build(films, tmp_path / "whole", [RECIPE])
    cluster = distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None)
    with distributed.Client(cluster), pytest.raises(ImageSetError, match="the Dask cluster was lost; run the same command again"):
        build(films, tmp_path / "dask", [RECIPE], backend="dask", progress=lambda done, total: cluster.close())
    build(films, tmp_path / "dask", [RECIPE])
    assert files(tmp_path / "dask") == files(tmp_path / "whole")


def test_squares_that_are_short_of_memory_are_a_reason(tmp_path, monkeypatch):
    films = competitions.make(tmp_path, 1)

    def no_memory(*_):
        error = reading.cv2.error("OpenCV: insufficient memory")
        error.code = reading.cv2.Error.StsNoMem
        raise error

    monkeypatch.setattr(reading.images, "render_all", no_memory)
    with pytest.raises(MemoryError):
        reading.read(("i000", films.path[0]), [RECIPE])


def test_the_default_limits_are_generous():
    assert 60 <= workers.SECONDS <= 120
    assert workers.MEMORY >= 2**32
