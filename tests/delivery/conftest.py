"""A kernel folder made from a few lines of code, and its rehearsal."""

import json
import textwrap

import pytest

from siim_kernel.delivery.rehearsal import LEVELS, NAMESPACES, rehearse
from siim_kernel.errors import DeliveryError


def write_kernel(folder, code, **fields):
    folder.mkdir(parents=True, exist_ok=True)
    metadata = {"id": "me/kernel", "code_file": "run.py", "kernel_type": "script", "language": "python", "enable_internet": False}
    metadata |= fields
    (folder / "kernel-metadata.json").write_text(json.dumps(metadata))
    (folder / metadata["code_file"]).write_text(textwrap.dedent(code))
    return folder


@pytest.fixture
def run(tmp_path, request):
    """Run the code of a kernel on a small input, in a folder whose name has a blank; the result, with the lines of its output.

    `run.folder` is where all that stands, `run.write(code)` only writes the kernel's folder. A test that asks for `namespaces`
    runs in that level or fails.
    """
    tmp_path = tmp_path / "a place"
    (tmp_path / "input" / "films").mkdir(parents=True)
    (tmp_path / "input" / "films" / "a.txt").write_text("film")

    def write(code, **fields):
        return write_kernel(tmp_path / "kernel", code, **fields)

    def rehearse_code(code, fields=None, **options):
        lines = []
        if "namespaces" in request.fixturenames:
            options.setdefault("level", NAMESPACES)
        kernel = write(code, **(fields or {}))
        result = rehearse(kernel, options.pop("input", tmp_path / "input"), tmp_path / "working", on_line=lines.append, **options)
        assert result.log.read_text().splitlines() == lines
        return result, [line for line in lines if not line.startswith("rehearsal: ")]

    rehearse_code.folder, rehearse_code.write = tmp_path, write
    return rehearse_code


@pytest.fixture(scope="session")
def works(tmp_path_factory):
    """A function that skips the test where a level does not work on this machine."""
    answers = {}

    def check(level):
        if level not in answers:
            folder = tmp_path_factory.mktemp("probe")
            (folder / "input").mkdir()
            try:
                rehearse(write_kernel(folder / "kernel", ""), folder / "input", folder / "working", level=level)
                answers[level] = ""
            except DeliveryError as error:
                # A level that can be set up and does not hold is a fault, not a lack of this machine.
                if "does not work here" not in str(error):
                    raise
                answers[level] = str(error)
        if answers[level]:
            pytest.skip(answers[level])

    return check


@pytest.fixture
def namespaces(works):
    works(NAMESPACES)


@pytest.fixture(params=LEVELS)
def level(request, works):
    works(request.param)
    return request.param
