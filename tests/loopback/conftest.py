"""The service, and the real client to talk to it."""

import shutil
import subprocess
import tempfile

import pytest

from tests.loopback.folders import COMPETITION, ROWS
from tests.loopback.service import Service


@pytest.fixture
def service(tmp_path):
    with Service(tmp_path / "service") as service:
        yield service
        assert not service.strangers, "the client wanted to reach another host"


@pytest.fixture
def competition(service, tmp_path):
    """Folder of a competition of two files, which the service has; its sample is its solution."""
    folder = tmp_path / "competition"
    (folder / "train").mkdir(parents=True)
    (folder / "sample_submission.csv").write_text(ROWS)
    (folder / "train" / "film.dcm").write_bytes(bytes(1000))
    (tmp_path / "solution.csv").write_text(ROWS)
    service.add_competition(COMPETITION, folder, tmp_path / "solution.csv")
    return folder


@pytest.fixture
def kaggle(service):
    """`kaggle(*arguments, **environment)` runs the real client, each time with a temporary folder of its own."""
    if shutil.which("kaggle", path=service.environment["PATH"]) is None:
        pytest.skip("the kaggle command is not installed: pip install kaggle==2.2.4 six")

    def run(*arguments, **environment):
        with tempfile.TemporaryDirectory() as temporary:
            return subprocess.run(
                ["kaggle", *map(str, arguments)],
                env=service.environment | {"TMPDIR": temporary} | environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=120,
            )

    return run
