"""What was measured, as lines: printed, stored as JSON, and written into a page between two markers."""

import dataclasses
import json
import operator
import re
from dataclasses import dataclass
from pathlib import Path

from siim_kernel.files import write_atomically

BOUNDS = {">=": operator.ge, "<=": operator.le, "<": operator.lt}
HEADER = ("what", "measured (lowest–highest)", "wanted", "reached", "beside it")


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of the table.

    what      is measured
    median, low, high    over the rounds, in `unit` ("x" is a ratio)
    wanted    a bound such as ">= 4.5", or "" where the line is there to be read
    beside    the floor, and what else explains the figure
    """

    what: str
    median: float
    low: float
    high: float
    unit: str = "x"
    wanted: str = ""
    beside: str = ""

    @property
    def reached(self):
        """True, False, or None where nothing is wanted."""
        if not self.wanted:
            return None
        sign, bound = self.wanted.split()[:2]
        return BOUNDS[sign](self.median, float(bound))

    @property
    def cells(self):
        """The line as five cells of text."""
        measured = f"{number(self.median)} {self.unit} ({number(self.low)}–{number(self.high)})"
        reached = {True: "yes", False: "**no**", None: ""}[self.reached]
        return self.what, measured, f"{self.wanted} {self.unit}" if self.wanted else "", reached, self.beside


def line(what, measured, **rest):
    """A `Line` of a `measure.Spread`."""
    return Line(what=what, median=measured.median, low=measured.low, high=measured.high, **rest)


def number(value):
    """Three digits that count."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def markdown(lines):
    """The lines as a Markdown table."""
    rows = [HEADER, ("---",) * len(HEADER), *(line.cells for line in lines)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def store(path, part, lines, facts):
    """Puts the lines and facts of a part into the JSON file `path`, beside those of the other parts."""
    found = load(path)
    found[part] = {"lines": [dataclasses.asdict(line) | {"reached": line.reached} for line in lines], **facts}
    write_atomically(Path(path), json.dumps(found, indent=1) + "\n")


def load(path):
    """The stored parts, a dict; {} where nothing is stored yet."""
    return json.loads(Path(path).read_text()) if Path(path).exists() else {}


def lines_of(part):
    """The `Line`s of a stored part."""
    return [Line(**{name: value for name, value in stored.items() if name != "reached"}) for stored in part["lines"]]


def between_markers(page, name, text):
    """The page with what stands between `<!-- name -->` and `<!-- /name -->` replaced by `text`; ValueError without markers."""
    pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    if not pattern.search(page):
        raise ValueError(f"the page has no markers <!-- {name} --> and <!-- /{name} -->")
    return pattern.sub(lambda found: f"{found[1]}\n{text}\n\n{found[2]}", page)
