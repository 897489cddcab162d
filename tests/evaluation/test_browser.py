"""The pages of exploration and report in headless Chromium, with no network: on a desk, on a phone, in the dark, on paper."""

import os
import shutil

import pandas as pd
import pytest

from siim_kernel import kernels
from siim_kernel.evaluation import explorer, report
from siim_kernel.evaluation import pages as writing
from siim_kernel.evaluation.pages import Section, Table, Text
from siim_kernel.recipes.recipe import PixelRecipe
from tests.evaluation.made_runs import competition, films, image_set, make_folds

DESK, PHONE = (1300, 900), (390, 844)
NAMES = ("chromium", "chromium-browser", "google-chrome")
DARK, LIGHT = 0.2, 0.8  # luminance, of 0 (black) to 1 (white)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def chromium():
    """A Chromium of this machine, headless; skips where there is none, but in CI."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("no Chromium here; on Debian: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])  # its pages are our own
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def pages(phantom, tmp_path_factory):
    """The two pages, by name: an exploration of films, and a report that compares two runs of three folds with a final test."""
    folder = tmp_path_factory.mktemp("pages")
    kernels.build_images(phantom / "competition", folder / "explored", [PixelRecipe(size=64)], workers=2)
    explorer.explore(phantom / "competition", folder / "exploration", images=folder / "explored", sample=10, workers=2)
    table = films()
    runs = [make_folds(folder / f"run-{skill}", skill=skill, final=table[-12:]) for skill in (0.3, 0.8)]
    tables = competition(folder / "competition", table)
    report.write(folder / "report.html", runs, images=[image_set(folder / "set", table)], competition=tables, resamples=50)
    writing.write(folder / "parts.html", "Parts", grouped())
    return {"exploration": next((folder / "exploration").glob("*.html"))} | {name: folder / f"{name}.html" for name in ("report", "parts")}


def grouped():
    """Sections of two groups, with a warning, and a table of what must not break over two lines."""
    numbers = pd.DataFrame({f"a rather long name {n}": [".549 (.456 to .640)", "67.64 ± 13.36", "< .001", "27.4 %"] for n in range(9)})
    parts = (Text("This stands out.", warning=True), Text("This does not."), Table(numbers, "Intervals"))
    return [Section("before", ()), *(Section(title, parts, group) for group in ("run 1", "run 2") for title in ("split", "cost"))]


@pytest.fixture
def opened(chromium, pages, request):
    """Opens a page by name at a size in pixels; fails at the end where it said anything on the console or asked for anything."""
    said, contexts = [], []

    def open_page(name, size=DESK, **options):
        contexts.append(chromium.new_context(viewport={"width": size[0], "height": size[1]}, offline=True, **options))
        page = contexts[-1].new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda asked: said.append(asked.url) if asked.url != address and not asked.url.startswith("data:") else None)
        address = pages[name].as_uri()
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert said == []


def luminance(page, element, colour):
    """Relative luminance (WCAG 2) of a colour of an element, as the browser computes it."""
    text = page.eval_on_selector(element, f"found => getComputedStyle(found).{colour}")
    shares = [int(number) / 255 for number in text[text.index("(") + 1 : -1].split(",")[:3]]
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("name", ["exploration", "report"])
def test_a_page_fits_and_asks_nothing_of_a_network(opened, name, size):
    page = opened(name, size)
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    sections = page.locator("main section")
    assert sections.count() > 5
    assert all(box["width"] > 0.8 * min(size[0] - 32, 1100) for box in (sections.nth(place).bounding_box() for place in range(3)))


@pytest.mark.parametrize("name", ["exploration", "report"])
def test_the_contents_lead_to_every_section(opened, name):
    page = opened(name)
    links = page.locator("nav a")
    assert links.count() == page.locator("main section, main h2.group").count()
    for place in range(links.count()):
        links.nth(place).click()
        target = page.evaluate("location.hash")
        heading = page.locator(f"h2{target}, {target} > h2, {target} > h3")
        assert heading.is_visible()
        assert heading.inner_text().startswith(links.nth(place).inner_text())


def test_the_contents_of_groups_lead_to_them(opened):
    page = opened("parts")
    assert page.locator("nav > ol > li").count() == 3
    links = page.locator("nav li ol a")
    assert links.all_inner_texts() == ["split", "cost"] * 2
    for place in range(4):
        links.nth(place).click()
        heading = page.locator(page.evaluate("location.hash")).locator("h3")
        assert heading.inner_text() == f"{links.nth(place).inner_text()} of run {1 + place // 2}"
    page.locator("nav > ol > li > a").nth(2).click()
    assert page.locator(page.evaluate("location.hash")).inner_text() == "run 2"


@pytest.mark.parametrize("media", ["screen", "print"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_warning_stands_out(opened, scheme, media):
    page = opened("parts", color_scheme=scheme)
    page.emulate_media(media=media)
    warning = page.locator("p.warning").first
    assert warning.inner_text() == "Warning: This stands out."
    look = "found => [getComputedStyle(found).borderLeftWidth, getComputedStyle(found.querySelector('strong')).fontWeight]"
    assert warning.evaluate(look) == ["5px", "700"]
    difference = luminance(page, "p.warning", "borderLeftColor") - luminance(page, "body", "backgroundColor")
    assert abs(difference) > 0.4


# Each piece of text that must stand in one line, with the number of lines that the browser gave it.
LINES = """() => [...document.querySelectorAll("td.number, .whole")].filter(each => each.textContent.trim()).map(each => {
  const range = document.createRange(); range.selectNodeContents(each);
  return [each.textContent, new Set([...range.getClientRects()].map(box => Math.round(box.top))).size]; })"""


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("name", ["exploration", "report", "parts"])
def test_no_number_or_interval_breaks(opened, name, size):
    page = opened(name, size)
    page.eval_on_selector_all("details", "all => all.forEach(each => each.open = true)")
    lines = page.evaluate(LINES)
    assert len(lines) > 20
    assert [text for text, count in lines if count > 1] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]  # wide tables scroll by themselves


# Of each text of a figure its size in CSS pixels, and by how many pixels it stands out of the figure.
TEXTS = """() => [...document.querySelectorAll("main svg text")].map(text => {
  const {a, b} = text.getScreenCTM(), box = text.getBoundingClientRect(), frame = text.closest("svg").getBoundingClientRect();
  return [text.textContent, parseFloat(getComputedStyle(text).fontSize) * Math.hypot(a, b),
    Math.max(frame.left - box.left, box.right - frame.right, frame.top - box.top, box.bottom - frame.bottom)]; })"""


@pytest.mark.parametrize("name", ["exploration", "report"])
def test_the_text_of_figures_is_legible_on_a_phone(opened, name):
    texts = opened(name, PHONE).evaluate(TEXTS)
    assert len(texts) > 50
    assert [text for text, size, _ in texts if size < 10.5] == []
    assert [text for text, _, outside in texts if outside > 2] == []


@pytest.mark.parametrize("name", ["exploration", "report"])
def test_every_figure_is_drawn_and_told_in_words(opened, name):
    page = opened(name)
    figures = page.locator("main figure")
    assert figures.count() > 3
    for place in range(figures.count()):
        drawn = figures.nth(place).get_by_role("img")
        assert drawn.count() == 1
        assert drawn.bounding_box()["height"] > 100
        assert len(drawn.get_attribute("aria-label") or drawn.get_attribute("alt")) > 30


@pytest.mark.parametrize("name", ["exploration", "report"])
def test_the_numbers_of_a_figure_open_as_a_table(opened, name):
    page = opened(name, PHONE)
    numbers = page.locator("figure details").first
    assert not numbers.locator("table").is_visible()
    numbers.locator("summary").click()
    assert numbers.locator("table").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]


@pytest.mark.parametrize("name", ["exploration", "report"])
@pytest.mark.parametrize(("scheme", "paper", "ink"), [("light", True, False), ("dark", False, True)])
def test_ink_stands_out_on_paper_by_day_and_by_night(opened, name, scheme, paper, ink):
    page = opened(name, color_scheme=scheme)
    assert luminance(page, "body", "backgroundColor") > LIGHT if paper else luminance(page, "body", "backgroundColor") < DARK
    for element, colour in (("p", "color"), ("td", "color"), ("figure svg text", "fill")):
        assert luminance(page, element, colour) > 0.5 if ink else luminance(page, element, colour) < DARK


@pytest.mark.parametrize("name", ["exploration", "report"])
def test_on_paper_the_tables_are_open_and_the_contents_gone(opened, name, tmp_path):
    page = opened(name, color_scheme="dark")
    page.emulate_media(media="print")
    assert luminance(page, "body", "backgroundColor") > LIGHT
    assert not page.locator("nav").is_visible()
    assert page.locator("figure details table").first.is_visible()
    page.pdf(path=tmp_path / "page.pdf", format="A4")
    assert (tmp_path / "page.pdf").stat().st_size > 20_000
