"""Draws by name, quotas and stratified numbers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from siim_kernel.phantom.draws import clouds, pick, quotas, short_id, spread, stream


def test_ids_are_twelve_hex_digits_and_do_not_change():
    assert short_id(0, "train", "study", 5) == short_id(0, "train", "study", 5)
    assert len(short_id("a")) == 12
    assert short_id("a") == "ca978112ca1b"  # the first digits of SHA-256 of "a"


def test_streams_depend_on_their_name_alone():
    assert stream("x", 1).uniform() == stream("x", 1).uniform()
    assert stream("x", 1).uniform() != stream("x", 2).uniform()


@given(st.dictionaries(st.integers(0, 9), st.floats(0.01, 100), min_size=1), st.integers(0, 500), st.integers(0, 1))
def test_quotas_add_up_and_stay_close(weights, count, least):
    parts = quotas(weights, count, least)
    assert sum(parts.values()) == count
    if count >= least * len(weights):
        assert min(parts.values()) >= least
    if not least:
        total = sum(weights.values())
        assert all(abs(parts[key] - count * weights[key] / total) < 1 + 1e-9 for key in weights)


def test_quotas_by_hand():
    assert quotas({"a": 3, "b": 1}, 4) == {"a": 3, "b": 1}
    assert quotas({"a": 100, "b": 1}, 5, least=1) == {"a": 4, "b": 1}


def test_spread_has_one_number_in_each_part():
    assert sorted(np.floor(spread(stream("s"), 10) * 10).astype(int)) == list(range(10))
    assert len(spread(stream("s"), 0)) == 0


@pytest.mark.parametrize(("quantile", "key"), [(0.0, "a"), (0.24, "a"), (0.26, "b"), (1.0, "b")])
def test_pick(quantile, key):
    assert pick({"a": 1, "b": 3}, quantile) == key


def test_clouds_are_smooth_and_about_unit_size():
    noise = clouds(stream("clouds"), (300, 400), 20)
    assert noise.shape == (300, 400)
    assert noise.dtype == np.float32
    assert 0.7 < noise.std() < 1.3
    assert np.abs(np.diff(noise, axis=1)).mean() < 0.15
