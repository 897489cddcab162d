"""A kernel folder and its PARAMETERS block: reading it, and writing a copy with other values.

Kaggle kernels take no arguments. Each committed kernel holds one block

    # PARAMETERS
    RECIPE = "main"  # a comment stays
    FOLD = None
    # END PARAMETERS

in its script, or in the notebook's code cell tagged `parameters`, and runs with these defaults. A dry run, a rehearsal and
a push with other values all run a copy of the folder that `write_copy` made.
"""

import ast
import io
import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from siim_kernel.errors import DeliveryError

METADATA = "kernel-metadata.json"
KERNEL_TYPES = ("script", "notebook")
BEGIN = "# PARAMETERS"
END = "# END PARAMETERS"
CELL_TAG = "parameters"


def read_metadata(folder):
    """What kernel-metadata.json in `folder` says, as a dict whose `code_file` exists inside the folder.

    Raises DeliveryError when the file is missing, is not a JSON object, or its `code_file` or `kernel_type` cannot be used.
    """
    path = Path(folder) / METADATA
    metadata = _load_json(path)
    if not isinstance(metadata, dict):
        raise DeliveryError(f"{path}: expected a JSON object, got a {type(metadata).__name__}")
    name = metadata.get("code_file")
    if not isinstance(name, str) or not name:
        raise DeliveryError(f"{path}: code_file must name the kernel's script or notebook, got {name!r}")
    code = path.parent / name
    if not code.resolve().is_relative_to(path.parent.resolve()):
        raise DeliveryError(f"{path}: code_file {name!r} lies outside the kernel's folder; Kaggle takes one file from inside it")
    if not code.is_file():
        raise DeliveryError(f"{path}: code_file {name!r} does not exist in {path.parent}")
    if metadata.get("kernel_type") not in KERNEL_TYPES:
        raise DeliveryError(f"{path}: kernel_type must be {' or '.join(KERNEL_TYPES)}, got {metadata.get('kernel_type')!r}")
    return metadata


def read_parameters(folder):
    """The defaults in the kernel's PARAMETERS block: a dict name -> value, in the block's order; empty without a block.

    Raises DeliveryError for a block that is not made of `NAME = literal` lines, and for more than one block.
    """
    return {name: item.value for name, item in _load_code(folder).parameters.items()}


def parameters_in(source, kernel_type="script"):
    """The values in the PARAMETERS block of a kernel's source as Kaggle tells it; empty where it has none that can be read."""
    try:
        return {name: item.value for name, item in _code_of("the kernel's source", source, kernel_type).parameters.items()}
    except (DeliveryError, ValueError):
        return {}


def parse_settings(settings):
    """`["FOLD=1", "RECIPE=small"]` as `{"FOLD": 1, "RECIPE": "small"}`.

    Values are Python literals; what is not a literal is taken as a string.
    Raises DeliveryError for an item that is not NAME=VALUE and for a name given twice.
    """
    values = {}
    for setting in settings:
        name, sign, text = setting.partition("=")
        if not sign or not name.isidentifier():
            raise DeliveryError(f"a setting is NAME=VALUE, got {setting!r}")
        if name in values:
            raise DeliveryError(f"{name} is set twice: {values[name]!r} and {text!r}; give it once")
        try:
            values[name] = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            values[name] = text
    return values


def write_copy(folder, out, parameters=None, slug_suffix="", metadata=None):
    """Write a copy of the kernel `folder` to `out` with other values in its PARAMETERS block; returns `out` as a Path.

    parameters   dict name -> value; a value is of the default's kind (a whole number may stand for a float; None for anything and
                 anything for None)
    slug_suffix  such as "-small-fold1", appended to the kernel's `id` and `title`
    metadata     dict of fields that replace those of kernel-metadata.json

    The copy holds kernel-metadata.json and the code file, all that Kaggle takes.
    Raises DeliveryError for names that the block lacks, values of another kind, and an `out` that holds files already.
    """
    folder, out = Path(folder), Path(out)
    fields = read_metadata(folder)
    code = _load_code(folder, {**fields, **(metadata or {})})
    if not re.fullmatch(r"(-[a-z0-9]+)*", slug_suffix):
        raise DeliveryError(f"a slug suffix is made of parts like -fold1 (small letters, digits), got {slug_suffix!r}")
    for name in ("id", "title"):
        if slug_suffix and name in fields:
            fields[name] = f"{fields[name]}{slug_suffix}"
    fields.update(metadata or {})
    text = code.with_values(parameters or {})

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DeliveryError(f"{out} exists and is not an empty folder; give another place for the kernel's copy")
    target = out / fields["code_file"]
    target.parent.mkdir(parents=True, exist_ok=True)
    if text is None:
        shutil.copyfile(folder / fields["code_file"], target)
    else:
        target.write_text(text, encoding="utf-8", newline="")
    (out / METADATA).write_text(json.dumps(fields, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return out


@dataclass(frozen=True)
class _Parameter:
    """One value of a block and where its literal stands: (first line, first byte, last line, last byte), lines from 0."""

    value: object
    span: tuple[int, int, int, int]


class _Code:
    """A kernel's source text with its PARAMETERS block: `lines` with their ends, and the block's parameters by name."""

    def __init__(self, path, source, notebook=None, cell=None):
        self.path, self.notebook, self.cell = path, notebook, cell
        # Lines as Python counts them; str.splitlines would also split at form feeds and Unicode separators.
        self.lines = io.StringIO(source).readlines()
        self.parameters = self._parse()

    def _parse(self):
        stripped = [line.strip() for line in self.lines]
        begins, ends = ([index for index, line in enumerate(stripped) if line == mark] for mark in (BEGIN, END))
        if not begins and not ends:
            return {}
        if len(begins) != 1 or len(ends) != 1 or begins[0] > ends[0]:
            raise DeliveryError(f"{self.path}: needs one line {BEGIN!r} and after it one line {END!r}, found {len(begins)} and {len(ends)}")
        first = begins[0] + 1
        try:
            statements = ast.parse("".join(self.lines[first : ends[0]])).body
        except SyntaxError as error:
            raise DeliveryError(f"{self.path}: line {first + (error.lineno or 1)} of the PARAMETERS block: {error.msg}") from None
        parameters = {}
        for item in statements:
            where = f"{self.path}: line {first + item.lineno} of the PARAMETERS block"
            if not (isinstance(item, ast.Assign) and len(item.targets) == 1 and isinstance(item.targets[0], ast.Name)):
                raise DeliveryError(f"{where}: expected NAME = literal")
            name, node = item.targets[0].id, item.value
            if name in parameters:
                raise DeliveryError(f"{where}: {name} stands there twice")
            try:
                value = ast.literal_eval(node)
            except ValueError:
                raise DeliveryError(f"{where}: the value of {name} must be a literal") from None
            span = (first + node.lineno - 1, node.col_offset, first + node.end_lineno - 1, node.end_col_offset)
            parameters[name] = _Parameter(value, span)
        return parameters

    def with_values(self, values):
        """The whole file's text with `values` in the block; None when there is nothing to change."""
        unknown = sorted(set(values) - set(self.parameters))
        if unknown:
            known = ", ".join(self.parameters) or "no PARAMETERS block"
            raise DeliveryError(f"{self.path} has no parameter {', '.join(unknown)}; there is {known}")
        if not values:
            return None
        lines = list(self.lines)
        # From the last to the first, so that the places of those before stay what they were; ast counts bytes, not characters.
        for name, item in reversed(self.parameters.items()):
            if name in values:
                first, start, last, stop = item.span
                before, after = lines[first].encode()[:start].decode(), lines[last].encode()[stop:].decode()
                lines[first : last + 1] = [before + self._literal(name, item.value, values[name]) + after]
        if self.notebook is None:
            return "".join(lines)
        source = self.cell["source"]
        self.cell["source"] = "".join(lines) if isinstance(source, str) else lines
        return json.dumps(self.notebook, indent=1, ensure_ascii=False) + "\n"

    def _literal(self, name, default, value):
        kind, wanted = type(value), type(default)
        free = default is None or value is None or (wanted is float and kind is int)
        if kind is not wanted and not free:
            raise DeliveryError(
                f"{self.path}: {name} is a {wanted.__name__} ({default!r} by default), got the {kind.__name__} {value!r}; "
                f"give a {wanted.__name__}"
            )
        text = repr(value)
        try:
            same = ast.literal_eval(text) == value
        except (ValueError, SyntaxError):
            same = False
        if not same:
            raise DeliveryError(f"{self.path}: {name} must be a plain literal that Python can write and read back, got {text}")
        return text


def _load_code(folder, fields=None):
    """The `_Code` of a kernel's folder, whose metadata are `fields` where they are not those in it."""
    fields = fields or read_metadata(folder)
    path = Path(folder) / fields["code_file"]
    return _code_of(path, _load_text(path), fields["kernel_type"])


def _code_of(path, text, kernel_type):
    if kernel_type == "script":
        return _Code(path, text)
    notebook = _parse_json(path, text)
    cells = notebook.get("cells") if isinstance(notebook, dict) else None
    if not isinstance(cells, list):
        raise DeliveryError(f"{path}: not a notebook of format 4 (it has no list of cells)")
    try:
        tagged = [cell for cell in cells if cell["cell_type"] == "code" and CELL_TAG in cell["metadata"].get("tags", ())]
        sources = ["".join(cell["source"]) for cell in tagged]
    except (AttributeError, KeyError, TypeError) as error:
        raise DeliveryError(f"{path}: not a notebook of format 4: a cell lacks its cell_type, metadata or source ({error})") from None
    if len(tagged) > 1:
        raise DeliveryError(f"{path}: {len(tagged)} code cells carry the tag {CELL_TAG!r}; tag one")
    if not tagged:
        return _Code(path, "")
    return _Code(path, sources[0], notebook, tagged[0])


def _load_text(path):
    try:
        with open(path, encoding="utf-8", newline="") as file:
            return file.read()
    except FileNotFoundError:
        raise DeliveryError(f"{path} does not exist; a kernel folder holds {METADATA} and its code file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DeliveryError(f"{path} cannot be read as UTF-8 text: {error}") from None


def _load_json(path):
    return _parse_json(path, _load_text(path))


def _parse_json(path, text):
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise DeliveryError(f"{path} is not valid JSON: {error}") from None
