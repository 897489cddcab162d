"""Who may import whom, read from the sources."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import siim_kernel

PACKAGE = Path(siim_kernel.__file__).parent
WORDS = {"errors", "labels", "mounts", "files", "hashes", "clock", "machine"}
ROOMS = {
    "recipes": WORDS,
    "pixels": WORDS | {"recipes"},
    "competition": WORDS | {"recipes", "pixels"},
    "phantom": WORDS | {"recipes", "pixels", "competition"},
    "runs": WORDS | {"recipes"},
    "learning": WORDS | {"recipes", "pixels", "competition", "runs"},
    "evaluation": WORDS | {"recipes", "pixels", "competition", "runs"},
    "delivery": WORDS | {"recipes", "runs", "competition"},
}
ABOVE_KERNELS = WORDS | {"recipes", "pixels", "competition", "phantom", "runs", "learning", "evaluation"}
EVERYTHING = ABOVE_KERNELS | {"kernels", "on_kaggle", "delivery"}
ALLOWED = {
    # Labels are words alone; mounts and files raise errors.
    **dict.fromkeys(WORDS, WORDS),
    **ROOMS,
    "kernels": ABOVE_KERNELS,
    "on_kaggle": ABOVE_KERNELS | {"kernels"},
    "dry_run": EVERYTHING,
    "doctor": EVERYTHING,
    "joining": ABOVE_KERNELS,
    "cli_planning": EVERYTHING | {"joining"},
    "cli_kaggle": EVERYTHING | {"dry_run"},
    "cli": EVERYTHING | {"dry_run", "doctor", "cli_kaggle", "cli_planning"},
}
MOST_LINES = 305
# The commands stand one after the other in one file, each a few lines.
LONGER = {"cli.py": 600}

MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")
names = [path.relative_to(PACKAGE).as_posix() for path in MODULES]


def room(path):
    """Where a module belongs: its folder in the package, or its own name."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imported(node):
    """Dotted names that an import statement names, `from a import b` as both a and a.b."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are absolute"
        return [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return []


def imports(path):
    """All dotted names that a module imports, inside functions too."""
    return {name for node in ast.walk(ast.parse(path.read_text())) for name in imported(node)}


def module_of(name):
    """The module of the package that a dotted name is, None for functions and for other packages."""
    path = PACKAGE.parent.joinpath(*name.split(".")).with_suffix(".py")
    return path if path in MODULES else None


def test_there_are_modules():
    assert {"errors.py", "pixels/dicom.py", "learning/training.py", "cli.py"} <= set(names)


@pytest.mark.parametrize("path", MODULES, ids=names)
def test_a_room_imports_only_what_stands_right_of_its_arrow(path):
    assert room(path) in ALLOWED, "a new room needs its arrow"
    inner = {name.split(".")[1] for name in imports(path) if name.startswith("siim_kernel.")}
    assert inner - {room(path)} <= ALLOWED[room(path)]


@pytest.mark.parametrize("path", MODULES, ids=names)
def test_tensorflow_is_in_learning_alone(path):
    outer = {name.split(".")[0] for name in imports(path)}
    assert room(path) == "learning" or not outer & {"tensorflow", "keras", "tf_keras", "torch"}


@pytest.mark.parametrize("path", [path for path in MODULES if room(path) in WORDS], ids=lambda path: path.name)
def test_the_words_need_the_standard_library_only(path):
    outer = {name.split(".")[0] for name in imports(path)} - {"siim_kernel"}
    assert outer <= sys.stdlib_module_names


def test_no_circle_of_modules():
    graph = {}
    for path in MODULES:
        at_module_level = {name for node in ast.parse(path.read_text()).body for name in imported(node)}
        graph[path] = {found for name in at_module_level if (found := module_of(name))}
    order = list(TopologicalSorter(graph).static_order())  # raises CycleError, which names the circle
    assert len(order) == len(MODULES)


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("__init__.py")), ids=lambda path: path.parent.name)
def test_the_init_of_a_room_is_a_docstring_and_nothing_else(path):
    (statement,) = ast.parse(path.read_text()).body
    assert isinstance(statement, ast.Expr)
    assert isinstance(statement.value.value, str)


@pytest.mark.parametrize("path", MODULES, ids=names)
def test_modules_are_short(path):
    assert len(path.read_text().splitlines()) <= LONGER.get(path.relative_to(PACKAGE).as_posix(), MOST_LINES)


@pytest.mark.parametrize(
    ("module", "kept_out"),
    [
        ("siim_kernel", ("numpy", "pandas", "pydicom", "cv2", "tensorflow", "typer")),
        ("siim_kernel.cli", ("numpy", "pandas", "pydicom", "cv2", "tensorflow", "keras", "sklearn")),
        ("siim_kernel.kernels", ("tensorflow", "keras")),
    ],
)
def test_importing_loads_no_more_than_it_needs(module, kept_out):
    program = f"import sys, {module}; print(*sorted(set({kept_out!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
