"""Run a notebook as Kaggle's batch session does: all code cells in order, output to stdout, exit code 1 when a cell raises.

    python run_notebook.py NOTEBOOK WORKING_FOLDER

The kernel is the ipykernel of this interpreter, reached through Unix sockets so that no TCP is needed.
"""

import os
import re
import sys
import tempfile

import nbformat
from jupyter_client import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError


class Client(NotebookClient):
    """A notebook client that prints each output when it comes."""

    def output(self, outs, msg, display_id, cell_index):
        """Print one output of a running cell and keep it as nbclient does."""
        content = msg["content"]
        if msg["msg_type"] == "stream":
            print(content["text"], end="", flush=True)
        elif msg["msg_type"] in ("execute_result", "display_data"):
            print(content["data"].get("text/plain", ""), flush=True)
        elif msg["msg_type"] == "error":
            # Jupyter's traceback is coloured for terminals, the log is not one.
            print(re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(content["traceback"])), flush=True)
        return super().output(outs, msg, display_id, cell_index)


def main(path, working):
    """Run the notebook `path` in the folder `working`; returns the exit code."""
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        # A socket's path may have at most 107 bytes, so it is named here and not after jupyter's runtime folder.
        manager = AsyncKernelManager(kernel_name="python3", transport="ipc", ip=os.path.join(folder, "k"))
        client = Client(notebook, km=manager, timeout=None, resources={"metadata": {"path": working}})
        try:
            client.execute()
        except CellExecutionError:
            # Its traceback was among the cell's outputs.
            return 1
        except DeadKernelError as error:
            print(error, flush=True)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
