"""Solutions made from a training table, and read from a file."""

import pandas as pd
import pytest

from siim_kernel.competition import metric, solutions
from siim_kernel.errors import SubmissionError, TableError

BOX = (789.28836, -3.6, 1815.94498, 2499.73327)


def table(**changes):
    columns = {
        "image": ["i3", "i1", "i2", "i4"],
        "study": ["s2", "s2", "s1", "s3"],
        "label": ["typical", "typical", "negative", "atypical"],
        "image_label": ["opacity", "none", "none", ""],
        "boxes": [(BOX, (1.0, 2.0, 3.0, 4.0)), (), (), ()],
        "reading": ["boxed", "not read", "none", "not read"],
    }
    return pd.DataFrame({**columns, **changes})


def rows(frame):
    return list(frame.itertuples(index=False, name=None))


def test_solution_of_a_training_table():
    assert list(solutions.solution(table()).columns) == ["id", "PredictionString", "Usage"]
    assert rows(solutions.solution(table())) == [
        ("s1_study", "negative 1 0 0 1 1", "Private"),
        ("s2_study", "typical 1 0 0 1 1", "Private"),
        ("s3_study", "atypical 1 0 0 1 1", "Private"),
        ("i3_image", "opacity 1 789.28836 -3.6 1815.94498 2499.73327 opacity 1 1 2 3 4", "Private"),
        ("i1_image", "none 1 0 0 1 1", "Private"),
        ("i2_image", "none 1 0 0 1 1", "Private"),
        ("i4_image", "none 1 0 0 1 1", "Ignored"),
    ]


def test_drop_siblings_ignores_them():
    usage = solutions.solution(table(), drop_siblings=True).set_index("id")["Usage"]
    assert list(usage[usage == "Ignored"].index) == ["i1_image", "i4_image"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"label": ["typical", "negative", "negative", "atypical"]}, "the first is s2"),
        ({"label": ["typical", "typical", "", "atypical"]}, "the first is s1"),
        ({"boxes": [(), (), (), ()]}, "image i3 is labelled 'opacity' and has 0 boxes"),
        ({"image_label": ["none", "none", "none", ""]}, "image i3 is labelled 'none' and has 2 boxes"),
    ],
)
def test_contradictions_are_refused(changes, reason):
    with pytest.raises(TableError, match=reason):
        solutions.solution(table(**changes))


def test_what_is_written_reads_back(tmp_path):
    frame = solutions.solution(table())
    solutions.write_solution(tmp_path / "solution.csv", frame)
    assert (tmp_path / "solution.csv").read_bytes().startswith(b"id,PredictionString,Usage\ns1_study,negative 1 0 0 1 1,Private\n")
    assert rows(solutions.read_solution(tmp_path / "solution.csv")) == rows(frame)
    assert metric.score(frame, frame).mAP == 1.0


def test_usage_may_be_missing_and_ignored_rows_are_not_judged(tmp_path):
    path = tmp_path / "solution.csv"
    path.write_text("\ufeffid,PredictionString\na_study,negative 1 0 0 1 1\n")
    assert rows(solutions.read_solution(path)) == [("a_study", "negative 1 0 0 1 1", "Private")]
    path.write_text("id,PredictionString,Usage\r\na_study,typical 1 0 0 1 1,Public\r\nb_image,,Ignored\r\n")
    assert rows(solutions.read_solution(path)) == [("a_study", "typical 1 0 0 1 1", "Public"), ("b_image", "", "Ignored")]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("id,boxes\n", "its columns are 'id', 'boxes'"),
        ("id,PredictionString\n", "has no rows"),
        ("id,PredictionString\na_study,\n", "line 2: the prediction string is empty"),
        ("id,PredictionString\na_study,none 1 0 0 1 1\n", "line 2: none in a study row"),
        ("id,PredictionString\na_study,typical 1 0 0 1 1 typical 1 0 0 1 1\n", "line 2: a class stands twice"),
        ("id,PredictionString\na_image,opacity 1 5 5 2 9\n", "line 2: group 1: empty or inverted box"),
        ("id,PredictionString\n\na_image\n", "line 3: 1 fields, the header has 2"),
        ('id,PredictionString\na_image,"none 1 0 0 1 1\n', "line 2: the quotes"),
        ("id,PredictionString\na,none 1 0 0 1 1\n", "line 2: id 'a' ends neither"),
        ("id,PredictionString\na_image,none 1 0 0 1 1\na_image,none 1 0 0 1 1\n", "line 3: id 'a_image' stands on line 2 already"),
        ("id,PredictionString,Usage\na_image,none 1 0 0 1 1,ignored\n", "line 2: Usage is 'ignored'"),
    ],
)
def test_read_solution_refuses(tmp_path, text, reason):
    path = tmp_path / "solution.csv"
    path.write_text(text)
    with pytest.raises(SubmissionError, match=reason):
        solutions.read_solution(path)
