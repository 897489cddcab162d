"""One self-contained HTML page: text, tables and figures in sections; no script, no other file, no network.

It reads in the dark, on a phone and on paper; each figure has a text alternative and its numbers as a table. All that comes
from data is escaped, and the page's own policy forbids the browser to load or run anything.
"""

import base64
import importlib.util
import io
import math
import re
import struct
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from itertools import groupby
from numbers import Integral, Real
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd

from siim_kernel import files
from siim_kernel.errors import MountError

LARGEST = 430  # CSS pixels up to which a figure shrinks on a phone, so that its text stays legible; a larger one scrolls
INK = "#1c1b22"  # text and axes of figures, which become the colour of the page's text
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
HALF = 530  # CSS pixels of a column of the page's two
_NUMBER = r"[-−+]?(?:\d+(?:,\d{3})*(?:\.\d+)?|\.\d+)(?:e[-+]?\d+)?(?:[ \xa0]?%)?"
_NUMBERS = re.compile(
    rf"(?<![\w.-])(?:<[ \xa0])?{_NUMBER}(?: ?\({_NUMBER} to {_NUMBER}\)| (?:±|to) {_NUMBER})?(?!\w|\.\d)"
)  # one, or an interval
_NOTHING = ("", "–", "∞", "−∞")  # of a column of numbers too
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")  # characters that HTML has no place for


@dataclass(frozen=True)
class Text:
    """One paragraph; a warning stands out, and says that it is one."""

    text: str
    warning: bool = False


@dataclass(frozen=True)
class Table:
    """A DataFrame without its index, and what it shows."""

    frame: pd.DataFrame
    caption: str = ""


@dataclass(frozen=True)
class Picture:
    """A figure.

    figure   a matplotlib Figure (drawn into the page as SVG) or the bytes of a PNG
    alt      what it shows, in words, for who cannot see it; where empty, the Figure's own label
    table    DataFrame of the numbers that it shows, folded away below it; None where it shows no numbers
    caption  printed below it
    """

    figure: object
    alt: str = ""
    table: pd.DataFrame | None = None
    caption: str = ""


@dataclass(frozen=True)
class Section:
    """A title and what stands under it: `Text`, `Table` and `Picture` in their order.

    group  of sections that follow each other under one heading, "" for a section of its own
    """

    title: str
    parts: tuple
    group: str = ""


def write(path, title, sections, lead=""):
    """Writes the page to `path`, whole or not at all; `lead` is the paragraph below the title.

    Raises MountError where the extra `report` is not installed, ValueError for a picture without a text alternative.
    """
    path = Path(path)
    page = render(title, sections, lead)
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_atomically(path, page.encode("utf-8", "replace"))  # file names may hold what UTF-8 does not


def render(title, sections, lead=""):
    """The page as a string; see `write`."""
    require()
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: _printable(value) if type(value) is str else value,  # a Markup stays one
    )
    environment.filters["unbroken"] = _unbroken
    numbered = iter(range(1, 10**9))
    drawn = [_section(section, number, numbered) for number, section in enumerate(sections, 1)]
    groups = [{"name": name, "sections": list(members)} for name, members in groupby(drawn, lambda section: section["group"])]
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return environment.get_template("page.html").render(title=title, lead=lead, groups=groups, written=now)


def require():
    """Raises MountError where a package of the extra `report` is not installed."""
    lacking = [name for name in ("jinja2", "matplotlib") if importlib.util.find_spec(name) is None]
    if lacking:
        raise MountError(f"pages and figures need {' and '.join(lacking)}, not installed here: pip install 'siim-kernel[report]'")


def cell(value):
    """A table's cell as text: whole numbers with commas, others to four significant digits, nothing for what is missing.

    What is infinite is ∞.
    """
    if value is None or value is pd.NA or value is pd.NaT:
        return ""
    if isinstance(value, Integral) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, Real) and not isinstance(value, bool):
        if value != value:
            return ""
        if math.isinf(value):
            return "∞" if value > 0 else "−∞"
        return f"{value:,.0f}" if 1e4 <= abs(value) < 1e15 or value == 0 else f"{value:.4g}"
    return str(value)


def per_cent(share, digits=1):
    """A share of 0..1 as text: 0.2741 is "27.4 %", what is less than it can show "< 0.1 %"; nothing for what is missing.

    The space is one that does not break.
    """
    if pd.isna(share):
        return ""
    least = 10**-digits
    return f"<\xa0{least:.{digits}f}\xa0%" if 0 < share * 100 < least / 2 else f"{share * 100:.{digits}f}\xa0%"


def counted(number, noun, plural=""):
    """ "1 film", "2 films", "1,000 studies" with `plural`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def _printable(text):
    return _CONTROLS.sub("\ufffd", text)


def _unbroken(value):
    """A table's cell as markup, in which no number or interval breaks over two lines."""
    from markupsafe import Markup, escape

    text, done, parts = _printable(cell(value)), 0, []
    if not _is_number(text):  # else the whole cell is one
        for found in _NUMBERS.finditer(text):
            if " " in found[0]:
                parts += [escape(text[done : found.start()]), Markup('<span class="whole">{}</span>').format(found[0])]
                done = found.end()
    return Markup("").join([*parts, escape(text[done:])])


def _is_number(text):
    return bool(_NUMBERS.fullmatch(text))


def _section(section, number, numbered):
    """What the template needs of one section; a table that is its only table or figure takes the whole width."""
    parts = [_part(part, numbered) for part in section.parts]
    shown = [part for part in parts if part["kind"] != "text"]
    if len(shown) == 1 and shown[0]["kind"] == "table":
        shown[0]["wide"] = True
    return {"title": section.title, "group": section.group, "number": number, "parts": parts}


def _part(part, numbered):
    """What the template needs of one part."""
    if isinstance(part, Text):
        return {"kind": "text", "text": part.text, "warning": part.warning}
    if isinstance(part, Table):
        table = _table(part.frame)
        return {"kind": "table", "table": table, "caption": part.caption, "wide": _width(part.frame) > HALF}
    if not isinstance(part, Picture):
        raise TypeError(f"a section holds Text, Table and Picture, not {type(part).__name__}")
    alt = _printable(part.alt if isinstance(part.figure, bytes) else part.alt or part.figure.get_label())
    if not alt.strip():
        raise ValueError(f"a picture needs a text alternative; the one with the caption {part.caption!r} has none")
    from markupsafe import Markup

    drawing, width = _png(part.figure, alt) if isinstance(part.figure, bytes) else _svg(part.figure, alt, f"f{next(numbered)}-")
    table = None if part.table is None else _table(part.table)
    shape = {"wide": width > HALF, "scrolls": width > LARGEST}
    return {"kind": "picture", "drawing": Markup(drawing), "table": table, "caption": part.caption} | shape


def _table(frame):
    """The header (name, class) and the rows of (value, class): "number" in columns of numbers, "whole" for a number elsewhere."""
    classes = ["number" if _holds_numbers(frame.iloc[:, place]) else "" for place in range(frame.shape[1])]
    rows = [
        [(value, kind or "whole" * _is_number(cell(value))) for value, kind in zip(row, classes, strict=True)]
        for row in frame.itertuples(index=False, name=None)
    ]
    return {"header": [(str(name), kind) for name, kind in zip(frame.columns, classes, strict=True)], "rows": rows}


def _holds_numbers(column):
    """Whether a column is of numbers, or of texts that are: ".549 (.456 to .640)", "27.4 %", "67.64 ± 13.36"."""
    if pd.api.types.is_numeric_dtype(column.dtype):
        return not pd.api.types.is_bool_dtype(column.dtype)
    texts = [text for text in map(cell, column) if text not in _NOTHING]
    return bool(texts) and all(map(_is_number, texts))


def _width(frame):
    """About how many CSS pixels a table takes whose lines do not break."""
    longest = [max([len(str(name)), *(len(cell(value)) for value in frame.iloc[:, place])]) for place, name in enumerate(frame.columns)]
    return sum(20 + min(7.2 * letters, 416) for letters in longest)


def _png(content, alt):
    """(an <img> with the bytes in it, its width in pixels)."""
    if not content.startswith(PNG_SIGNATURE) or len(content) < 24:
        raise ValueError(f"a picture is a Figure or the bytes of a PNG; got {len(content)} bytes that begin with {content[:8]!r}")
    width, height = struct.unpack(">II", content[16:24])
    data = base64.b64encode(content).decode()
    return f'<img src="data:image/png;base64,{data}" alt="{escape(alt)}" width="{width}" height="{height}">', width


def _svg(figure, alt, prefix):
    """(an inline <svg> of a Figure, its width in CSS pixels).

    prefix  of all ids, which are else the same in every figure

    Text stays text in the reader's font, and what is drawn in `INK` takes the colour of the page's text.
    """
    from matplotlib import rc_context

    content = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "siim-kernel"}):
        figure.savefig(content, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    root = ElementTree.fromstring(content.getvalue())
    for parent in list(root.iter()):
        for child in list(parent):
            if _local(child.tag) in ("metadata", "style"):  # addresses of vocabularies, and a style that would hold for the page
                parent.remove(child)
    for element in root.iter():
        element.tag = _local(element.tag)
        element.attrib = {_local(name): _within_page(_local(name), value, prefix) for name, value in element.attrib.items()}
    width, height = (round(float(root.attrib[name].removesuffix("pt")) * 4 / 3) for name in ("width", "height"))
    root.attrib = {"viewBox": root.attrib["viewBox"], "width": str(width), "height": str(height), "role": "img", "aria-label": alt}
    return ElementTree.tostring(root, encoding="unicode", method="html"), width


def _local(name):
    """A name without its namespace: HTML knows those of SVG."""
    return name.rpartition("}")[2]


def _within_page(name, value, prefix):
    """An attribute's value with ids of this figure alone, and the page's ink."""
    if name == "id":
        return prefix + value
    if name == "href" and value.startswith("#"):
        return f"#{prefix}{value[1:]}"
    return value.replace("url(#", f"url(#{prefix}").replace(INK, "currentColor").replace("#000000", "currentColor")
