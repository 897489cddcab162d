"""A desk for tests: a checkout's templates, the real Kaggle client, and a loopback Kaggle that it talks to."""

import shutil
from contextlib import contextmanager
from pathlib import Path

from siim_kernel.delivery import manifest as manifests
from siim_kernel.delivery.client import Client
from tests.loopback import warm
from tests.loopback.service import KEY, USER, Service

CHECKOUT = Path(__file__).resolve().parents[2]
COMPETITION = "siim-covid19-detection"
TEMPLATES = ("train_kernels", "inference_kernel", "datasets-metadata", "scripts", "requirements.lock", "pyproject.toml")
SOLUTION = "id,PredictionString\na_study,negative 1 0 0 1 1\n"
__all__ = ["COMPETITION", "KEY", "SOLUTION", "USER", "Desk", "at_a_desk"]


class Desk:
    """What a person has: `client`, `manifest`, the `checkout`, and a `service` far away; `said` and `slept` keep what went by.

    The client's command starts from a warm process unless another `program` is given.
    """

    def __init__(self, folder, service, program):
        self.folder, self.service, self.checkout = folder, service, folder / "checkout"
        self.said, self.slept = [], []
        self.program = program or (str(warm.folder() / "kaggle") if warm.folder() else "kaggle")
        self.client = self.new_client()
        self.checkout.mkdir()
        for name in TEMPLATES:
            copy = shutil.copytree if (CHECKOUT / name).is_dir() else shutil.copyfile
            copy(CHECKOUT / name, self.checkout / name)
        self.manifest = manifests.load(self.checkout, USER)
        competition = folder / "competition"
        competition.mkdir()
        (competition / "sample_submission.csv").write_text(SOLUTION)
        (folder / "solution.csv").write_text(SOLUTION)
        service.add_competition(COMPETITION, competition, folder / "solution.csv")

    def new_client(self, **environment):
        """A client with more or other variables in its environment."""
        return _Client(self.service.environment | environment, self.program, self.said.append, self.slept.append)

    def files(self, **files):
        """A new folder of files, given as name=content; two underscores stand for the slash, one for the dot."""
        folder = self.folder / f"files-{len(list(self.folder.glob('files-*')))}"
        for name, content in _named(files).items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return folder

    def have_dataset(self, slug, **files):
        """A dataset of this owner that is on Kaggle already; files as for `files`."""
        self.service.give_dataset(f"{USER}/{slug}", _named(files))

    def have_kernel(self, slug, status="COMPLETE", gpu=False, source="print(1)\n", **files):
        """A version of a kernel of this owner that is on Kaggle already, with what it left; files as for `files`."""
        ref = f"{USER}/{slug}"
        self.service.give_kernel(ref, _named(files), source, status, enableGpu=gpu)
        return ref

    def have_sources(self):
        """What the committed kernels take: three datasets, the trained runs, and the image kernel's output."""
        for name in self.manifest.datasets:
            self.have_dataset(f"siim-kernel-{name}", file_txt=name)
        self.have_kernel("siim-kernel-images", images__images_csv="image\n")

    def made(self, method):
        """How many requests of a method were acted on: answered, or acted on and then cut."""
        return sum(request.status in (200, "reset-after", "truncated") for request in self.service.requests(method))


class _Client(Client):
    """A client whose program is asked for its version once, and not by each client again."""

    checked = set()

    def _require_version(self):
        if self._program not in self.checked:
            super()._require_version()
            self.checked.add(self._program)


def _named(files):
    """{name: content} of files given as keywords: two underscores stand for the slash, one for the dot."""
    return {name.replace("__", "/").replace("_", "."): content for name, content in files.items()}


@contextmanager
def at_a_desk(folder, program=None):
    """A `Desk` in `folder` while its service answers."""
    with Service(folder / "service") as service:
        yield Desk(folder, service, program)
