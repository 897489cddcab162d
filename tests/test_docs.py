"""The documents: every command in them is real, every link leads somewhere, every module exists."""

import importlib.util
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from siim_kernel.cli import app

CHECKOUT = Path(__file__).resolve().parent.parent
PAGES = sorted([*CHECKOUT.glob("*.md"), *CHECKOUT.glob("docs/*.md"), *CHECKOUT.glob("datasets-metadata/*/*.md")])
CLI = typer.main.get_command(app)
COMMANDS = sorted(CLI.commands)
USAGE_ERROR = typer.BadParameter.__base__  # typer may carry a click of its own
EVERYDAY = ("sed", "cp", "kaggle", ".")  # commands of others that the documents may use

each_page = pytest.mark.parametrize("page", [pytest.param(page, id=page.relative_to(CHECKOUT).as_posix()) for page in PAGES])


def shell_lines(text):
    """Commands, as lists of words, in the ```sh blocks of a page."""
    for block in re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            while "&&" in words:
                at = words.index("&&")
                yield words[:at]
                words = words[at + 1 :]
            if words:
                yield words


def make_targets():
    return set(re.findall(r"^([a-z-]+):", (CHECKOUT / "Makefile").read_text(), re.MULTILINE))


def check_command(words):
    """Raises for a command line that does not parse."""
    program, *arguments = words
    if program == "siim-kernel":
        name, *rest = arguments
        assert name in CLI.commands, f"siim-kernel has no command {name}"
        if rest != ["--help"]:
            CLI.commands[name].make_context(name, list(rest)).close()
    elif program == "make":
        assert set(arguments) <= make_targets()
    elif program == "python":
        script, *rest = arguments
        if script == "-m":
            script, *rest = f"{rest[0].replace('.', '/')}.py", *rest[1:]
        assert (CHECKOUT / script).is_file(), f"there is no {script}"
        if script.startswith("scripts/"):
            done = subprocess.run([sys.executable, CHECKOUT / script, *rest, "--dry-run"], capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
        else:
            known = (CHECKOUT / script).read_text()
            assert all(f'"{word}"' in known for word in rest if word.startswith("--"))
    else:
        assert program in EVERYDAY, f"unknown command {program}"


@each_page
def test_shell_blocks_parse(page):
    for words in shell_lines(page.read_text(encoding="utf-8")):
        check_command(words)


@pytest.mark.parametrize(
    "line",
    [
        "siim-kernel publish cods",
        "siim-kernel push images --recipe",
        "siim-kernel submit first",
        "siim-kernel check FILE --sampel CSV",
        "siim-kernel train small",
        "siim-kernel folds A B --group ward",
        "make everything",
        "python scripts/push_kernel.py imagse",
        "python benchmarks/reading.py --rounds 3",
        "curl example",
    ],
)
def test_a_wrong_line_is_found(line):
    with pytest.raises((AssertionError, USAGE_ERROR)):
        check_command(shlex.split(line))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_documented_and_has_help(name):
    documents = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert re.search(rf"siim-kernel {re.escape(name)}\b(?!-)", documents), f"no page has `siim-kernel {name}`"
    command = CLI.commands[name]
    assert command.help
    for parameter in command.params:
        assert getattr(parameter, "help", None) or parameter.name == "help", f"{name}: {parameter.name} has no help"


@each_page
def test_commands_in_running_text_exist(page):
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"`siim-kernel ([a-z-]+)", text)
    assert set(named) <= set(COMMANDS)
    assert set(re.findall(r"`make ([a-z-]+)`", text)) <= make_targets()


@each_page
def test_relative_links_exist(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        linked = (page.parent / name) if name else page
        assert linked.is_file(), f"{page.name} links to {target}"
        if anchor:
            titles = re.findall(r"^#+ (.+)$", linked.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in titles}


@each_page
def test_paths_and_modules_exist(page):
    text = page.read_text(encoding="utf-8")
    for path in re.findall(r"\b(?:siim_kernel|scripts|docs|train_kernels|inference_kernel|benchmarks|tests)/[\w/.-]*\w", text):
        assert (CHECKOUT / path).exists(), f"{page.name} names {path}"
    for dotted in re.findall(r"\bsiim_kernel(?:\.\w+)+", text):
        assert is_there(dotted), f"{page.name} names {dotted}"


def is_there(dotted):
    """Whether a dotted name is a module, or a function or class in one; nothing is imported but packages."""
    if importlib.util.find_spec(dotted.rpartition(".")[0]) is None:
        return False
    module, _, name = dotted.rpartition(".")
    spec = importlib.util.find_spec(module)
    if spec.submodule_search_locations is not None:
        return importlib.util.find_spec(dotted) is not None
    return re.search(rf"^(?:def|class) {name}\b|^{name} =", Path(spec.origin).read_text(), re.MULTILINE) is not None


def test_the_readme_begins_with_the_two_commands():
    first = re.search(r"^```sh\n(.*?)^```$", (CHECKOUT / "README.md").read_text(), re.MULTILINE | re.DOTALL)[1]
    assert first.splitlines() == ["make dry-run", "make test"]
    assert {"dry-run", "test"} <= make_targets()


def test_the_first_submission_takes_ten_lines():
    section = (CHECKOUT / "README.md").read_text().split("## First submission")[1]
    assert len(re.search(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)[1].splitlines()) <= 10


def test_the_changelog_has_this_version():
    version = re.search(r'^version = "(.+)"$', (CHECKOUT / "pyproject.toml").read_text(), re.MULTILINE)[1]
    assert f"## {version}" in (CHECKOUT / "CHANGELOG.md").read_text()
