"""A page stands alone: valid, without a network, everything escaped, every figure with a text alternative."""

import re
import sys
from html.parser import HTMLParser

import cv2
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from siim_kernel.errors import MountError
from siim_kernel.evaluation import pages
from siim_kernel.evaluation.pages import Picture, Section, Table, Text

HOSTILE = "</title><script>alert(1)</script>\"' onload=\x00x"
VOID = {"meta", "link", "img", "br", "hr", "input"}


class Outline(HTMLParser):
    """Refuses tags that are not closed in order; collects tags with their attributes, and the text outside of <style>."""

    def __init__(self, page):
        super().__init__()
        self.open, self.tags, self.text = [], [], []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        assert len(dict(attrs)) == len(attrs), f"an attribute twice in <{tag}>"
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text.append(data)

    def all(self, name):
        return [attrs for tag, attrs in self.tags if tag == name]


def drawing(width=4):
    figure = Figure(figsize=(width, 2))
    axes = figure.subplots()
    axes.imshow([[0, 1], [2, 3]])
    axes.set_title(HOSTILE.replace("\x00", ""), color=pages.INK)
    return figure


def png():
    return cv2.imencode(".png", np.zeros((4, 6), np.uint8))[1].tobytes()


@pytest.fixture(scope="module")
def page():
    frame = pd.DataFrame({HOSTILE: [HOSTILE, None], "n": [1234, 5], "x": [0.123456, np.nan]})
    parts = (
        Text(HOSTILE),
        Table(frame, HOSTILE),
        Picture(drawing(), HOSTILE, frame, HOSTILE),
        Picture(png(), HOSTILE),
        Picture(drawing(8), "b"),
    )
    return pages.render(HOSTILE, [Section(HOSTILE, parts), Section("empty", ())], HOSTILE)


def test_valid_and_escaped(page):
    outline = Outline(page)
    assert outline.all("script") == []
    assert not any(name.startswith("on") for _, attrs in outline.tags for name in attrs)
    assert "\x00" not in page
    shown = HOSTILE.replace("\x00", "\ufffd")
    assert "".join(outline.text).count(shown) >= 8  # title, heading, lead, contents, section, text, caption, cells, ...


def test_no_network_and_no_script_by_the_pages_own_policy(page):
    outline = Outline(page)
    assert not re.search(r"https?:|//[a-z]", page)
    policy = next(attrs["content"] for attrs in outline.all("meta") if attrs.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")
    assert "script-src" not in policy
    for _, attrs in outline.tags:
        for name in ("src", "href"):
            assert attrs.get(name, "#").startswith(("#", "data:"))
    assert "url(" not in re.sub(r"url\(#", "", page)
    assert "@import" not in page


def test_every_figure_has_a_text_alternative_and_its_numbers(page):
    outline = Outline(page)
    shown = HOSTILE.replace("\x00", "\ufffd")
    assert [attrs["alt"] for attrs in outline.all("img")] == [shown]
    assert [(attrs["role"], attrs["aria-label"]) for attrs in outline.all("svg")] == [("img", shown), ("img", "b")]
    assert len(outline.all("details")) == 1  # of the one that has numbers
    assert [(attrs["width"], attrs["height"]) for attrs in outline.all("img")] == [("6", "4")]


def test_ids_of_figures_do_not_meet(page):
    outline = Outline(page)
    ids = [attrs["id"] for _, attrs in outline.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    wanted = re.findall(r"url\(#([^)]+)\)", page) + [
        attrs["href"][1:] for _, attrs in outline.tags if attrs.get("href", "").startswith("#")
    ]
    assert len(wanted) > 4
    assert set(wanted) <= set(ids)


def test_ink_takes_the_colour_of_the_text(page):
    drawn = "".join(re.findall(r"<svg.*?</svg>", page, re.DOTALL))
    assert "currentColor" in drawn
    assert pages.INK not in drawn
    assert "#000000" not in drawn
    assert "<style" not in drawn  # it would hold for the whole page
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page


def test_a_large_figure_scrolls_and_a_small_one_shrinks():
    def drawn(width):
        outline = Outline(pages.render("t", [Section("s", (Picture(drawing(width), "a"),))]))
        return outline.all("figure")[0].get("class"), any(attrs.get("class") == "scroll" for attrs in outline.all("div"))

    assert [drawn(width) for width in (4, 5, 8)] == [(None, False), (None, True), ("wide", True)]


def test_a_figure_brings_its_own_words():
    figure = drawing()
    figure.set_label("its own")
    pages_of = [pages.render("t", [Section("s", (Picture(figure, given),))]) for given in ("", "given")]
    assert [Outline(page).all("svg")[0]["aria-label"] for page in pages_of] == ["its own", "given"]


def test_a_warning_stands_out_and_says_so():
    page = pages.render("t", [Section("s", (Text("plain"), Text("odd <b>", warning=True)))])
    assert '<p class="warning"><strong>Warning:</strong> odd &lt;b&gt;</p>' in page
    assert "<p>plain</p>" in page


def test_the_contents_are_nested_by_group():
    sections = [Section("first", ()), Section("split", (), "<one>"), Section("cost", (), "<one>"), Section("split", (), "two")]
    page = pages.render("t", sections)
    nav = re.search(r"<nav.*?</nav>", page, re.DOTALL)[0]
    assert re.sub(r"\s+", "", re.sub(r"<a [^>]*>|</a>", "", nav[nav.index("<ol>") :])) == (
        "<ol><li>first</li><li>&lt;one&gt;<ol><li>split</li><li>cost</li></ol></li><li>two<ol><li>split</li></ol></li></ol></nav>"
    )
    outline = Outline(page)
    assert {attrs["href"][1:] for attrs in outline.all("a")} == {attrs["id"] for _, attrs in outline.tags if "id" in attrs}
    assert len(outline.all("h2")) == len(outline.all("h3")) == 3  # a section alone and two groups; three sections in groups
    assert '<h3>cost <span class="of">of &lt;one&gt;</span></h3>' in page


@pytest.mark.parametrize(
    "text",
    [
        ".549 (.456 to .640)",
        "67.64 ± 13.36",
        "27.4 %",
        "<\xa00.1\xa0%",
        "< .001",
        "−.236 to −.092",
        "1,234",
        "70.83 % (61.93 to 76.85)",
        "1e-07",
        "∞",
        "–",
    ],
)
def test_columns_of_numbers_and_intervals_do_not_break(text):
    page = pages.render("t", [Section("s", (Table(pd.DataFrame({"a": [text, "0.5"], "b": ["x", "y 1"]})),))])
    assert page.count('<td class="number">') == 2


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        (".549 (.456 to .640)", '<td class="whole">.549 (.456 to .640)</td>'),
        ("of .549 (.456 to .640), 7", '<td>of <span class="whole">.549 (.456 to .640)</span>, 7</td>'),
        (".750 (Yes)", "<td>.750 (Yes)</td>"),
        ("<b> 27.4 %", '<td>&lt;b&gt; <span class="whole">27.4 %</span></td>'),
        ("1.2.840.10008", "<td>1.2.840.10008</td>"),
        ("COVID-19, i001 to 3", "<td>COVID-19, i001 to 3</td>"),
    ],
)
def test_numbers_among_words_do_not_break(text, cell):
    assert cell in pages.render("t", [Section("s", (Table(pd.DataFrame({"a": [text, "words"]})),))])


def test_a_lone_table_and_one_of_long_cells_take_the_whole_width():
    def wide(*frames):
        page = Outline(pages.render("t", [Section("s", tuple(map(Table, frames)))]))
        return ["wide" in attrs["class"] for attrs in page.all("div") if attrs["class"].startswith("part")]

    small, large = pd.DataFrame({"a": [1]}), pd.DataFrame({name: [".549 (.456 to .640)"] for name in "abcd"})
    assert wide(small) == [True]
    assert wide(small, small, large) == [False, False, True]


@pytest.mark.parametrize(
    ("share", "text"), [(0.2741, "27.4\xa0%"), (0, "0.0\xa0%"), (1, "100.0\xa0%"), (0.0003, "<\xa00.1\xa0%"), (np.nan, ""), (pd.NA, "")]
)
def test_shares_in_per_cent(share, text):
    assert pages.per_cent(share) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1234567, "1,234,567"),
        (np.int64(0), "0"),
        (0.0, "0"),
        (0.123456, "0.1235"),
        (12345.6, "12,346"),
        (1e-7, "1e-07"),
        (float("nan"), ""),
        (None, ""),
        (pd.NA, ""),
        (True, "True"),
        (np.inf, "∞"),
        (-np.inf, "−∞"),
        ("<b>", "<b>"),
    ],
)
def test_cells(value, text):
    assert pages.cell(value) == text


def test_written_whole_with_names_that_utf8_does_not_hold(tmp_path):
    path = tmp_path / "new" / "page.html"
    pages.write(path, "a\udc80b", [])
    assert "<h1>a?b</h1>" in path.read_text(encoding="utf-8")
    assert [other.name for other in path.parent.iterdir()] == ["page.html"]


def test_pictures_without_alternative_and_other_bytes_are_refused():
    bare = Picture(drawing(), caption="c")  # its figure has no words of its own either
    for part, reason in (
        (Picture(png(), " ", caption="c"), "text alternative"),
        (bare, "text alternative"),
        (Picture(b"GIF89a", "a"), "PNG"),
    ):
        with pytest.raises(ValueError, match=reason):
            pages.render("t", [Section("s", (part,))])
    with pytest.raises(TypeError, match="not str"):
        pages.render("t", [Section("s", ("text",))])


def test_without_the_extra_the_message_names_it(monkeypatch):
    monkeypatch.setattr(pages.importlib.util, "find_spec", lambda name: None if name == "jinja2" else sys)
    with pytest.raises(MountError, match=r"jinja2.*siim-kernel\[report\]"):
        pages.render("t", [])
