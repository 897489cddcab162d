"""The metadata of the COVID-19 Radiography Database: a workbook per class with the columns FILE NAME, FORMAT, SIZE and URL.

The names of workbooks, columns and films differ in letter case and in what stands between words from one release to the next,
and within one: `Normal.metadata.xlsx` calls `NORMAL-1` what is the file `Normal-1.png`.
"""

import re
from dataclasses import dataclass

import pandas as pd

from siim_kernel.errors import TableError


@dataclass(frozen=True)
class Row:
    """One row of the metadata: the film's name as it stands there, and the URL of the place where it comes from, or ""."""

    name: str
    url: str


def word(name):
    """The letters and digits of the name of a folder, workbook or column, in lower case."""
    return re.sub(r"[\W_]+", "", name).casefold()


def key(name):
    """What names of one film have in common, `COVID 1`, `covid-1.PNG` and `COVID (1)` for one: its letters and digits.

    Two numbers that follow one another stay two: `x-1-1` is not `x-11`.
    """
    bare = re.sub(r"\.(?:png|jpe?g)\s*$", "", name, flags=re.IGNORECASE).casefold()
    return re.sub(r"(?<!\d)-|-(?!\d)", "", re.sub(r"[\W_]+", "-", bare))


def class_word(path):
    """The part of a workbook's name that should name the class: without `metadata` (early releases: `matadata`) and a copy's number."""
    return re.fullmatch(r"(.*?)(?:m[ea]tadata)?\d*", word(path.stem))[1]


def read(path):
    """(rows of a workbook as a list of `Row`, number of rows that name no film but say something else).

    Raises TableError for what is no workbook or has no column FILE NAME.
    """
    try:
        table = pd.read_excel(path, dtype=str, keep_default_na=False, engine="openpyxl")
    except ImportError as error:
        raise TableError(f"{path} cannot be read without the package openpyxl; install it") from error
    except Exception as error:  # a tolerance boundary: openpyxl raises nearly anything on a file that is no or half a workbook
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise TableError(f"{path} cannot be read as an Excel workbook: {reason}; download it again, or take it away") from error
    columns = {word(str(name)): name for name in reversed(table.columns)}
    if "filename" not in columns:
        raise TableError(f"{path} lacks the column FILE NAME; it has {', '.join(map(str, table.columns)) or 'none'}")
    names = table[columns["filename"]].str.strip()
    urls = table[columns["url"]].str.strip() if "url" in columns else pd.Series("", index=table.index)
    nameless = (names == "") & (table != "").any(axis=1)
    return [Row(name, url) for name, url in zip(names, urls, strict=True) if name], int(nameless.sum())
