"""The submission notebook, made from the script: `python -m siim_kernel.delivery.notebook inference_kernel/inference.py`.

Cells begin at `# %%` lines. The module docstring becomes the text cell; the cell of the PARAMETERS block is tagged
`parameters`. The same script gives the same bytes.
"""

import ast
import json
import sys
from pathlib import Path

from siim_kernel.errors import DeliveryError

CELL = "# %%"


def from_script(source):
    """The notebook (text, nbformat 4.5) of a script's text. Raises DeliveryError for a script without docstring or cells."""
    docstring = ast.get_docstring(ast.parse(source))
    head, *cells = source.split(f"{CELL}\n")
    if not docstring or not cells:
        raise DeliveryError(f"a kernel script begins with a docstring and has cells that begin with {CELL}")
    made = [{"cell_type": "markdown", "id": "about", "metadata": {}, "source": docstring.splitlines(keepends=True)}]
    for number, cell in enumerate(cells, start=1):
        tags = {"tags": ["parameters"]} if "# PARAMETERS" in cell else {}
        made.append(
            {
                "cell_type": "code",
                "execution_count": None,
                "id": f"cell-{number}",
                "metadata": tags,
                "outputs": [],
                "source": cell.strip().splitlines(keepends=True),
            }
        )
    notebook = {
        "cells": made,
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(notebook, indent=1) + "\n"


def main(script):
    """Writes the notebook beside a script; returns its path."""
    script = Path(script)
    notebook = script.with_suffix(".ipynb")
    notebook.write_text(from_script(script.read_text()))
    return notebook


if __name__ == "__main__":
    print(main(sys.argv[1]))
