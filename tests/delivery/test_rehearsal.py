"""How a kernel is run, and what is told of its run."""

import json
import shutil
import signal
import venv

import pytest

from siim_kernel.delivery.rehearsal import NAMESPACES
from siim_kernel.errors import DeliveryError


def test_the_run_proves_itself(run, level):
    result, lines = run("print('hello')\n", level=level)
    assert result.ok
    assert lines == ["hello"]
    assert result.outcome == "exit code 0"
    assert (result.level, result.returncode, result.killed, result.changed) == (level, 0, "", ())
    assert result.proof[0].startswith("connect to 192.0.2.1 in a child process: [Errno 101] Network is unreachable")
    assert result.proof[1].startswith("name lookup of example.com in a child process: ")
    assert any("Read-only file system" in line for line in result.proof) == (level == NAMESPACES)
    assert result.log == run.folder / "working.log"
    assert result.log.read_text().startswith(f"rehearsal: level {level}\n")
    assert not any((run.folder / "working").iterdir())
    assert (result.notes == ()) == (level == NAMESPACES)


def test_failures_of_the_kernel_are_results(run, level):
    result, lines = run("print('out')\nraise SystemExit(3)\n", level=level)
    assert (result.returncode, result.ok, result.outcome, lines) == (3, False, "exit code 3", ["out"])


def test_a_crash_is_a_result(run, level):
    result, _ = run("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n", level=level)
    assert result.returncode == 128 + signal.SIGSEGV


def test_output_line_by_line(run, namespaces):
    _, lines = run(
        """
        import os, sys
        os.write(1, b"no utf-8: \\xff\\r\\n")
        os.write(2, b"error\\n")
        os.write(1, b"x" * 200_000 + b"\\n\\nlast without end")
        """
    )
    assert lines[:2] == ["no utf-8: \ufffd", "error"]
    assert "".join(lines[2:-1]) == "x" * 200_000
    assert max(map(len, lines)) < 140_000
    assert lines[-1] == "last without end"


def test_parameters_are_set(run, namespaces):
    code = "# PARAMETERS\nFOLD = 0  # which\n# END PARAMETERS\nprint(FOLD)\n"
    assert run(code, parameters={"FOLD": 4})[1] == ["4"]
    shutil.rmtree(run.folder / "working")
    with pytest.raises(DeliveryError, match="no parameter FOLDS"):
        run(code, parameters={"FOLDS": 4})


def test_workers_of_multiprocessing_and_joblib(run, level):
    result, lines = run(
        """
        import multiprocessing
        import joblib
        if __name__ == "__main__":
            with multiprocessing.Pool(2) as pool:
                print(pool.map(abs, [-1, -2]))
            print(joblib.Parallel(2)(joblib.delayed(abs)(number) for number in [-3, -4]))
        """,
        level=level,
    )
    assert result.ok
    assert lines == ["[1, 2]", "[3, 4]"]


def notebook(*cells):
    def cell(source):
        tags = ["parameters"] if "PARAMETERS" in source else []
        return {
            "cell_type": "code",
            "id": f"c{len(source)}",
            "metadata": {"tags": tags},
            "source": source,
            "outputs": [],
            "execution_count": None,
        }

    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": list(map(cell, cells))})


NOTEBOOK = {"code_file": "run.ipynb", "kernel_type": "notebook"}


def test_notebook(run, level):
    cells = ("# PARAMETERS\nFOLD = 0\n# END PARAMETERS", "open('out', 'w').write('x')\nprint('fold', FOLD)", "!echo from a shell", "6 * 7")
    result, lines = run(notebook(*cells), NOTEBOOK, level=level, parameters={"FOLD": 2})
    assert result.ok
    assert [line for line in lines if line in ("fold 2", "from a shell", "42")] == ["fold 2", "from a shell", "42"]
    assert [path.name for path in (run.folder / "working").iterdir()] == ["out"]


def test_notebook_that_fails(run, namespaces):
    result, lines = run(notebook("print('first')", "1 / 0", "print('never')"), NOTEBOOK)
    assert result.returncode == 1
    assert lines.count("first") == 1
    assert "ZeroDivisionError: division by zero" in lines
    assert "never" not in lines


def test_notebook_whose_kernel_dies(run, namespaces):
    result, _ = run(notebook("import os; os._exit(9)"), NOTEBOOK)
    assert result.returncode == 1


def test_notebook_without_nbclient(run):
    environment = run.folder / "bare"
    venv.create(environment)
    with pytest.raises(DeliveryError, match="lacks nbclient and ipykernel .* pip install"):
        run(notebook("1"), NOTEBOOK, python=str(environment / "bin" / "python"))


@pytest.mark.parametrize("fields", [{"enable_internet": True}, {"enable_internet": "true"}])
def test_internet_of_the_metadata_is_told(run, fields):
    result, _ = run("", fields)
    assert any("enable_internet" in note for note in result.notes)
    assert result.ok


def test_folders_that_cannot_be_used(run):
    with pytest.raises(DeliveryError, match="is not a folder"):
        run("", input=run.folder / "nowhere")
    with pytest.raises(DeliveryError, match="must not lie one in the other"):
        run("", input=run.folder)
    (run.folder / "working").mkdir()
    (run.folder / "working" / "old").write_text("")
    with pytest.raises(DeliveryError, match="is not an empty folder"):
        run("")
    with pytest.raises(DeliveryError, match="level is one of"):
        run("", level="docker")
    (run.folder / "working" / "old").unlink()
    with pytest.raises(DeliveryError, match="no Python interpreter at"):
        run("", python="no-such-python")
    with pytest.raises(DeliveryError, match="only kernels in python"):
        run("", {"language": "r"})


def test_nothing_is_left_behind(run, namespaces, monkeypatch):
    scratch = run.folder / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    assert run("import os\nos.makedirs('/tmp/deep/er')\nopen('/tmp/deep/er/x', 'w')\n")[0].ok
    assert list(scratch.iterdir()) == []
