"""One device and two with the same global batch; several machines."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from siim_kernel import runs
from siim_kernel.errors import RunError
from siim_kernel.learning import training


def trained(folder, devices, case):
    program = [sys.executable, "-m", "tests.learning.two_devices_program", str(folder), str(devices), case]
    done = subprocess.run(program, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr[-3000:]
    with np.load(folder / f"{case}-{devices}.npz") as stored:
        return [stored[name] for name in stored.files]


@pytest.mark.slow
@pytest.mark.parametrize("case", ["frozen", "cnn9", "batch-norm"])
def test_two_devices_train_as_one_does(tmp_path, case):
    one, two = (trained(tmp_path, devices, case) for devices in (1, 2))
    assert len(one) == len(two)
    assert max(np.abs(left - right).max() for left, right in zip(one, two, strict=True)) < 1e-5
    left, right = (pd.read_csv(tmp_path / f"{case}-{devices}-run" / runs.HISTORY) for devices in (1, 2))
    np.testing.assert_allclose(left, right, atol=1e-5)


@pytest.mark.slow
def test_two_devices_go_on_as_they_would_have(tmp_path):
    unbroken = trained(tmp_path, 2, "resumed")
    with np.load(tmp_path / "resumed-again.npz") as stored:
        again = [stored[name] for name in stored.files]
    assert all(np.array_equal(left, right) for left, right in zip(unbroken, again, strict=True))


def test_several_machines_are_refused_with_what_to_do(monkeypatch):
    workers = {"worker": ["a:1", "b:1"]}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": workers, "task": {"type": "worker", "index": 0}}))
    with pytest.raises(RunError, match=r"several machines.*unset TF_CONFIG and train a fold on each machine"):
        training.strategy()
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": {"worker": ["a:1"]}}))
    assert training.strategy().num_replicas_in_sync == 1
