"""The PARAMETERS block: what is read, what is written, what is refused."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from siim_kernel.delivery import kernel_folders
from siim_kernel.errors import DeliveryError

METADATA = {
    "id": "me/siim-kernel-train",
    "title": "siim-kernel-train",
    "code_file": "train.py",
    "kernel_type": "script",
    "language": "python",
}
SCRIPT = '''"""Züge."""
import os
# PARAMETERS
RECIPE = "main"  # größe: ä comment stays
FOLD = None
HOURS = 8.5 # h
SIZES = (
    256,  # small
    512,
)
RESUME = False
N = -1
# END PARAMETERS
print(RECIPE, FOLD)
'''


def write_kernel(folder, code=SCRIPT, **fields):
    folder.mkdir()
    metadata = METADATA | fields
    (folder / "kernel-metadata.json").write_text(json.dumps(metadata))
    (folder / metadata["code_file"]).write_bytes(code.encode())
    return folder


def notebook(source, tags=("parameters",)):
    def cell(text, tags=()):
        return {"cell_type": "code", "metadata": {"tags": list(tags)}, "source": text, "outputs": [], "execution_count": None}

    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [cell("import os"), cell(source, tags), cell("1 + 1")]})


@pytest.fixture
def kernel(tmp_path):
    return write_kernel(tmp_path / "kernel")


def test_defaults_are_read_in_order(kernel):
    assert list(kernel_folders.read_parameters(kernel).items()) == [
        ("RECIPE", "main"),
        ("FOLD", None),
        ("HOURS", 8.5),
        ("SIZES", (256, 512)),
        ("RESUME", False),
        ("N", -1),
    ]


def test_copy_changes_the_values_alone(kernel, tmp_path):
    values = {"RECIPE": "it's ü", "FOLD": 3, "HOURS": 2, "SIZES": (64,), "RESUME": True, "N": 7}
    out = kernel_folders.write_copy(kernel, tmp_path / "copy", values)
    expected = SCRIPT.replace('"main"', '"it\'s ü"').replace("FOLD = None", "FOLD = 3").replace("8.5", "2").replace("False", "True")
    expected = expected.replace("N = -1", "N = 7").replace("(\n    256,  # small\n    512,\n)", "(64,)")
    assert (out / "train.py").read_text() == expected
    assert kernel_folders.read_parameters(out) == values
    assert sorted(path.name for path in out.iterdir()) == ["kernel-metadata.json", "train.py"]


def test_copy_without_values_is_the_same_bytes(tmp_path):
    code = SCRIPT.replace("\n", "\r\n") + "x = '\x0c\u2028'"
    kernel = write_kernel(tmp_path / "kernel", code)
    assert (kernel_folders.write_copy(kernel, tmp_path / "copy") / "train.py").read_bytes() == code.encode()
    changed = kernel_folders.write_copy(kernel, tmp_path / "changed", {"FOLD": 1}) / "train.py"
    assert changed.read_bytes() == code.replace("FOLD = None", "FOLD = 1").encode()


def test_a_separator_that_is_no_line_end_for_python(tmp_path):
    code = '# PARAMETERS\nA = "\u2028\x0c"\nB = 1\n# END PARAMETERS\n'
    out = kernel_folders.write_copy(write_kernel(tmp_path / "kernel", code), tmp_path / "copy", {"B": 2})
    assert kernel_folders.read_parameters(out) == {"A": "\u2028\x0c", "B": 2}


def test_slug_suffix_and_metadata(kernel, tmp_path):
    out = kernel_folders.write_copy(kernel, tmp_path / "copy", slug_suffix="-small-fold1", metadata={"kernel_sources": ["a/images"]})
    written = kernel_folders.read_metadata(out)
    assert written == METADATA | {
        "id": "me/siim-kernel-train-small-fold1",
        "title": "siim-kernel-train-small-fold1",
        "kernel_sources": ["a/images"],
    }
    assert kernel_folders.read_metadata(kernel) == METADATA
    with pytest.raises(DeliveryError, match="slug suffix"):
        kernel_folders.write_copy(kernel, tmp_path / "other", slug_suffix=" Fold 1")


@pytest.mark.parametrize("as_list", [False, True])
def test_notebook_cell(tmp_path, as_list):
    source = "# PARAMETERS\nFOLD = 0  # which\nNAME = 'a'\n# END PARAMETERS"
    content = notebook(source.splitlines(keepends=True) if as_list else source)
    kernel = write_kernel(tmp_path / "kernel", content, code_file="run.ipynb", kernel_type="notebook")
    assert kernel_folders.read_parameters(kernel) == {"FOLD": 0, "NAME": "a"}
    out = kernel_folders.write_copy(kernel, tmp_path / "copy", {"FOLD": 4})
    before, after = json.loads(content), json.loads((out / "run.ipynb").read_text())
    changed = "".join(after["cells"][1]["source"])
    assert changed == source.replace("FOLD = 0", "FOLD = 4")
    assert isinstance(after["cells"][1]["source"], list if as_list else str)
    after["cells"][1]["source"] = before["cells"][1]["source"]
    assert after == before


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"FOLDS": 1, "SEED": 2}, "no parameter FOLDS, SEED; there is RECIPE, FOLD, HOURS"),
        ({"RECIPE": 1}, "RECIPE is a str"),
        ({"N": "1"}, "N is a int"),
        ({"N": True}, "N is a int"),
        ({"N": 1.0}, "N is a int"),
        ({"RESUME": 1}, "RESUME is a bool"),
        ({"HOURS": False}, "HOURS is a float"),
        ({"HOURS": float("nan")}, "plain literal"),
        ({"FOLD": np.int64(1)}, "plain literal"),
        ({"SIZES": (np.int64(1),)}, "plain literal"),
    ],
)
def test_values_that_do_not_fit(kernel, tmp_path, values, text):
    with pytest.raises(DeliveryError, match=text):
        kernel_folders.write_copy(kernel, tmp_path / "copy", values)
    assert not (tmp_path / "copy").exists()


def test_none_leaves_a_value_out(kernel, tmp_path):
    assert kernel_folders.read_parameters(kernel_folders.write_copy(kernel, tmp_path / "copy", {"N": None}))["N"] is None


@pytest.mark.parametrize(
    ("block", "text"),
    [
        ("# PARAMETERS\nA = 1\n", "found 1 and 0"),
        ("# END PARAMETERS\nA = 1\n# PARAMETERS\n", "one line"),
        ("# PARAMETERS\n# END PARAMETERS\n# PARAMETERS\n# END PARAMETERS\n", "found 2 and 2"),
        ("\n# PARAMETERS\nA = 1\nB = = 2\n# END PARAMETERS\n", "line 4 of the PARAMETERS block"),
        ("# PARAMETERS\nA = os.getcwd()\n# END PARAMETERS\n", "line 2 .* must be a literal"),
        ("# PARAMETERS\nA = B = 1\n# END PARAMETERS\n", "expected NAME = literal"),
        ("# PARAMETERS\nprint(1)\n# END PARAMETERS\n", "expected NAME = literal"),
        ("# PARAMETERS\nA = 1\nA = 2\n# END PARAMETERS\n", "A stands there twice"),
        ("if 1:\n    # PARAMETERS\n    A = 1\n    # END PARAMETERS\n", "unexpected indent"),
    ],
)
def test_blocks_that_cannot_be_used(tmp_path, block, text):
    with pytest.raises(DeliveryError, match=text):
        kernel_folders.read_parameters(write_kernel(tmp_path / "kernel", block))


def test_no_block_takes_no_values(tmp_path):
    kernel = write_kernel(tmp_path / "kernel", "print(1)\n")
    assert kernel_folders.read_parameters(kernel) == {}
    with pytest.raises(DeliveryError, match="no PARAMETERS block"):
        kernel_folders.write_copy(kernel, tmp_path / "copy", {"A": 1})


@pytest.mark.parametrize(
    "content", ["[]", "{}", '{"cells": [1]}', '{"cells": [{"cell_type": "code"}]}', "no json", notebook("", ()).replace("[]", "3")]
)
def test_files_that_are_no_notebooks(tmp_path, content):
    kernel = write_kernel(tmp_path / "kernel", content, code_file="run.ipynb", kernel_type="notebook")
    with pytest.raises(DeliveryError):
        kernel_folders.read_parameters(kernel)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"code_file": ""}, "code_file must name"),
        ({"code_file": None}, "code_file must name"),
        ({"code_file": "other.py"}, "'other.py' does not exist"),
        ({"code_file": "../outside.py"}, "outside the kernel's folder"),
        ({"kernel_type": "Script"}, "kernel_type must be script or notebook"),
    ],
)
def test_metadata_that_cannot_be_used(tmp_path, fields, text):
    kernel = write_kernel(tmp_path / "kernel")
    (tmp_path / "outside.py").write_text("")
    (kernel / "kernel-metadata.json").write_text(json.dumps(METADATA | fields))
    with pytest.raises(DeliveryError, match=text):
        kernel_folders.read_metadata(kernel)


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff\xfe", b"\xef\xbb\xbf{}"])
def test_metadata_that_is_no_json_object(tmp_path, content):
    kernel = write_kernel(tmp_path / "kernel")
    (kernel / "kernel-metadata.json").write_bytes(content)
    with pytest.raises(DeliveryError, match="kernel-metadata.json"):
        kernel_folders.read_metadata(kernel)


def test_missing_metadata(tmp_path):
    with pytest.raises(DeliveryError, match="does not exist"):
        kernel_folders.read_metadata(tmp_path)


def test_copy_never_overwrites(kernel, tmp_path):
    (tmp_path / "file").write_text("")
    for out in (kernel, tmp_path / "file"):
        with pytest.raises(DeliveryError, match="not an empty folder"):
            kernel_folders.write_copy(kernel, out, {"FOLD": 1})
    assert (kernel / "train.py").read_text() == SCRIPT


def test_settings():
    given_settings = [
        "FOLD=1",
        "RECIPE=small",
        "HOURS=2.5",
        "SIZES=(1, 2)",
        "EMPTY=",
        "NOTE=a=b",
        "FLAG=True",
        'TEXT="1"',
        "OLD=007",
        "NO=None",
    ]
    assert kernel_folders.parse_settings(given_settings) == {
        "FOLD": 1,
        "RECIPE": "small",
        "HOURS": 2.5,
        "SIZES": (1, 2),
        "EMPTY": "",
        "NOTE": "a=b",
        "FLAG": True,
        "TEXT": "1",
        "OLD": "007",
        "NO": None,
    }
    for wrong in (["FOLD"], ["=1"], ["A B=1"], ["A=1", "A=2"]):
        with pytest.raises(DeliveryError):
            kernel_folders.parse_settings(wrong)


literals = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.tuples(inner, inner) | st.lists(inner, max_size=3),
    max_leaves=5,
)


@given(value=literals)
def test_every_literal_comes_back(tmp_path_factory, value):
    folder = tmp_path_factory.mktemp("kernel")
    kernel = write_kernel(folder / "kernel", "# PARAMETERS\nA = None  # c\nB = 'ü'; C = 1\n# END PARAMETERS\nprint(A)\n")
    out = kernel_folders.write_copy(kernel, folder / "copy", {"A": value, "C": 2})
    assert kernel_folders.read_parameters(out) == {"A": value, "B": "ü", "C": 2}
    assert (out / "kernel-metadata.json").read_text() == json.dumps(METADATA, indent=2) + "\n"
