"""How a script stands for a command of `siim-kernel`."""

import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent


def siim_kernel(command):
    """Runs `siim-kernel COMMAND` of this checkout with the script's own arguments, and exits with its code."""
    sys.path.insert(0, str(CHECKOUT))
    try:
        from siim_kernel import cli
    except ModuleNotFoundError as missing:
        sys.exit(f"{missing.name} is not installed here; make dry-run, then . .venv/bin/activate")
    sys.argv[1:1] = [command]
    cli.main()
