"""Fuzzing of the reading of films: mutated DICOM files, each read under limits of time and memory, and what came of it.

    python -m tests.fuzzing --minutes 10 --data FOLDER --keep build/fuzzing

A mutant is a function of the sources, the seed and its index. `--index` makes one again and reads it here, in this process.
"""

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.fuzzing_mutants import mutant, sources
from tests.fuzzing_runner import FAULTS, OUTCOMES, MutantReader, run


def table(counts):
    """Counts of (kind of source, outcome) as a table of text, the sums last."""
    kinds = sorted({kind for kind, _ in counts})
    outcomes = [name for name in OUTCOMES if name not in FAULTS or any(outcome == name for _, outcome in counts)]
    rows = [["source", "mutants", *outcomes]]
    for kind in [*kinds, "all"]:
        cells = [sum(n for (k, o), n in counts.items() if (kind in (k, "all")) and o == outcome) for outcome in outcomes]
        rows.append([kind, str(sum(cells)), *map(str, cells)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m tests.fuzzing", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=1.0, help="how long new mutants are begun")
    parser.add_argument("--mutants", type=int, help="stop after so many")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", type=Path, default=os.environ.get("SIIM_KERNEL_REAL_DATA"), help="folder with dicom/ of real films")
    parser.add_argument("--keep", type=Path, default=Path("build/fuzzing"), help="folder for mutants that are faults")
    parser.add_argument("--workers", type=int, choices=(1, 2), default=2)
    parser.add_argument("--index", type=int, help="make this one mutant, keep it, and read it in this process")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        found = sources(Path(scratch), options.data and Path(options.data))
        if options.index is not None:
            made = mutant(found, options.seed, options.index)
            options.keep.mkdir(parents=True, exist_ok=True)
            path = options.keep / f"{options.seed}-{options.index}.dcm"
            path.write_bytes(made.data)
            print(f"{path}: {made.kind}, {made.what}")
            print(*MutantReader()(path))
            return 0
        stop = time.monotonic() + 60 * options.minutes
        counts, faults = Counter(), 0
        indices = None if options.mutants is None else range(options.mutants)
        for result in run(found, options.seed, indices, keep=options.keep, workers=options.workers, stop=stop):
            counts[result.kind, result.outcome] += 1
            if result.outcome in FAULTS:
                faults += 1
                print(f"{result.outcome}: seed {options.seed}, index {result.index}, {result.what}", flush=True)
                print(f"    {result.detail}\n    kept as {result.kept}", flush=True)
    print(f"seed {options.seed}, {len(found)} sources")
    print(table(counts))
    print(f"{faults} faults" if faults else "no fault")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
