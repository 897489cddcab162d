"""The validator: what Kaggle takes passes, and each rule names its line."""

import numpy as np
import pytest

from siim_kernel.competition.checking import Fault, check, check_ids
from siim_kernel.errors import SubmissionError

ROWS = {
    "a_study": "negative 0.9 0 0 1 1 typical 0.8 0 0 1 1 indeterminate 0.7 0 0 1 1 atypical 0.6 0 0 1 1",
    "b_study": "negative 0.1 0 0 1 1 typical 0.2 0 0 1 1 indeterminate 0.3 0 0 1 1 atypical 0.4 0 0 1 1",
    "c_image": "none 0.5 0 0 1 1 opacity 0.5 10 20 30.5 40",
    "d_image": "none 0.25 0 0 1 1",
}
IDS = list(ROWS)
SIZES = {"c": (50, 40), "d": (50, 40)}
C_ROW = 4  # the line of c_image


def table(rows=ROWS, header="id,PredictionString"):
    return "\n".join([header, *(f"{row_id},{text}" for row_id, text in rows.items())]) + "\n"


def with_row(row_id, text):
    return table({**ROWS, row_id: text})


def run(tmp_path, content, sizes=SIZES):
    path = tmp_path / "submission.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    sample = tmp_path / "sample.csv"
    sample.write_text("id,PredictionString\n" + "".join(f"{row_id},x\n" for row_id in IDS))
    return check(path, sample, sizes)


TAKEN = {
    "as it is": table(),
    "other row order": table(dict(reversed(ROWS.items()))),
    "CRLF": table().replace("\n", "\r\n"),
    "old Mac line ends": table().replace("\n", "\r"),
    "no line end at the end": table().rstrip("\n"),
    "blank lines at the end": table() + "\n\n",
    "quoted": "\n".join(",".join(f'"{cell}"' for cell in line.split(",")) for line in table().splitlines()),
    "scientific notation": with_row("c_image", "none 5e-1 0 0 1 1 opacity 5E-01 1e1 2.0e+1 3.05e1 40"),
    "unit box in other digits": with_row("d_image", "none 0.25 0.0 0 1 1.0"),
    "box at the film's edge": with_row("c_image", "none 0.5 0 0 1 1 opacity 0.5 0 0 40 50"),
    "opacity alone": with_row("c_image", "opacity 0.5 0 0 40 50"),
}


@pytest.mark.parametrize("content", TAKEN.values(), ids=TAKEN.keys())
def test_takes(tmp_path, content):
    report = run(tmp_path, content)
    assert report.faults == []
    assert report.warnings == []
    assert report.ok


ROW_FAULTS = {
    "blank": ("c_image", "", "is empty"),
    "blanks": ("c_image", "   ", "is empty"),
    "tokens": ("c_image", "none 0.5 0 0 1", "5 tokens are not groups of six"),
    "unknown class": ("c_image", "covid 0.5 0 0 1 1", "unknown class 'covid'"),
    "capital": ("a_study", "Negative 0.9 0 0 1 1", "capitalised class 'Negative': write 'negative'"),
    "opacity in study": ("a_study", "opacity 0.9 0 0 5 5", "opacity in a study row"),
    "none in study": ("a_study", "none 0.9 0 0 1 1", "none in a study row"),
    "study class in image": ("c_image", "typical 0.9 0 0 1 1", "study class typical in an image row"),
    "study box": ("a_study", "negative 0.9 0 0 2 2", "the box of negative is 0 0 2 2, it must be 0 0 1 1"),
    "none box": ("c_image", "none 0.5 0 0 0 0", "the box of none is 0 0 0 0"),
    "nan": ("c_image", "none NaN 0 0 1 1", "'NaN' is not finite"),
    "inf": ("c_image", "none inf 0 0 1 1", "'inf' is not finite"),
    "inf coordinate": ("c_image", "opacity 0.5 0 0 -inf 1", "'-inf' is not finite"),
    "overflow": ("c_image", "opacity 0.5 0 0 1e400 1", "'1e400' is too large"),
    "empty box": ("c_image", "opacity 0.5 3 3 3 9", "empty or inverted box 3 3 3 9"),
    "inverted box": ("c_image", "opacity 0.5 3 9 5 4", "empty or inverted box 3 9 5 4"),
    "negative x": ("c_image", "opacity 0.5 -0.5 0 5 5", "box -0.5 0 5 5 has negative coordinates"),
    "negative y": ("c_image", "opacity 0.5 0 -1 5 5", "box 0 -1 5 5 has negative coordinates"),
    "right of film": ("c_image", "opacity 0.5 0 0 40.5 50", "outside the film of 40 x 50 pixels (columns x rows)"),
    "below film": ("c_image", "opacity 0.5 0 0 40 50.5", "outside the film of 40 x 50 pixels (columns x rows)"),
    "word": ("c_image", "opacity high 0 0 5 5", "'high' is not a number"),
    "underscore": ("c_image", "opacity 0.5 0 0 1_0 5", "'1_0' is not a number"),
    "hex": ("c_image", "opacity 0.5 0 0 0x10 5", "'0x10' is not a number"),
    "infinity": ("c_image", "opacity 0.5 0 0 infinity 5", "'infinity' is not finite"),
    "other digits": ("c_image", "opacity 0.5 0 0 ٥ 5", "is not a number"),
    "fullwidth digits": ("c_image", "opacity 0.5 0 0 \uff15 5", "is not a number"),
    "tab": ("c_image", "none\t0.5\t0\t0\t1\t1", "a tab, line break or unusual blank"),
    "NUL": ("c_image", "none 0.5\0 0 0 1 1", "'0.5\\x00' is not a number"),
    "extra field": ("c_image", "none 0.5 0 0 1 1,", "3 fields, the header has 2"),
    "decimal comma": ("c_image", "none 0,5 0 0 1 1", "3 fields, the header has 2"),
}


@pytest.mark.parametrize(("row_id", "text", "reason"), ROW_FAULTS.values(), ids=ROW_FAULTS.keys())
def test_row_fault(tmp_path, row_id, text, reason):
    (fault,) = run(tmp_path, with_row(row_id, text)).faults
    assert (fault.row, fault.id) == (IDS.index(row_id) + 2, row_id)
    assert reason in fault.reason


def test_boxes_are_not_held_against_unknown_sizes(tmp_path):
    assert run(tmp_path, with_row("c_image", "opacity 0.5 0 0 9999 9999"), sizes=None).ok
    assert run(tmp_path, with_row("c_image", "opacity 0.5 0 0 9999 9999"), sizes={"d": (5, 5)}).ok


HEADERS = {
    "Id": ("Id,PredictionString", "differs in case or blanks"),
    "blank after the comma": ("id, PredictionString", "differs in case or blanks"),
    "other name": ("id,Prediction", "without PredictionString"),
    "semicolon": ("id;PredictionString", "without id, PredictionString"),
    "BOM": ("\ufeffid,PredictionString", "byte order mark"),
    "unclosed quote": ('"id,PredictionString', "quotes on this line do not match"),
}


@pytest.mark.parametrize(("header", "reason"), HEADERS.values(), ids=HEADERS.keys())
def test_header_fault(tmp_path, header, reason):
    (fault,) = run(tmp_path, table(header=header)).faults
    assert fault.row == 1
    assert reason in fault.reason


def test_index_column(tmp_path):
    lines = table().splitlines()
    for name in ("", "Unnamed: 0"):
        content = "\n".join([f"{name},{lines[0]}", *(f"{number},{line}" for number, line in enumerate(lines[1:]))])
        (fault,) = run(tmp_path, content).faults
        assert fault.row == 1
        assert "an index column stands before the id" in fault.reason


def test_extra_and_swapped_columns(tmp_path):
    lines = table().splitlines()
    (fault,) = run(tmp_path, "\n".join(line + (",Usage" if number == 0 else ",x") for number, line in enumerate(lines))).faults
    assert "extra columns 'Usage'" in fault.reason
    (fault,) = run(tmp_path, "\n".join(",".join(reversed(line.split(","))) for line in lines)).faults
    assert "other order" in fault.reason


def test_missing_header(tmp_path):
    (fault,) = run(tmp_path, table().split("\n", 1)[1]).faults
    assert fault == Fault(1, "", "the header is missing: the header must be id,PredictionString")


def test_rows_are_judged_under_a_wrong_header_too(tmp_path):
    report = run(tmp_path, with_row("c_image", "none x 0 0 1 1").replace("id,", "Id,", 1))
    assert [fault.row for fault in report.faults] == [1, C_ROW]


def test_missing_id_and_row_count(tmp_path):
    report = run(tmp_path, table({row_id: text for row_id, text in ROWS.items() if row_id != "b_study"}))
    assert report.faults == [Fault(None, "", "3 rows under the header, 4 are wanted"), Fault(None, "b_study", "this id has no row")]


def test_every_missing_id_is_named(tmp_path):
    report = run(tmp_path, "id,PredictionString\n")
    assert [fault.id for fault in report.faults] == ["", *IDS]


def test_duplicate_id(tmp_path):
    report = run(tmp_path, table() + f"a_study,{ROWS['a_study']}\n")
    assert Fault(6, "a_study", "duplicate id, first on line 2") in report.faults
    assert Fault(None, "", "5 rows under the header, 4 are wanted") in report.faults


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("z_image", "it is not in the sample"),
        ("c", "perhaps c_image is meant"),
        (" c_image", "perhaps c_image is meant"),
        ("C_IMAGE", "perhaps c_image is meant"),
        ("", "unknown id ''"),
    ],
)
def test_unknown_id(tmp_path, written, reason):
    report = run(tmp_path, table().replace("c_image", written))
    assert [(fault.row, fault.id) for fault in report.faults] == [(C_ROW, written), (None, "c_image")]
    assert reason in report.faults[0].reason


def test_all_faults_are_listed_with_their_lines(tmp_path):
    rows = {**ROWS, "a_study": "opacity nan 0 0 1 1 negative 1 0 0 2 2", "d_image": "none 1 0 0 1 1 opacity 1 -1 0 90 90"}
    report = run(tmp_path, table(rows).replace("\nd_image", "\n\n\nd_image"))
    assert [(fault.row, fault.id) for fault in report.faults] == [(2, "a_study")] * 2 + [(7, "d_image")] * 2
    assert [fault.row for fault in report.warnings if "blank lines" in fault.reason] == [5]


def test_missing_field(tmp_path):
    content = table().replace(f"c_image,{ROWS['c_image']}", "c_image")
    (fault,) = run(tmp_path, content).faults
    assert fault == Fault(C_ROW, "c_image", "1 fields, the header has 2")


def test_unclosed_quote_spoils_one_line_only(tmp_path):
    report = run(tmp_path, table().replace("a_study,", 'a_study,"').replace("d_image,none", "d_image,x"))
    assert [(fault.row, fault.id) for fault in report.faults] == [(2, ""), (5, "d_image"), (None, "a_study")]
    assert "quotes on this line do not match" in report.faults[0].reason


def test_quoted_line_break_does_not_shift_the_lines(tmp_path):
    content = table({**ROWS, "a_study": '"negative 1 0 0 1 1\n typical 1 0 0 1 1"', "d_image": "x"})
    assert [fault.row for fault in run(tmp_path, content).faults][-3:-1] == [6, None]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"\n\r\n", "is empty"),
        (b"\x80\x04\x95\xff", "not a UTF-8 text file: byte 0 is 0x80"),
        (b"PK\x03\x04\x14\x00\x00\x00\x08\x00\xe9", "not a UTF-8 text file"),
        (table().encode("utf-16"), "not a UTF-8 text file"),
        (bytes(64), "the header is"),
        (table().encode("utf-16-le"), "the header is"),
    ],
)
def test_what_is_no_text_is_a_fault(tmp_path, content, reason):
    report = run(tmp_path, content)
    assert not report.ok
    assert reason in report.faults[0].reason


def test_what_cannot_be_opened_is_a_fault(tmp_path):
    for path in (tmp_path, tmp_path / "absent.csv"):
        (fault,) = check_ids(path, IDS).faults
        assert "cannot be read" in fault.reason


def test_any_bytes_give_a_report(tmp_path):
    generator = np.random.default_rng(0)
    alphabet = np.frombuffer(b'\0\n\r",;_ .-+0123456789eEinfatudyoNmgx\xc3\xa9\xff', dtype=np.uint8)
    good = np.frombuffer(table().encode(), dtype=np.uint8)
    for _ in range(300):
        broken = good.copy()
        places = generator.integers(0, len(broken), size=generator.integers(1, 12))
        broken[places] = generator.choice(alphabet, size=len(places))
        for fault in run(tmp_path, broken[: generator.integers(1, len(broken) + 1)].tobytes()).faults:
            assert fault.row is None or 1 <= fault.row <= 25
            assert str(fault)


def test_a_sample_that_is_none_is_the_operators_mistake(tmp_path):
    (tmp_path / "submission.csv").write_text(table())
    with pytest.raises(SubmissionError, match="cannot be read"):
        check(tmp_path / "submission.csv", tmp_path / "absent.csv")


WARNINGS = {
    "outside 0..1": ({"c_image": "none -0.5 0 0 1 1 opacity 7 0 0 1 1"}, ["1 confidences of none are outside", "1 confidences of opacity"]),
    "class twice": (
        {"d_image": "none 0.25 0 0 1 1 none 0.3 0 0 1 1", "a_study": ROWS["a_study"] + " negative 0.3 0 0 1 1"},
        ["2 rows have a class twice"],
    ),
    "fewer classes": ({"a_study": "negative 0.9 0 0 1 1", "b_study": "typical 1 0 0 1 1"}, ["2 study rows do not have all four classes"]),
    "ties": (
        {"c_image": "none 0.25 0 0 1 1 opacity 1 0 0 1 1 opacity 1.0 2 2 3 3"},
        ["2 confidences of none equal", "2 confidences of opac"],
    ),
}


@pytest.mark.parametrize(("rows", "texts"), WARNINGS.values(), ids=WARNINGS.keys())
def test_warning(tmp_path, rows, texts):
    report = run(tmp_path, table({**ROWS, **rows}))
    assert report.ok
    assert len(report.warnings) == len(texts)
    for text, warning in zip(texts, report.warnings, strict=True):
        assert warning.reason.startswith(text)
        assert warning.row == IDS.index(warning.id) + 2


def test_a_row_with_a_fault_is_not_also_told_to_lack_classes(tmp_path):
    report = run(tmp_path, with_row("a_study", "negative 0.9 0 0 1 1 Typical 0.8 0 0 1 1"))
    assert [fault.row for fault in report.faults] == [2]
    assert report.warnings == []


def test_ties_are_told_across_rows_and_spellings(tmp_path):
    report = run(tmp_path, table({**ROWS, "c_image": "none 2.50e-1 0 0 1 1"}))
    assert [(warning.row, warning.id) for warning in report.warnings] == [(4, "c_image")]
    assert report.warnings[0].reason.startswith("2 confidences of none equal another")


def test_a_fault_reads_as_a_sentence():
    assert str(Fault(3, "a_study", "duplicate id, first on line 2")) == "line 3, 'a_study': duplicate id, first on line 2"
    assert str(Fault(None, "", "3 rows under the header, 4 are wanted")) == "the file: 3 rows under the header, 4 are wanted"
