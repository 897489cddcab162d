import numpy as np
import pandas as pd
import pytest

from siim_kernel.competition import schemes, tables
from siim_kernel.errors import RecipeError, TableError
from siim_kernel.labels import BOXED, NONE, NOT_READ, SCHEMES, STUDY_CLASSES, Scheme

EIGHT = ("negative", "typical", "indeterminate", "atypical", "covid_19", "LO", "NORMAL", "VIRALNEU")


def films(*labels, readings=None):
    """A training table of the classes named, and of image labels."""
    return pd.DataFrame({"label": labels, "image_label": readings or [""] * len(labels)})


@pytest.mark.parametrize(
    ("name", "labels", "codes"),
    [
        ("study_label", ("negative", "typical", "indeterminate", "atypical"), [0, 1, 2, 3, -1, -1, -1, -1]),
        ("label_opacity", ("None", "Yes"), [0, 1, 1, 1, -1, -1, -1, -1]),
        ("label_n_Covid_19", ("None", "Yes"), [0, 1, 0, 0, -1, -1, -1, -1]),
        ("label_opacity_3l", ("None", "Yes", "otros"), [0, 1, 2, 2, -1, -1, -1, -1]),
        ("union_study_label", EIGHT, [0, 1, 2, 3, 4, 5, 6, 7]),
        ("2L_opacity_no_opacity", ("None", "Yes"), [0, 1, 1, 1, 1, 1, 0, 1]),
        ("2L_covid_no_covid", ("None", "Yes"), [0, 1, 0, 0, 1, 0, 0, 0]),
    ],
)
def test_targets_of_every_class(name, labels, codes):
    scheme = SCHEMES[name]
    assert scheme.labels == labels
    found = schemes.targets(films(*EIGHT), scheme)
    assert found.dtype == np.int64
    assert found.tolist() == codes


def test_targets_of_image_labels():
    images = films("typical", "typical", "negative", "typical", "covid_19", readings=["opacity", "none", "none", "", np.nan])
    assert schemes.targets(images, SCHEMES["image_label"]).tolist() == [1, 0, 0, -1, -1]


def test_what_a_scheme_does_not_know_has_no_target():
    images = films("typical", "", np.nan, None, "Typical", "pneumonia")
    assert schemes.targets(images, SCHEMES["study_label"]).tolist() == [1, -1, -1, -1, -1, -1]


def test_targets_do_not_look_at_the_index():
    images = films("typical", "negative").set_index(pd.Index([7, 7]))
    assert schemes.targets(images, SCHEMES["label_opacity"]).tolist() == [1, 0]


def test_no_films():
    assert schemes.targets(films(), SCHEMES["study_label"]).shape == (0,)
    assert schemes.counts(films(), SCHEMES["label_opacity"]).to_numpy().tolist() == [[0, 0], [0, 0]]


def test_a_missing_column_is_named():
    with pytest.raises(TableError, match="the scheme image_label needs the column image_label; the table has label$"):
        schemes.targets(films("typical")[["label"]], SCHEMES["image_label"])
    with pytest.raises(TableError, match="needs the column label; the table has image_label"):
        schemes.to_study(SCHEMES["image_label"], films("typical")[["image_label"]])


def test_counts_stand_in_the_order_of_the_scheme():
    found = schemes.counts(films("typical", "atypical", "typical", "typical", "covid_19"), SCHEMES["label_opacity_3l"])
    assert found.index.tolist() == ["None", "Yes", "otros"]
    assert found.films.tolist() == [0, 3, 1]
    assert found.share.tolist() == [0, 0.75, 0.25]


# 10 negative, 4 typical, 3 indeterminate and 1 atypical films; external ones beside them are no priors.
PRIORS = films(*["negative"] * 10, *["typical"] * 4, *["indeterminate"] * 3, "atypical", *["covid_19"] * 50, *["LO"] * 9)


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("study_label", np.eye(4)),
        ("label_opacity", [[1, 0, 0, 0], [0, 4 / 8, 3 / 8, 1 / 8]]),
        ("label_n_Covid_19", [[10 / 14, 0, 3 / 14, 1 / 14], [0, 1, 0, 0]]),
        ("label_opacity_3l", [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 3 / 4, 1 / 4]]),
        (
            "union_study_label",
            [*np.eye(4), [0, 1, 0, 0], [0, 0, 3 / 4, 1 / 4], [1, 0, 0, 0], [0, 0, 3 / 4, 1 / 4]],
        ),
        ("2L_opacity_no_opacity", [[1, 0, 0, 0], [0, 4 / 8, 3 / 8, 1 / 8]]),
        ("2L_covid_no_covid", [[10 / 14, 0, 3 / 14, 1 / 14], [0, 1, 0, 0]]),
    ],
)
def test_labels_become_study_classes(name, rows):
    scheme = SCHEMES[name]
    if name == "union_study_label":
        assert scheme.labels == EIGHT
    found = schemes.to_study(scheme, PRIORS)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, rows, rtol=0, atol=1e-15)
    # Of films read without a box exactly where they are negative, a label is none as often as it is negative.
    read = PRIORS.assign(reading=np.where(PRIORS["label"] == "negative", NONE, BOXED))
    np.testing.assert_allclose(schemes.to_none(scheme, read), found[:, 0], rtol=0, atol=1e-15)


def readings(**counts):
    """A training table: of each class how many films are boxed, none and not read."""
    rows = [
        (label, reading)
        for label, numbers in counts.items()
        for number, reading in zip(numbers, (BOXED, NONE, NOT_READ), strict=True)
        for _ in range(number)
    ]
    made = pd.DataFrame(rows, columns=["label", "reading"])
    return made.assign(image_label=np.where(made["reading"] == BOXED, "opacity", "none"))


# Of 10 typical films 6 are boxed, 2 none and 2 were not read, and so on; external films beside them do not count.
READ = readings(negative=(0, 10, 0), typical=(6, 2, 2), indeterminate=(3, 1, 4), atypical=(2, 2, 0), covid_19=(0, 0, 9), NORMAL=(0, 5, 0))


@pytest.mark.parametrize(
    ("name", "none"),
    [
        ("study_label", [1, 2 / 8, 1 / 4, 2 / 4]),
        ("image_label", [1, 0]),
        ("label_opacity", [1, 5 / 16]),
        ("label_n_Covid_19", [13 / 18, 2 / 8]),  # negative, indeterminate and atypical films are one label
        ("label_opacity_3l", [1, 2 / 8, 3 / 8]),
        ("union_study_label", [1, 2 / 8, 1 / 4, 2 / 4, 2 / 8, 3 / 8, 1, 3 / 8]),
        ("2L_opacity_no_opacity", [1, 5 / 16]),
        ("2L_covid_no_covid", [13 / 18, 2 / 8]),
    ],
)
def test_none_of_a_label_is_counted_on_films_that_were_read(name, none):
    found = schemes.to_none(SCHEMES[name], READ)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, none, rtol=0, atol=1e-15)


def test_a_label_of_films_that_nobody_read_is_none_as_often_as_negative():
    unread = readings(negative=(0, 0, 3), typical=(1, 0, 1), indeterminate=(0, 0, 1), atypical=(0, 0, 0))
    assert schemes.to_none(SCHEMES["label_n_Covid_19"], unread).tolist() == [3 / 4, 0]
    assert schemes.to_none(SCHEMES["study_label"], unread).tolist() == [1, 0, 0, 0]


def test_none_needs_to_know_who_was_read():
    with pytest.raises(TableError, match="the scheme label_opacity needs the column reading"):
        schemes.to_none(SCHEMES["label_opacity"], PRIORS)


def test_image_labels_become_study_classes():
    # Of the four films read as none three are negative; an unread film and an external one say nothing.
    images = films(
        *["negative"] * 3, "typical", "typical", "typical", "atypical", "indeterminate", "NORMAL",
        readings=["none"] * 4 + ["opacity"] * 3 + ["", "none"],
    )  # fmt: skip
    found = schemes.to_study(SCHEMES["image_label"], images)
    np.testing.assert_allclose(found, [[3 / 4, 1 / 4, 0, 0], [0, 2 / 3, 0, 1 / 3]], rtol=0, atol=1e-15)


def test_a_submission_by_hand():
    probabilities = np.array([[0.2, 0.8], [1.0, 0.0]])
    study = probabilities @ schemes.to_study(SCHEMES["label_opacity"], PRIORS)
    np.testing.assert_allclose(study, [[0.2, 0.4, 0.3, 0.1], [1, 0, 0, 0]], atol=1e-15)
    none = probabilities @ schemes.to_none(SCHEMES["label_opacity"], READ)
    np.testing.assert_allclose(none, [0.2 + 0.8 * 5 / 16, 1.0], atol=1e-15)


def test_a_label_of_one_class_needs_no_films():
    found = schemes.to_study(SCHEMES["label_opacity_3l"], films("indeterminate"))
    assert found.tolist() == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]


def test_a_label_without_films_cannot_be_shared_out():
    with pytest.raises(TableError, match="label otros of the scheme label_opacity_3l is shared out among indeterminate, atypical"):
        schemes.to_study(SCHEMES["label_opacity_3l"], films("negative", "typical", "LO"))
    with pytest.raises(TableError, match="label opacity of the scheme image_label"):
        schemes.to_study(SCHEMES["image_label"], films("negative", readings=["none"]))


def test_an_external_class_that_stands_for_nothing():
    scheme = Scheme("made", {"None": ("negative",), "Yes": ("typical", "tuberculosis")})
    for rule in (lambda: schemes.to_study(scheme, PRIORS), lambda: schemes.to_none(scheme, READ)):
        with pytest.raises(RecipeError, match="class tuberculosis of the scheme made stands for no study class; known are NORMAL"):
            rule()


@pytest.fixture(scope="module")
def real_images(real_data):
    return tables.read_training(real_data / "competition-tables").images


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "films"),
    [
        ("study_label", [1736, 3007, 1108, 483]),
        ("image_label", [2040, 4294]),
        ("label_opacity", [1736, 4598]),
        ("label_n_Covid_19", [3327, 3007]),
        ("label_opacity_3l", [1736, 3007, 1591]),
    ],
)
def test_the_counts_that_the_thesis_prints(real_images, name, films):
    assert schemes.counts(real_images, SCHEMES[name]).films.tolist() == films


@pytest.mark.real
def test_the_304_none_films_of_the_real_tables(real_images):
    none, opacity = schemes.to_study(SCHEMES["image_label"], real_images)
    assert dict(zip(STUDY_CLASSES, np.rint(none * 2040), strict=True)) == {
        "negative": 1736, "typical": 153, "indeterminate": 59, "atypical": 92,
    }  # fmt: skip
    np.testing.assert_allclose(opacity * 4294, [0, 3007 - 153, 1108 - 59, 483 - 92])


@pytest.mark.real
def test_none_of_the_real_tables(real_images):
    """Of the films that were read 1,736 negative, 86 atypical and one typical are none."""
    none, yes = schemes.to_none(SCHEMES["label_n_Covid_19"], real_images)
    np.testing.assert_allclose([none, yes], [1822 / (3327 - 59 - 6), 1 / (3007 - 152)])
    np.testing.assert_allclose(schemes.to_none(SCHEMES["label_opacity"], real_images), [1, 87 / (4598 - 217)])


@pytest.mark.real
@pytest.mark.parametrize("name", SCHEMES)
def test_rows_sum_to_one(real_images, name):
    rows = schemes.to_study(SCHEMES[name], real_images)
    np.testing.assert_allclose(rows.sum(axis=1), 1)
    assert rows.shape == (len(SCHEMES[name].labels), 4)
    assert (rows >= 0).all()
