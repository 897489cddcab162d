"""The grammar, the writer, and the ranking it must keep."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from siim_kernel.competition import submission
from siim_kernel.competition.checking import check
from siim_kernel.errors import SubmissionError
from siim_kernel.labels import STUDY_CLASSES

SAMPLE = "id,PredictionString\ns2_study,negative 1 0 0 1 1\ns1_study,negative 1 0 0 1 1\ni1_image,none 1 0 0 1 1\ni2_image,none 1 0 0 1 1\n"


@pytest.fixture
def sample(tmp_path):
    path = tmp_path / "sample_submission.csv"
    path.write_text(SAMPLE)
    return path


def studies(**rows):
    return pd.DataFrame.from_dict(rows, orient="index", columns=list(STUDY_CLASSES), dtype=float)


def images(**rows):
    return pd.DataFrame.from_dict(rows, orient="index", columns=["none", "rows", "columns", "boxes"])


TWO_STUDIES = studies(s1=[0.1, 0.2, 0.3, 0.4], s2=[0.7, 0.1, 0.1, 0.1])
TWO_IMAGES = images(i1=[0.25, 100, 200, [(0.9, 1.5, 2, 30, 40), (0.4, 0, 0, 200, 100)]], i2=[0.75, 100, 200, []])


def written(path):
    return dict(line.split(",") for line in path.read_text().splitlines()[1:])


# --- parse


def test_parse_reads_groups_in_order():
    assert submission.parse("none 0.5 0 0 1 1 opacity 1e-3 1.5 2 30 4.25e1") == [
        ("none", 0.5, (0.0, 0.0, 1.0, 1.0)),
        ("opacity", 0.001, (1.5, 2.0, 30.0, 42.5)),
    ]


@pytest.mark.parametrize(
    "text", ["negative 1 0.0 0 1 1.0", "  negative  1 0 0 1 1 ", "negative +1. 0e0 -0 1 .1e1", "negative -7.5 0 0 1 1"]
)
def test_parse_takes_other_ways_to_write_the_same(text):
    (group,) = submission.parse(text)
    assert group.name == "negative"
    assert group.box == (0.0, 0.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        ("   ", "is empty"),
        (float("nan"), "is not text"),
        ("none 1 0 0 1", "5 tokens are not groups of six"),
        ("0.5 10 10 20 20", "5 tokens"),
        ("Negative 1 0 0 1 1", "capitalised class 'Negative': write 'negative'"),
        ("covid 1 0 0 1 1", "unknown class 'covid'"),
        ("none nan 0 0 1 1", "'nan' is not finite"),
        ("opacity 1 0 0 inf 1", "'inf' is not finite"),
        ("none -Infinity 0 0 1 1", "'-Infinity' is not finite"),
        ("none 1e999 0 0 1 1", "'1e999' is too large"),
        ("none -1e999 0 0 1 1", "'-1e999' is too large"),
        ("none 1_0 0 0 1 1", "'1_0' is not a number"),
        ("none 0x10 0 0 1 1", "'0x10' is not a number"),
        ("none ١ 0 0 1 1", "is not a number"),
        ("none 0,5 0 0 1 1", "'0,5' is not a number"),
        ("none . 0 0 1 1", "'.' is not a number"),
        ("none 1 0 0 1 2", "box of none is 0 0 1 2, it must be 0 0 1 1"),
        ("typical 1 0 0 0 1", "it must be 0 0 1 1"),
        ("opacity 1 5 0 5 9", "empty or inverted box 5 0 5 9"),
        ("opacity 1 0 9 5 2", "empty or inverted box 0 9 5 2"),
        ("none\t1 0 0 1 1", "a tab, line break or unusual blank"),
        ("none\u00a01 0 0 1 1", "a tab, line break or unusual blank"),
        ("none 1 0 0 1 1 opacity 1 0 0 x 1", "group 2: 'x' is not a number"),
    ],
)
def test_parse_refuses(text, reason):
    with pytest.raises(SubmissionError) as error:
        submission.parse(text)
    assert reason in str(error.value)


def test_parse_names_every_reason():
    with pytest.raises(SubmissionError, match="group 1: unknown class 'a'.*group 1: 'nan' is not finite.*group 2: empty or inverted"):
        submission.parse("a nan 0 0 1 1 opacity 1 2 2 1 1")


# --- write


def test_write_exactly(tmp_path, sample):
    path = tmp_path / "submission.csv"
    submission.write(path, sample, TWO_STUDIES, TWO_IMAGES)
    assert path.read_bytes() == (
        b"id,PredictionString\n"
        b"s2_study,negative 0.7 0 0 1 1 typical 0.1 0 0 1 1 indeterminate 0.1 0 0 1 1 atypical 0.1 0 0 1 1\n"
        b"s1_study,negative 0.1 0 0 1 1 typical 0.2 0 0 1 1 indeterminate 0.3 0 0 1 1 atypical 0.4 0 0 1 1\n"
        b"i1_image,none 0.25 0 0 1 1 opacity 0.9 1.5 2 30 40 opacity 0.4 0 0 200 100\n"
        b"i2_image,none 0.75 0 0 1 1\n"
    )
    report = check(path, sample, {"i1": (100, 200), "i2": (100, 200)})
    assert report.faults == []
    assert report.warnings == []
    assert sorted(file.name for file in tmp_path.iterdir()) == ["sample_submission.csv", "submission.csv"]


def test_write_copies_the_header(tmp_path, sample):
    sample.write_text(SAMPLE.replace("id,", "Id,", 1))
    submission.write(tmp_path / "out.csv", sample, TWO_STUDIES, TWO_IMAGES)
    assert (tmp_path / "out.csv").read_text().startswith("Id,PredictionString\ns2_study,")


def test_write_clips_boxes_and_drops_those_without_area(tmp_path, sample):
    boxes = [(0.9, -5, -5, 250, 150), (0.8, 200, 0, 300, 50), (0.7, 50, 50, 40, 60), (0.6, 10, -9, 20, 0), (0.5, 1, 1, 2, 2)]
    table = images(i1=[0.5, 100, 200, boxes], i2=[0.5, None, float("nan"), boxes])
    submission.write(tmp_path / "out.csv", sample, TWO_STUDIES, table)
    rows = {row_id: submission.parse(text) for row_id, text in written(tmp_path / "out.csv").items()}
    assert [group.box for group in rows["i1_image"][1:]] == [(0, 0, 200, 100), (1, 1, 2, 2)]
    assert [group.box for group in rows["i2_image"][1:]] == [(0, 0, 250, 150), (200, 0, 300, 50), (1, 1, 2, 2)]


def test_write_takes_nullable_integers(tmp_path, sample):
    table = TWO_IMAGES.assign(rows=pd.array([pd.NA, 100], dtype="Int64"), columns=pd.array([10, pd.NA], dtype="Int64"))
    submission.write(tmp_path / "out.csv", sample, TWO_STUDIES, table)
    assert written(tmp_path / "out.csv")["i1_image"] == "none 0.25 0 0 1 1 opacity 0.9 1.5 2 10 40 opacity 0.4 0 0 10 100"


def test_write_takes_more_predictions_than_the_sample_has(tmp_path, sample):
    more = pd.concat([studies(s0=[1, 1, 1, 1]), TWO_STUDIES])
    submission.write(tmp_path / "out.csv", sample, more, TWO_IMAGES)
    assert "negative 0.7 0 0 1 1" in written(tmp_path / "out.csv")["s2_study"]


def test_write_takes_a_sample_of_one_kind(tmp_path, sample):
    sample.write_text("id,PredictionString\ns1_study,x\n")
    submission.write(tmp_path / "out.csv", sample, TWO_STUDIES, TWO_IMAGES.iloc[:0])
    assert list(written(tmp_path / "out.csv")) == ["s1_study"]


@pytest.mark.parametrize(
    ("study_table", "image_table", "reason"),
    [
        (TWO_STUDIES.drop("s2"), TWO_IMAGES, "1 study ids of the sample have no prediction: s2"),
        (TWO_STUDIES, TWO_IMAGES.drop(["i1", "i2"]), "2 image ids of the sample have no prediction: i1, i2"),
        (pd.concat([TWO_STUDIES, TWO_STUDIES.loc[["s1"]]]), TWO_IMAGES, "1 study ids have several predictions: s1"),
        (TWO_STUDIES.drop(columns="typical"), TWO_IMAGES, "no column typical"),
        (TWO_STUDIES.replace(0.4, math.nan), TWO_IMAGES, r"probability atypical is not finite for 1 study ids: s1 \(nan\)"),
        (TWO_STUDIES, TWO_IMAGES.replace(0.75, math.inf), r"probability none is not finite for 1 image ids: i2 \(inf\)"),
        (TWO_STUDIES, images(i1=[0.5, 9, 9, [(math.nan, 1, 1, 2, 2)]], i2=[0.5, 9, 9, []]), "image i1: a box has a confidence or coord"),
        (TWO_STUDIES, images(i1=[0.5, 9, 9, []], i2=[0.5, 9, 9, [(1, 1, 2, 2)]]), "image i2: boxes is a list of"),
        (TWO_STUDIES, images(i1=[0.5, 9, 9, []], i2=[0.5, 9, 9, None]), "image i2: boxes is a list of"),
    ],
)
def test_write_refuses_and_leaves_the_old_file(tmp_path, sample, study_table, image_table, reason):
    path = tmp_path / "out.csv"
    path.write_text("old")
    with pytest.raises(SubmissionError, match=reason):
        submission.write(path, sample, study_table, image_table)
    assert path.read_text() == "old"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a,b\ns1_study,x\n", "not a sample submission"),
        ("id,PredictionString\n", "has no rows"),
        ("id,PredictionString\ns1,x\n", "line 2: id 's1' ends neither in _study nor in _image"),
        ("id,PredictionString\ns1_study,x\n\ns1_study,x\n", "line 4: id 's1_study' stands on line 2 already"),
        ("", "is empty"),
    ],
)
def test_sample_is_refused(tmp_path, sample, text, reason):
    sample.write_text(text)
    with pytest.raises(SubmissionError, match=reason):
        submission.write(tmp_path / "out.csv", sample, TWO_STUDIES, TWO_IMAGES)


def test_missing_sample_and_folder_are_named(tmp_path, sample):
    with pytest.raises(SubmissionError, match="cannot be read: No such file"):
        submission.write(tmp_path / "out.csv", tmp_path / "none.csv", TWO_STUDIES, TWO_IMAGES)
    with pytest.raises(SubmissionError, match="cannot be written: No such file"):
        submission.write(tmp_path / "absent" / "out.csv", sample, TWO_STUDIES, TWO_IMAGES)


def test_bare_ids_lose_one_suffix():
    ids = ["s1_study", "i1_image", "odd_image_study", "odd_study_image"]
    assert submission.bare_ids(ids) == (["s1", "odd_image"], ["i1", "odd_study"])


def test_read_gives_the_strings_back(tmp_path, sample):
    table = submission.read(sample)
    assert list(table["id"]) == ["s2_study", "s1_study", "i1_image", "i2_image"]
    assert set(table["PredictionString"]) == {"negative 1 0 0 1 1", "none 1 0 0 1 1"}
    sample.write_text(SAMPLE + "x_study\n")
    with pytest.raises(SubmissionError, match="line 6: 1 fields"):
        submission.read(sample)


# --- distinct scores


def ranking(values):
    return np.argsort(-np.asarray(values, dtype=float), kind="stable").tolist()


@pytest.mark.parametrize("constant", [0.0, 0.5, 1.0, 1e-300, -3.0, 7.0])
def test_constants_become_distinct_in_row_order(constant):
    scores = submission.distinct([constant] * 1000)
    assert (np.diff(scores) < 0).all()
    assert scores.max() <= 1
    assert scores.min() >= 0
    assert np.abs(scores - min(max(constant, 0), 1)).max() < 1e-12


def test_values_already_distinct_stay():
    values = [0.3, 1.0, 1e-20, 0.0, 2e-20, np.nextafter(0.3, 1)]
    assert submission.distinct(values).tolist() == values


def test_values_outside_0_to_1_keep_their_ranking():
    assert ranking(submission.distinct([-5, 3, 0.5, 2, -1, 1, 0])) == ranking([-5, 3, 0.5, 2, -1, 1, 0])


@given(st.lists(st.one_of(st.sampled_from([0.0, -0.0, 1.0, 0.5, 1e-17, 5e-324, 1 - 2**-53]), st.floats(-2, 2)), max_size=30))
def test_distinct_keeps_any_ranking_after_printing(values):
    scores = [float(submission.number_text(score)) for score in submission.distinct(values)]
    assert ranking(scores) == ranking(values)
    assert len(set(scores)) == len(scores)
    assert all(0 <= score <= 1 for score in scores)


def test_written_constants_are_distinct_over_the_file(tmp_path, sample):
    ids = [f"{number:03d}" for number in range(200)]
    sample.write_text("id,PredictionString\n" + "".join(f"{name}_image,x\n{name}_study,x\n" for name in ids))
    study_table = pd.DataFrame(0.25, index=ids, columns=list(STUDY_CLASSES))
    boxes = [[(0.5, 1, 1, 5, 5), (0.5, 2, 2, 6, 6)]] * len(ids)
    image_table = pd.DataFrame({"none": 1.0, "rows": 9, "columns": 9, "boxes": boxes}, index=ids)
    submission.write(tmp_path / "out.csv", sample, study_table, image_table)
    confidences = {}
    for text in written(tmp_path / "out.csv").values():
        for name, confidence, _ in submission.parse(text):
            confidences.setdefault(name, []).append(confidence)
    assert {name: len(values) for name, values in confidences.items()} == {**dict.fromkeys((*STUDY_CLASSES, "none"), 200), "opacity": 400}
    for values in confidences.values():
        assert (np.diff(values) < 0).all()
    assert check(tmp_path / "out.csv", sample).warnings == []


unit = st.floats(0, 1)
side = st.floats(-50, 250)


@given(
    probabilities=st.lists(unit, min_size=8, max_size=8),
    none=st.lists(unit, min_size=2, max_size=2),
    boxes=st.lists(st.lists(st.tuples(unit, side, side, side, side), max_size=4), min_size=2, max_size=2),
    sizes=st.lists(st.one_of(st.none(), st.integers(1, 200)), min_size=4, max_size=4),
)
def test_whatever_is_written_is_legal(tmp_path_factory, probabilities, none, boxes, sizes):
    folder = tmp_path_factory.mktemp("written")
    (folder / "sample.csv").write_text(SAMPLE)
    study_table = studies(s1=probabilities[:4], s2=probabilities[4:])
    image_table = images(i1=[none[0], *sizes[:2], boxes[0]], i2=[none[1], *sizes[2:], boxes[1]])
    submission.write(folder / "out.csv", folder / "sample.csv", study_table, image_table)
    known = {name: pair for name, pair in (("i1", sizes[:2]), ("i2", sizes[2:])) if None not in pair}
    report = check(folder / "out.csv", folder / "sample.csv", known)
    assert report.faults == []
    assert report.warnings == []
