"""Drawing in chest units."""

import numpy as np
import pytest

from siim_kernel.phantom.canvas import Canvas, band, curve, ellipse


@pytest.fixture
def canvas():
    return Canvas((80, 120), [[40.0, 0, 60], [0, 40.0, 10]])


def test_coordinates_go_there_and_back(canvas):
    assert canvas.unit == pytest.approx(40)
    assert canvas.x[0, 60] == pytest.approx(0)
    assert canvas.y[50, 0] == pytest.approx(1)
    np.testing.assert_allclose(canvas.to_pixels([(1.0, 0.5)]), [[100, 30]])


def test_a_filled_ellipse_has_its_area_and_place(canvas):
    mask = canvas.fill(ellipse(0.5, 1.0, 0.3, 0.5))
    half = 0.5 / canvas.unit  # smooth edges reach that far outwards
    assert mask.sum() / canvas.unit**2 == pytest.approx(np.pi * (0.3 + half) * (0.5 + half), rel=0.03)
    assert mask[50, 80] == 1
    assert mask[50, 40] == 0


def test_a_curve_passes_through_its_points():
    points = np.array([(0, 0), (1, 0.5), (2, -1), (3, 0)], float)
    path = curve(points, steps=10)
    np.testing.assert_allclose(path[::10], points)
    closed = curve(points, closed=True, steps=10)
    assert len(closed) == 40
    np.testing.assert_allclose(closed[::10], points)


def test_a_band_is_as_wide_as_asked(canvas):
    mask = canvas.fill(band([(-1, 1), (0, 1), (1, 1)], 0.25))
    assert mask[:, 60].sum() == pytest.approx(11, abs=0.6)


def test_thin_lines_are_faint_and_far_points_do_no_harm(canvas):
    thin, thick = (canvas.lines([[(-1, 1), (1, 1)]], width) for width in (0.005, 0.05))
    assert 0 < thin.max() < 0.3 < thick.max()
    canvas.fill([(-1e9, -1e9), (1e9, -1e9), (0, 1e9)])


def test_a_wide_blur_keeps_the_mean(canvas):
    image = np.zeros(canvas.shape, np.float32)
    image[40, 60] = 100
    for sigma in (0.05, 0.3):
        assert canvas.blur(image, sigma).sum() == pytest.approx(100, rel=0.1)


def test_depth_grows_from_the_edge(canvas):
    depth = canvas.depth(canvas.fill(ellipse(0, 0.9, 0.6, 0.6)))
    assert depth[46, 60] == pytest.approx(0.6, abs=0.06)
    assert depth[0, 0] == 0
