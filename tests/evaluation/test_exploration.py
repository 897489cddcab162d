"""The tables of an exploration: small ones exactly, and the figures of the competition's own tables."""

import numpy as np
import pandas as pd
import pytest

from siim_kernel.competition import tables
from siim_kernel.evaluation import exploration


def table(rows):
    """A training table of rows (image, study, patient, label, image_label, boxes); films are 100 columns by 200 rows."""
    images = pd.DataFrame(rows, columns=["image", "study", "patient", "label", "image_label", "boxes"])
    images["reading"] = tables.readings(images)
    return images.assign(rows=pd.array([200] * len(images), "Int64"), columns=pd.array([100] * len(images), "Int64"))


LEFT, RIGHT = (10.0, 20.0, 40.0, 120.0), (60.0, 20.0, 90.0, 120.0)


@pytest.fixture
def images():
    return table(
        [
            ("a", "s1", "p1", "typical", "opacity", (LEFT, RIGHT)),
            ("b", "s1", "p1", "typical", "none", ()),
            ("c", "s2", "p1", "atypical", "none", ()),
            ("d", "s3", "p2", "negative", "none", ()),
            ("e", "s4", "p3", "indeterminate", "opacity", (LEFT,)),
            ("f", "s5", "p3", "indeterminate", "", ()),
        ]
    )


def rows(frame):
    return list(frame.itertuples(index=False, name=None))


def test_schemes_that_a_table_can_have(images):
    found = exploration.scheme_counts(images)
    assert list(found) == ["study_label", "image_label", "label_opacity", "label_n_Covid_19", "label_opacity_3l"]
    assert rows(found["image_label"]) == [("none", 3, 0.6), ("opacity", 2, 0.4)]
    assert found["label_opacity_3l"]["films"].tolist() == [1, 2, 3]


def test_what_the_labels_of_a_scheme_mean(images):
    found = exploration.meanings(exploration.scheme_counts(images))
    assert rows(found[found["scheme"] == "label_opacity_3l"]) == [
        ("label_opacity_3l", "None", "negative", 1, 1 / 6),
        ("label_opacity_3l", "Yes", "typical", 2, 2 / 6),
        ("label_opacity_3l", "otros", "indeterminate, atypical", 3, 0.5),
    ]
    assert found["films of class"].notna().all()


def test_schemes_of_a_union_where_films_are_external(images):
    external = pd.DataFrame({"label": ["covid_19", "NORMAL"]})
    assert set(exploration.scheme_counts(external)) == {"union_study_label", "2L_opacity_no_opacity", "2L_covid_no_covid"}
    assert len(exploration.scheme_counts(pd.concat([images, external]))) == 8
    assert exploration.scheme_counts(pd.DataFrame({"label": ["", ""]})) == {}


def test_none_in_opacity_studies_and_why(images):
    found = exploration.none_in_opacity_studies(images)
    assert rows(found) == [("typical", 1, 1, 0), ("indeterminate", 0, 0, 0), ("atypical", 1, 0, 1), ("all", 2, 1, 1)]


def test_how_many_of_each(images):
    assert rows(exploration.images_per_study(images)) == [(1, 4), (2, 1)]
    assert rows(exploration.studies_per_patient(images)) == [(1, 1), (2, 2)]
    assert rows(exploration.boxes_per_image(images)) == [("not read", 2), ("none", 2), ("1", 1), ("2", 1)]
    unknown = images.assign(patient="", study="")
    assert rows(exploration.studies_per_patient(unknown)) == []
    assert rows(exploration.images_per_study(unknown)) == []


def test_boxes_as_shares_of_their_film(images):
    boxes = exploration.boxes_of(images)
    assert rows(boxes)[0] == ("a", "s1", "typical", 30.0, 100.0, 0.1, 0.1, 0.4, 0.6)
    sizes = exploration.box_sizes(boxes)
    assert sizes["class"].unique().tolist() == ["typical", "indeterminate", "all"]
    assert rows(sizes)[2] == ("typical", 2, "area share", pytest.approx(0.15), pytest.approx(0.15), pytest.approx(0.15))
    assert rows(exploration.sides(boxes)) == [("typical", 1, 1, 1.0), ("indeterminate", 1, 0, 0.0), ("all", 2, 1, 0.5)]


def test_places_that_boxes_cover(images):
    heat = exploration.box_places(exploration.boxes_of(images), cells=10)
    wanted = np.zeros((10, 10))
    wanted[1:6, 1:4] = 2 / 3
    wanted[1:6, 6:9] = 1 / 3
    np.testing.assert_allclose(heat, wanted)


def test_boxes_of_films_whose_size_is_not_known(images):
    boxes = exploration.boxes_of(images.assign(rows=pd.array([pd.NA] * 6, "Int64")))
    assert boxes["xmin"].isna().all()
    assert boxes["width"].tolist() == [30.0, 30.0, 30.0]
    assert not exploration.box_places(boxes).any()
    assert rows(exploration.sides(boxes)) == []


def test_no_boxes_at_all(images):
    boxes = exploration.boxes_of(images.iloc[3:4])
    assert len(boxes) == 0
    assert rows(exploration.box_sizes(boxes)) == []
    assert not exploration.box_places(boxes).any()


def test_frequencies_name_what_is_missing_and_fold_the_rest():
    found = exploration.frequencies(pd.Series(["x", "y", "x", None, "", "z"]), "letter", most=2)
    assert rows(found) == [("not stated", 2, 2 / 6), ("x", 2, 2 / 6), ("2 others", 2, 2 / 6)]


def test_sizes_and_values_of_films():
    films = pd.DataFrame({"rows": pd.array([1000, 2000, pd.NA], "Int64"), "columns": pd.array([2000, 2000, 3000], "Int64")})
    found = exploration.film_sizes(films).set_index("of")
    assert found.loc["megapixels", ["smallest", "median", "largest"]].tolist() == [2.0, 3.0, 4.0]
    assert found.loc["columns / rows", "largest"] == 2.0
    values = pd.DataFrame({"low": [5, 3], "p1": [10.0, 20.0], "p99": [90.0, 80.0], "high": [99, 95]})
    values = values.assign(bits_stored=12, signed="no", photometric="MONOCHROME2")
    assert rows(exploration.value_ranges(values)) == [(12, "no", "MONOCHROME2", 2, 3, 15.0, 85.0, 99)]


def test_patients_with_several_studies(images):
    assert rows(exploration.held_by_patients(images)) == [("patients", 3, 2), ("studies", 5, 4), ("images", 6, 5)]


def test_a_random_split_shares_patients():
    films = [(f"i{n}", f"s{n}", f"p{n // 2}", "negative", "none", ()) for n in range(8)]
    found = exploration.shared_in_random_split(table(films), n_folds=8, duplicates=[("i0", "i7")])
    assert found["validation"].tolist() == [1] * 8
    assert found["share_patient"].tolist() == [1] * 8
    assert found["share_study"].tolist() == [0] * 8
    assert found["share_duplicate"].sum() == 2
    assert exploration.shared_in_random_split(table(films), n_folds=2)["share_duplicate"].isna().all()


@pytest.mark.real
def test_the_competitions_own_tables(real_data):
    folder = real_data / "competition-tables"
    images = tables.read_training(folder, patients=folder / "train_patients.csv", headers=False).images
    sizes = tables.read_csv(folder / "meta.csv", ["image_id", "dim0", "dim1"]).set_index("image_id")
    images = images.assign(
        rows=images["image"].map(sizes["dim0"]).astype("Int64"), columns=images["image"].map(sizes["dim1"]).astype("Int64")
    )

    counts = {name: found["films"].tolist() for name, found in exploration.scheme_counts(images).items()}
    assert counts == {
        "study_label": [1736, 3007, 1108, 483],
        "image_label": [2040, 4294],
        "label_opacity": [1736, 4598],
        "label_n_Covid_19": [3327, 3007],
        "label_opacity_3l": [1736, 3007, 1591],
    }
    nones = exploration.none_in_opacity_studies(images)
    assert nones.set_index("class")["images"].to_dict() == {"typical": 153, "indeterminate": 59, "atypical": 92, "all": 304}
    assert nones["siblings"].iloc[-1] == 217

    bilateral = exploration.sides(exploration.boxes_of(images)).set_index("class")
    assert bilateral.loc["typical", "share"] == pytest.approx(0.989, abs=0.0005)
    others = bilateral.loc[["indeterminate", "atypical"], ["boxed", "bilateral"]].sum()
    assert others["bilateral"] / others["boxed"] == pytest.approx(0.32, abs=0.005)

    assert rows(exploration.held_by_patients(images))[0][2] == 1200
    split = exploration.shared_in_random_split(images)
    assert split["validation"].sum() == 6334
    assert split["share"].between(0.61, 0.67).all()
