"""One self-contained HTML page: text, tables and figures in sections; no script, no other file, no network.

It reads in the dark, on a phone and on paper; each figure has a text alternative and its numbers as a table. All that comes
from data is escaped, and the page's own policy forbids the browser to load or run anything.
"""

import base64
import importlib.util
import io
import re
import struct
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from numbers import Integral, Real
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd

from siim_kernel import files
from siim_kernel.errors import MountError

WIDE = 600  # CSS pixels from which a figure takes the page's whole width and scrolls on a phone
INK = "#1c1b22"  # text and axes of figures, which become the colour of the page's text
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")  # characters that HTML has no place for


@dataclass(frozen=True)
class Text:
    """One paragraph."""

    text: str


@dataclass(frozen=True)
class Table:
    """A DataFrame without its index, and what it shows."""

    frame: pd.DataFrame
    caption: str = ""


@dataclass(frozen=True)
class Picture:
    """A figure.

    figure   a matplotlib Figure (drawn into the page as SVG) or the bytes of a PNG
    alt      what it shows, in words, for who cannot see it
    table    DataFrame of the numbers that it shows, folded away below it; None where it shows no numbers
    caption  printed below it
    """

    figure: object
    alt: str
    table: pd.DataFrame | None = None
    caption: str = ""


@dataclass(frozen=True)
class Section:
    """A title and what stands under it: `Text`, `Table` and `Picture` in their order."""

    title: str
    parts: tuple


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
    environment.filters["cell"] = cell
    numbered = iter(range(1, 10**9))
    drawn = [{"title": section.title, "parts": [_part(part, numbered) for part in section.parts]} for section in sections]
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return environment.get_template("page.html").render(title=title, lead=lead, sections=drawn, written=now)


def require():
    """Raises MountError where a package of the extra `report` is not installed."""
    lacking = [name for name in ("jinja2", "matplotlib") if importlib.util.find_spec(name) is None]
    if lacking:
        raise MountError(f"pages and figures need {' and '.join(lacking)}, not installed here: pip install 'siim-kernel[report]'")


def cell(value):
    """A table's cell as text: whole numbers with commas, others to four significant digits, nothing for what is missing."""
    if value is None or value is pd.NA or value is pd.NaT:
        return ""
    if isinstance(value, Integral) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, Real) and not isinstance(value, bool):
        if value != value:
            return ""
        return f"{value:,.0f}" if 1e4 <= abs(value) < 1e15 or value == 0 else f"{value:.4g}"
    return str(value)


def _printable(text):
    return _CONTROLS.sub("\ufffd", text)


def _part(part, numbered):
    """What the template needs of one part."""
    if isinstance(part, Text):
        return {"kind": "text", "text": part.text}
    if isinstance(part, Table):
        return {"kind": "table", "table": _table(part.frame), "caption": part.caption}
    if not isinstance(part, Picture):
        raise TypeError(f"a section holds Text, Table and Picture, not {type(part).__name__}")
    if not part.alt.strip():
        raise ValueError(f"a picture needs a text alternative; the one with the caption {part.caption!r} has none")
    from markupsafe import Markup

    alt = _printable(part.alt)
    drawing, width = _png(part.figure, alt) if isinstance(part.figure, bytes) else _svg(part.figure, alt, f"f{next(numbered)}-")
    table = None if part.table is None else _table(part.table)
    wide = width >= WIDE
    return {"kind": "picture", "drawing": Markup(drawing), "wide": wide, "table": table, "caption": part.caption}


def _table(frame):
    numeric = [pd.api.types.is_numeric_dtype(kind) and not pd.api.types.is_bool_dtype(kind) for kind in frame.dtypes]
    rows = [list(zip(row, numeric, strict=True)) for row in frame.itertuples(index=False, name=None)]
    return {"header": [(str(name), number) for name, number in zip(frame.columns, numeric, strict=True)], "rows": rows}


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
