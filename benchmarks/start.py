"""How soon the command line answers, and what importing the package loads."""

import subprocess
import sys
from pathlib import Path

from benchmarks import measure
from benchmarks.table import line

HEAVY = "import sys, siim_kernel; print(sum(name.partition('.')[0] in ('numpy', 'pandas', 'cv2', 'pydicom') for name in sys.modules))"


def run(settings):
    """The lines of this part; no facts."""
    ways = {
        "help": lambda: _run(Path(sys.executable).with_name("siim-kernel"), "--help"),
        "python": lambda: _run(sys.executable, "-c", "pass"),
    }
    times = measure.take_turns(ways, 2 * settings.rounds)
    bare = measure.spread(times["python"]).median
    loaded = int(_run(sys.executable, "-c", HEAVY))
    return [
        line("siim-kernel --help", measure.spread(times["help"]), unit="s", wanted="< 0.5", beside=f"Python alone {bare:.2f} s"),
        line(
            "modules of numpy, pandas, OpenCV and pydicom that `import siim_kernel` loads",
            measure.spread([loaded]),
            unit="modules",
            wanted="<= 0",
        ),
    ], {}


def _run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
