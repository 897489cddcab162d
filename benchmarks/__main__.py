"""python -m benchmarks [PART ...] [--quick] [--write] [--folder DIR]"""

import argparse
import importlib
import json
import os
import platform
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

from benchmarks import settings, table

PARTS = ("reading", "building", "start", "memory", "training", "prediction", "plan", "growth")
CHECKOUT = Path(__file__).resolve().parent.parent
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # before TensorFlow is loaded, here and in what is started here


def machine():
    """What the figures belong to."""
    names = ("numpy", "opencv-python-headless", "pydicom", "python-gdcm", "imagecodecs", "tensorflow-cpu", "keras")
    cpu = next((text.split(":")[1].strip() for text in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in text), "")
    versions = {name: metadata.version(name) for name in names}
    return {"cpu": cpu, "cores": len(os.sched_getaffinity(0)), "python": platform.python_version(), **versions}


def measure_part(name, chosen, results):
    """Runs a part here and stores its lines."""
    started, load = time.monotonic(), os.getloadavg()[0]
    lines, facts = importlib.import_module(f"benchmarks.{name}").run(chosen)
    about = {"minutes": round((time.monotonic() - started) / 60, 2), "load_before": round(load, 2), "date": time.strftime("%Y-%m-%d")}
    table.store(results, name, lines, facts | about | {"machine": machine()})
    print(f"\n{name}: {about['minutes']} minutes\n{table.markdown(lines)}\n{json.dumps(facts, indent=1)}", flush=True)


def write_docs(results, docs):
    """Puts the stored table and growth into `docs`/speed.md, and the curve into `docs`/growth.png."""
    from benchmarks import growth

    stored = table.load(results)
    page = docs / "speed.md"
    text = table.between_markers(page.read_text(), "table", whole_table(stored))
    if "growth" in stored:
        text = table.between_markers(text, "growth", growth.page(stored["growth"]))
        growth.draw(stored["growth"], docs / "growth.png")
    page.write_text(text)


def whole_table(stored):
    """All stored lines as Markdown, under a line on the run."""
    lines = [each for name in PARTS if name in stored for each in table.lines_of(stored[name])]
    return f"{about_run(stored)}\n\n{table.markdown(lines)}"


def about_run(stored):
    """A line on machine, versions and days."""
    here = list(stored.values())[-1]["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in here.items() if name not in ("cpu", "cores"))
    days = " and ".join(sorted({part["date"] for part in stored.values()}))
    minutes = sum(part["minutes"] for part in stored.values())
    load = max(part["load_before"] for part in stored.values())
    return f"{here['cores']} cores of {here['cpu']}; {versions}; {days}, {minutes:.0f} minutes, load before the parts at most {load:.1f}."


def main(arguments=None):
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Speed and memory as ratios from one run.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)} [all]")
    parser.add_argument("--quick", action="store_true", help="a rough look in some minutes")
    parser.add_argument("--write", action="store_true", help="put the results into docs/speed.md")
    parser.add_argument("--folder", type=Path, default=CHECKOUT / "build" / "bench", help="where films are kept [build/bench]")
    given = parser.parse_args(arguments)
    if unknown := set(given.parts) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}")
    if given.quick and given.write:
        parser.error("a quick look is too rough for the page: leave out --quick or --write")
    given.folder.mkdir(parents=True, exist_ok=True)
    results = given.folder.parent / ("bench-quick.json" if given.quick else "bench.json")
    chosen = (settings.quick if given.quick else settings.full)(given.folder)
    if len(given.parts) == 1:
        measure_part(given.parts[0], chosen, results)
    else:
        for part in given.parts or PARTS:  # each in a process of its own: none inherits another's memory
            options = ["--folder", str(given.folder), *(["--quick"] if given.quick else [])]
            subprocess.run([sys.executable, "-m", "benchmarks", part, *options], check=True, cwd=CHECKOUT)
        print(f"\n{whole_table(table.load(results))}")
    if given.write:
        write_docs(results, CHECKOUT / "docs")


if __name__ == "__main__":
    main()
