"""A report written and read back strictly, as a reader sees it: texts, tables and titles without their markup."""

import json
from html.parser import HTMLParser

from siim_kernel import runs
from siim_kernel.evaluation import report
from siim_kernel.recipes import catalogue

RESAMPLES = 50
UNION = catalogue.by_name("thesis-union")


class Page(HTMLParser):
    """A page read strictly: tags that do not close are an error; the tables' texts and all addresses are kept."""

    VOID = ("meta", "link", "img", "br", "hr", "input", "path", "use")

    def __init__(self, source):
        super().__init__()
        self.source, self.within = source, None
        self.titles, self.warnings = [], []
        self.marked = {"title": self.titles, "warning": self.warnings}  # by the class of the element
        self.open, self.addresses, self.text, self.rows, self.captions = [], [], [], [], []
        self.feed(source)
        self.close()
        assert self.open == []
        self.words = "".join(self.text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.addresses += [value for name, value in attrs.items() if name in ("src", "href", "xlink:href", "action", "data")]
        self.text += [attrs[name] for name in ("alt", "aria-label") if tag in ("img", "svg") and name in attrs]
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag == "caption":
            self.captions.append(("", len(self.rows)))
        kind = "title" if tag in ("h2", "h3") and "section" in self.open else attrs.get("class")
        if kind in self.marked:
            self.marked[kind].append("")
            self.within = kind, len(self.open)
        elif self.within and kind == "of":  # of which group a section is
            self.within = None

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag
        if self.within and len(self.open) < self.within[1]:
            self.within = None

    def inside(self, *tags):
        return any(tag in self.open for tag in tags)

    def handle_data(self, data):
        self.text.append(data)
        if self.inside("td", "th"):
            self.rows[-1][-1] += data
        if self.inside("caption"):
            self.captions[-1] = (self.captions[-1][0] + data, self.captions[-1][1])
        if self.within:
            self.marked[self.within[0]][-1] += data
            self.titles[:] = map(str.strip, self.titles)

    def row(self, name, caption=""):
        """The cells after the first one, of the first row that begins with `name`; after the first caption that begins so."""
        start = next(place for text, place in [*self.captions, ("", 0)] if text.startswith(caption))
        return next(row[1:] for row in self.rows[start * bool(caption) :] if row[0] == name)


def shown(value):
    """A share as the page prints it."""
    return f"{value:.3f}".replace("0.", ".", 1).replace("-", "−") if abs(value) < 0.9995 else f"{value:.3f}"


def interval(row):
    return f"{shown(row.value)} ({shown(row.low)} to {shown(row.high)})"


def written(tmp_path, folders, **options):
    """(`Page`, its words) of the report of some runs."""
    out = tmp_path / "out" / "report.html"
    report.write(out, folders, **{"resamples": RESAMPLES} | options)
    page = Page(out.read_text())
    return page, page.words


def rewrite(folder, name, table):
    """Another table in a run, its hash in the record too."""
    table.to_csv(folder / name, index=False)
    record = json.loads((folder / runs.RECORD).read_text())
    record["files"][name] = runs.sha256(folder / name)
    (folder / runs.RECORD).write_text(json.dumps(record))
