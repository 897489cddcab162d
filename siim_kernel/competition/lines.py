"""CSV files by lines, so that whatever is wrong with one has its line number, as an editor shows it."""

import csv
import io
from pathlib import Path
from typing import NamedTuple

from siim_kernel.errors import SubmissionError


class Record(NamedTuple):
    """One line of a CSV: its number as an editor shows it, its fields, and why it has none (empty if it is sound)."""

    line: int
    fields: list[str]
    fault: str


def read_records(path):
    """The lines of a CSV as a list of Record, blank lines left out; a byte order mark stays in the first field.

    Every line stands for itself: no legal value has a line break in it, so an unclosed quote spoils one line and not
    the rest of the file. Raises SubmissionError for a file that is missing, empty or not UTF-8 text.
    """
    try:
        text = Path(path).read_bytes().decode("utf-8")
    except OSError as error:
        raise SubmissionError(f"{path} cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise SubmissionError(f"{path} is not a UTF-8 text file: byte {error.start} is {error.object[error.start]:#04x}") from None
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    records = [_read_line(number, line) for number, line in enumerate(lines, start=1) if line]
    if not records:
        raise SubmissionError(f"{path} is empty")
    return records


def _read_line(number, line):
    if '"' not in line:
        return Record(number, line.split(","), "")
    try:
        return Record(number, next(csv.reader([line], strict=True)), "")
    except csv.Error as error:
        return Record(number, [], f"the quotes on this line do not match ({error})")


def csv_text(rows):
    """Rows as the text of a CSV with LF line ends, quoted only where a value needs it."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
