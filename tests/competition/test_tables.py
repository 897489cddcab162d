import numpy as np
import pandas as pd
import pytest

from siim_kernel.competition import tables
from siim_kernel.errors import MountError, TableError
from siim_kernel.labels import STUDY_COLUMNS
from tests.pixels import made

STUDY_HEADER = ",".join(["id", *STUDY_COLUMNS.values()])
IMAGE_HEADER = "id,boxes,label,StudyInstanceUID"
BOX = "\"[{'x': 10.5, 'y': 20, 'width': 30, 'height': 40.25}]\""
BOX_LABEL = "opacity 1 10.5 20 40.5 60.25"
STUDIES = ("s1_study,0,1,0,0", "s2_study,1,0,0,0", "s3_study,0,0,0,1")
IMAGES = (
    f"a_image,{BOX},{BOX_LABEL},s1",
    "b_image,,none 1 0 0 1 1,s1",
    "c_image,,none 1 0 0 1 1,s2",
    "d_image,,none 1 0 0 1 1,s3",
)


def text(header, rows, end="\n"):
    return end.join([header, *rows]) + end


def write(folder, studies=STUDIES, images=IMAGES):
    """The two training tables of a tiny competition."""
    folder.mkdir(exist_ok=True)
    (folder / tables.STUDY_TABLE).write_text(text(STUDY_HEADER, studies))
    (folder / tables.IMAGE_TABLE).write_text(text(IMAGE_HEADER, images))
    return folder


def film(folder, place, rows=8, columns=8, **values):
    """A small DICOM at a place under `folder`."""
    path = folder / place
    path.parent.mkdir(parents=True, exist_ok=True)
    return made.write(path, np.zeros((rows, columns), np.uint8), **values)


def test_a_small_competition_without_films(tmp_path):
    training = tables.read_training(write(tmp_path))
    table = training.images
    assert training.problems == ()
    assert list(table.index) == [0, 1, 2, 3]
    assert list(table.image) == ["a", "b", "c", "d"]
    assert list(table.study) == ["s1", "s1", "s2", "s3"]
    assert list(table.label) == ["typical", "typical", "negative", "atypical"]
    assert list(table.image_label) == ["opacity", "none", "none", "none"]
    assert list(table.boxes) == [((10.5, 20.0, 40.5, 60.25),), (), (), ()]
    assert list(table.reading) == ["boxed", "not read", "none", "none"]
    assert (table[["series", "patient", "path"]] == "").all(axis=None)
    assert table[["rows", "columns"]].isna().all(axis=None)


def test_a_byte_order_mark_other_columns_and_windows_lines(tmp_path):
    write(tmp_path)
    expected = tables.read_training(tmp_path).images
    images = [f"{row},x" for row in IMAGES]
    (tmp_path / tables.STUDY_TABLE).write_bytes(b"\xef\xbb\xbf" + text(STUDY_HEADER, STUDIES, "\r\n").encode())
    (tmp_path / tables.IMAGE_TABLE).write_bytes(b"\xef\xbb\xbf" + text(IMAGE_HEADER + ",more", images, "\r\n").encode())
    assert tables.read_training(tmp_path).images.equals(expected)


def test_the_real_tables_in_any_order_of_columns(tmp_path):
    path = tmp_path / "t.csv"
    columns = list(STUDY_COLUMNS.values())
    path.write_text(text(",".join([*reversed(columns), "id"]), ["1,0,0,0,s1_study", "0,0,0,1.0,s2_study"]))
    assert dict(tables.read_study_classes(path)) == {"s1": "atypical", "s2": "negative"}


# What is wrong with one of the tables, and what the message says beside the file.


def study_fault(folder, content):
    path = folder / "t.csv"
    path.write_text(content)
    with pytest.raises(TableError) as caught:
        tables.read_study_classes(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


def image_fault(folder, content):
    path = folder / "t.csv"
    path.write_text(content)
    with pytest.raises(TableError) as caught:
        tables.read_image_labels(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_missing_columns_are_named_with_those_there_are(tmp_path):
    message = study_fault(tmp_path, "id,Negative for Pneumonia,Typical Appearance\ns_study,1,0\n")
    assert "lacks the columns Indeterminate Appearance, Atypical Appearance; it has id, Negative" in message
    assert "lacks the column StudyInstanceUID; it has id, boxes, label" in image_fault(tmp_path, "id,boxes,label\n")
    assert "lacks the columns id," in image_fault(tmp_path, IMAGE_HEADER.replace(",", ";") + "\n")


@pytest.mark.parametrize("content", ["", "\n\n"])
def test_an_empty_file(tmp_path, content):
    assert "is empty" in image_fault(tmp_path, content)


def test_no_rows_no_text_no_file(tmp_path):
    assert "no rows" in image_fault(tmp_path, IMAGE_HEADER + "\n")
    (tmp_path / "t.csv").write_bytes(IMAGE_HEADER.encode() + b"\n\xff\xfe\n")
    with pytest.raises(TableError, match="not a UTF-8 text file"):
        tables.read_image_labels(tmp_path / "t.csv")
    with pytest.raises(TableError, match="does not exist"):
        tables.read_image_labels(tmp_path / "nowhere.csv")
    with pytest.raises(TableError, match="cannot be read"):
        tables.read_image_labels(tmp_path)


def test_columns_of_one_name(tmp_path):
    assert "columns of the same name" in image_fault(tmp_path, f"{IMAGE_HEADER},id\na_image,,,s1,b_image\n")


@pytest.mark.parametrize("row", ["b_image,,none 1 0 0 1 1", "b_image,,none 1 0 0 1 1,s1,", "b_image"])
def test_rows_longer_or_shorter_than_the_header(tmp_path, row):
    message = image_fault(tmp_path, text(IMAGE_HEADER, [IMAGES[0], row]))
    assert "line 3" in message
    assert f"{row.count(',') + 1} fields, the header has 4" in message


def test_an_unclosed_quote_costs_its_own_line(tmp_path):
    assert "line 2: the quotes on this line do not match" in image_fault(tmp_path, text(IMAGE_HEADER, ['a_image,"[,none,s1', *IMAGES]))


@pytest.mark.parametrize("wrong", ["b", "_image", "b_study", "", "b_Image"])
def test_ids_without_their_suffix(tmp_path, wrong):
    row = f"{wrong},,none 1 0 0 1 1,s1"
    message = image_fault(tmp_path, text(IMAGE_HEADER, [IMAGES[0], row, row]))
    assert f"ids end in _image; 2 do not, the first in line 3: {wrong!r}" in message


def test_line_numbers_are_those_of_an_editor(tmp_path):
    assert "the first in line 5: 'b'" in image_fault(tmp_path, text(IMAGE_HEADER, ["", IMAGES[0], "", "b,,none 1 0 0 1 1,s1"]))


def test_duplicate_ids(tmp_path):
    assert "1 ids occur again, the first in line 6: 'b_image'" in image_fault(tmp_path, text(IMAGE_HEADER, [*IMAGES, IMAGES[1]]))
    assert "1 ids occur again, the first in line 5: 's2_study'" in study_fault(tmp_path, text(STUDY_HEADER, [*STUDIES, "s2_study,0,1,0,0"]))


@pytest.mark.parametrize("marks", ["0,0,0,0", "1,1,0,0", "0.5,0.5,0,0", "2,0,0,0", ",,,1", "one,0,0,0", "-1,1,1,0", "nan,1,0,0"])
def test_study_classes_are_one_hot(tmp_path, marks):
    message = study_fault(tmp_path, text(STUDY_HEADER, [*STUDIES, f"s9_study,{marks}"]))
    assert f"1 rows have not, the first in line 5: s9_study {marks.replace(',', ' ')}" in message


SOUND_LABEL = "opacity 1 10.5 20 40.5 60.25"
BOX_TEXT = "[{'x': 10.5, 'y': 20, 'width': 30, 'height': 40.25}]"


@pytest.mark.parametrize(
    ("boxes", "label", "reason"),
    [
        (BOX_TEXT, "none 1 0 0 1 1", "neither one none without boxes"),
        (BOX_TEXT, "", "has boxes but an empty label"),
        ("", SOUND_LABEL, "its 0 boxes are not the 1 of its label"),
        (BOX_TEXT, f"{SOUND_LABEL} {SOUND_LABEL}", "its 1 boxes are not the 2 of its label"),
        (BOX_TEXT, "opacity 1 10.5 20 41.5 60.25", "are not the 1 of its label"),
        (BOX_TEXT, f"{SOUND_LABEL} none 1 0 0 1 1", "neither one none"),
        ("", "none 1 0 0 1 1 none 1 0 0 1 1", "neither one none"),
        ("", "negative 1 0 0 1 1", "neither one none"),
        ("", "none 1 0 0 1", "5 tokens are not groups of six"),
        ("", "None 1 0 0 1 1", "capitalised class"),
        ("", "opaque 1 1 2 3 4", "unknown class"),
        ("[{'x': 1", SOUND_LABEL, "not a list of boxes"),
        ("nan", SOUND_LABEL, "not a list of boxes"),
        ("[{[]: 1}]", SOUND_LABEL, "not a list of boxes"),
        ("[" * 5000, SOUND_LABEL, "not a list of boxes"),
        ("__import__('os').getcwd()", SOUND_LABEL, "not a list of boxes"),
        ("10.5 20 30 40.25", SOUND_LABEL, "not a list of boxes"),
        ("[10.5, 20, 30, 40.25]", SOUND_LABEL, "not a list of dicts with x, y, width, height"),
        ("{'x': 1}", SOUND_LABEL, "not a list of dicts"),
        ("[{'x': 1, 'y': 1, 'width': 5}]", SOUND_LABEL, "not a list of dicts"),
        ("[{'x': 1, 'y': 1, 'width': 5, 'height': '5'}]", SOUND_LABEL, "holds what is no number"),
        ("[{'x': 1, 'y': 1, 'width': 5, 'height': None}]", SOUND_LABEL, "holds what is no number"),
        ("[{'x': 1e999, 'y': 1, 'width': 5, 'height': 5}]", SOUND_LABEL, "not finite"),
        ("[{'x': 1e308, 'y': 1, 'width': 1e308, 'height': 5}]", SOUND_LABEL, "not finite"),
        ("[{'x': 1, 'y': 1, 'width': 1" + "0" * 400 + ", 'height': 5}]", SOUND_LABEL, "enormous"),
        ("[{'x': 1, 'y': 1, 'width': 0, 'height': 5}]", SOUND_LABEL, "no area"),
        ("[{'x': 1, 'y': 1, 'width': 5, 'height': -5}]", SOUND_LABEL, "no area"),
    ],
)
def test_boxes_and_labels_that_are_wrong_or_contradict_each_other(tmp_path, boxes, label, reason):
    message = image_fault(tmp_path, text(IMAGE_HEADER, [IMAGES[0], f'w_image,"{boxes}",{label},s1']))
    assert "line 3, w_image: " in message
    assert reason in message
    assert len(message) < 600


def test_an_empty_label_is_an_image_that_was_not_read(tmp_path):
    write(tmp_path, images=["e_image,,,s3", f"f_image,[],{'none 1 0 0 1 1'},s2"])
    table = tables.read_training(tmp_path).images
    assert list(table.image_label) == ["", "none"]
    assert list(table.reading) == ["not read", "none"]


def test_a_box_may_start_left_of_the_film(tmp_path):
    write(tmp_path, images=["a_image,\"[{'x': -3.6, 'y': 2, 'width': 10, 'height': 5}]\",opacity 1 -3.6 2 6.4 7,s1"])
    assert tables.read_training(tmp_path).images.boxes[0] == ((-3.6, 2.0, 6.4, 7.0),)


def test_siblings_of_boxed_images_are_not_read_and_negative_ones_are_none(tmp_path):
    studies = ["s1_study,0,1,0,0", "s2_study,1,0,0,0"]
    none = "none 1 0 0 1 1"
    images = [f"a_image,{BOX},{BOX_LABEL},s1", f"b_image,,{none},s1", f"c_image,{BOX},{BOX_LABEL},s2", f"d_image,,{none},s2"]
    assert list(tables.read_training(write(tmp_path, studies, images)).images.reading) == ["boxed", "not read", "boxed", "none"]


def test_an_image_of_an_unknown_study(tmp_path):
    write(tmp_path, images=[*IMAGES, "x_image,,none 1 0 0 1 1,s9", "y_image,,none 1 0 0 1 1,"])
    with pytest.raises(TableError) as caught:
        tables.read_training(tmp_path)
    assert f"{tables.IMAGE_TABLE}, line 6: image x is of study 's9', which {tables.STUDY_TABLE} lacks; 2 images" in str(caught.value)


def test_a_study_without_an_image_is_a_problem(tmp_path):
    training = tables.read_training(write(tmp_path, studies=[*STUDIES, "s4_study,0,0,1,0"]))
    assert training.problems == (f"1 studies of {tables.STUDY_TABLE} have no image in {tables.IMAGE_TABLE}: s4",)


def test_no_folder(tmp_path):
    with pytest.raises(MountError, match="is no folder"):
        tables.read_training(tmp_path / "nowhere")
    with pytest.raises(TableError, match="train_image_level.csv does not exist"):
        tables.read_training(tmp_path)


# Films


def test_films_are_sorted_by_image_and_need_no_table(tmp_path):
    for place in ("s2/r1/b.dcm", "s1/r2/c.DCM", "s1/r1/a.dcm", "s3/r1/d.Dcm"):
        (tmp_path / "test" / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "test" / place).touch()
    found = tables.films(tmp_path, "test")
    assert list(found.columns) == ["image", "study", "series", "path"]
    assert found.drop(columns="path").to_numpy().tolist() == [
        ["a", "s1", "r1"],
        ["b", "s2", "r1"],
        ["c", "s1", "r2"],
        ["d", "s3", "r1"],
    ]
    assert found.path[2] == str(tmp_path / "test/s1/r2/c.DCM")


def test_stray_files_are_no_films(tmp_path):
    for place in ("s/r/a.dcm", "s/r/._a.dcm", "s/r/.ipynb_checkpoints/b.dcm", ".cache/r/c.dcm", "s/r/a.dcm.txt", "s/r/dcm", "notes.csv"):
        (tmp_path / "train" / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "train" / place).touch()
    assert list(tables.films(tmp_path, "train").image) == ["a"]


def test_an_image_id_with_dots_keeps_them(tmp_path):
    (tmp_path / "train/1.2/1.2.3").mkdir(parents=True)
    (tmp_path / "train/1.2/1.2.3/1.2.3.4.dcm").touch()
    assert tables.films(tmp_path, "train").iloc[0].to_list()[:3] == ["1.2.3.4", "1.2", "1.2.3"]


@pytest.mark.parametrize("place", ["a.dcm", "s/a.dcm", "s/r/deep/a.dcm"])
def test_films_at_another_depth(tmp_path, place):
    (tmp_path / "train" / place).parent.mkdir(parents=True)
    (tmp_path / "train" / place).touch()
    with pytest.raises(TableError, match=rf"1 files under .*train are not at <study>/<series>/<image>.dcm, the first is {place}"):
        tables.films(tmp_path, "train")


@pytest.mark.parametrize("other", ["s2/r/a.dcm", "s1/r/a.DCM"])
def test_one_image_id_twice(tmp_path, other):
    for place in ("s1/r/a.dcm", other):
        (tmp_path / "train" / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "train" / place).touch()
    with pytest.raises(TableError, match=r"one image id, two files under .*a\.dcm.* and .*a\.(dcm|DCM)|.*a\.DCM and .*a\.dcm"):
        tables.films(tmp_path, "train")


def test_an_empty_split_and_a_missing_one(tmp_path):
    (tmp_path / "train").mkdir()
    assert len(tables.films(tmp_path, "train")) == 0
    assert list(tables.films(tmp_path, "train").columns) == ["image", "study", "series", "path"]
    with pytest.raises(MountError, match="test is no folder"):
        tables.films(tmp_path, "test")


def small_competition(folder):
    write(folder)
    film(folder, "train/s1/r1/a.dcm", 8, 6, PatientID=" p1 ")
    film(folder, "train/s1/r1/b.dcm", 7, 9, PatientID="p1")
    film(folder, "train/s2/r2/c.dcm", PatientID="p2")
    film(folder, "train/s3/r3/d.dcm", PatientID="p3")
    return folder


def test_headers_give_patient_rows_and_columns(tmp_path):
    training = tables.read_training(small_competition(tmp_path))
    assert training.problems == ()
    assert list(training.images.patient) == ["p1", "p1", "p2", "p3"]
    assert list(training.images["rows"]) == [8, 7, 8, 8]
    assert list(training.images["columns"]) == [6, 9, 8, 8]
    assert list(training.images.series) == ["r1", "r1", "r2", "r3"]
    assert training.images.path[0] == str(tmp_path / "train/s1/r1/a.dcm")


def test_headers_are_left_alone_when_they_are_not_wanted(tmp_path):
    table = tables.read_training(small_competition(tmp_path), headers=False).images
    assert (table.patient == "").all()
    assert table["rows"].isna().all()
    assert (table.path != "").all()


def test_ids_without_files_and_files_without_ids_are_problems(tmp_path):
    small_competition(tmp_path)
    (tmp_path / "train/s2/r2/c.dcm").unlink()
    film(tmp_path, "train/s7/r1/z.dcm")
    (tmp_path / "train/s3/r3/d.dcm").rename(tmp_path / "train/s1/r1/d.dcm")
    (tmp_path / "train/s1/r1/b.dcm").write_bytes(b"no DICOM")
    training = tables.read_training(tmp_path)
    missing, unknown, moved, unread = training.problems
    assert missing == "1 images of train_image_level.csv have no file under train/: c"
    assert unknown == "1 files under train/ are not in train_image_level.csv: z"
    assert moved == "1 films stand in the folder of another study than train_image_level.csv says: d"
    assert unread.startswith("film b: not a DICOM file (")
    table = training.images.set_index("image")
    assert list(table.index) == ["a", "b", "c", "d"]
    assert table.path["c"] == table.series["c"] == table.patient["c"] == table.patient["b"] == ""
    assert table.study["d"] == "s3"
    assert table["rows"].isna().tolist() == [False, True, True, False]


def test_long_lists_of_ids_are_cut(tmp_path):
    images = [f"i{number}_image,,none 1 0 0 1 1,s2" for number in range(9)]
    write(tmp_path, images=images)
    (tmp_path / "train").mkdir()
    (problem,) = [line for line in tables.read_training(tmp_path).problems if "no file" in line]
    assert problem == "9 images of train_image_level.csv have no file under train/: i0, i1, i2, i3, i4, ..."


def test_nonsense_in_a_header_leaves_the_size_unknown(tmp_path):
    small_competition(tmp_path)
    made.dataset(np.zeros((8, 8), np.uint8), Rows=0).save_as(tmp_path / "train/s1/r1/a.dcm", enforce_file_format=True)
    made.dataset(np.zeros((8, 8), np.uint8), Columns=None, PatientID=None).save_as(tmp_path / "train/s1/r1/b.dcm", enforce_file_format=True)
    table = tables.read_training(tmp_path).images
    assert table[["rows", "columns"]].isna().all(axis=1).tolist() == [True, True, False, False]
    assert list(table.patient) == ["p1", "", "p2", "p3"]
    sizes, unknown = tables.film_sizes(tmp_path, "train")
    assert sizes == {"c": (8, 8), "d": (8, 8)}
    assert unknown == ["2 films under train/ do not state their size, their boxes are not held against one: a, b"]
    assert tables.film_size(tmp_path / "train/s1/r1/nowhere.dcm")[0] is pd.NA


PATIENTS = "patientid,studyid,series_id,imageid,SeriesNumber\n"


def test_patients_of_a_csv_come_in_place_of_the_headers(tmp_path):
    small_competition(tmp_path)
    (tmp_path / "patients.csv").write_text(PATIENTS + "007,s1,r,a,1\n007,s1,r,b_image,\nq2,s2,r,c,\n,s3,r,d,\n")
    training = tables.read_training(tmp_path, patients=tmp_path / "patients.csv")
    assert list(training.images.patient) == ["007", "007", "q2", ""]
    assert training.problems == (f"1 images have no patient in {tmp_path / 'patients.csv'}: d",)


def test_patients_csv_that_is_wrong(tmp_path):
    path = tmp_path / "patients.csv"
    path.write_text("PatientID,imageid\np,a\n")
    with pytest.raises(TableError, match="lacks the columns patientid, studyid; it has PatientID, imageid"):
        tables.read_patients(path)
    path.write_text(PATIENTS + "p,s,r,a,\np,s,r,b,\nq,s,r,a_image,\n")
    with pytest.raises(TableError, match="line 4: image a occurs again"):
        tables.read_patients(path)


@pytest.mark.real
def test_the_real_tables(real_data):
    folder = real_data / "competition-tables"
    training = tables.read_training(folder, patients=folder / "train_patients.csv")
    table = training.images
    assert training.problems == ()
    assert (len(table), table.study.nunique(), table.patient.nunique()) == (6334, 6054, 3261)
    assert table.label.value_counts().to_dict() == {"typical": 3007, "negative": 1736, "indeterminate": 1108, "atypical": 483}
    assert table.reading.value_counts().to_dict() == {"boxed": 4294, "none": 1823, "not read": 217}
    assert ((table.reading == "none") & (table.label != "negative")).sum() == 87
    assert table.boxes.map(len).sum() == 7853
    boxes = np.array([box for boxes in table.boxes for box in boxes])
    assert (boxes[:, 2:] - boxes[:, :2]).min() > 37
    by_study = table.drop_duplicates("study").label.value_counts()
    assert by_study.to_dict() == {"typical": 2855, "negative": 1676, "indeterminate": 1049, "atypical": 474}


def test_test_films_at_other_places_are_taken_where_a_prediction_must_make_the_best(tmp_path):
    for place in ("a.dcm", "s/b.dcm", "s/r/c.dcm", "s/r/deep/d.dcm", "t/r/c.dcm"):
        (tmp_path / "test" / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "test" / place).touch()
    found = tables.films(tmp_path, "test", strict=False)
    assert found[["image", "study", "series"]].to_numpy().tolist() == [["a", "", ""], ["b", "s", ""], ["c", "s", "r"], ["d", "s", "r"]]
    assert found.path.iloc[2] == str(tmp_path / "test/s/r/c.dcm")
