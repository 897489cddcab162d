import warnings

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siim_kernel.competition import folds, tables
from siim_kernel.errors import TableError
from siim_kernel.labels import STUDY_CLASSES


def table(rows):
    """A training table of (image, study, patient, label)."""
    return pd.DataFrame(rows, columns=["image", "study", "patient", "label"])


def simple(patients, label="typical"):
    """One image and study per entry, of the patients named."""
    return table([(f"i{number}", f"s{number}", patient, label) for number, patient in enumerate(patients)])


def sides(made, images):
    """Fold by image."""
    return dict(zip(images.image, made["fold"], strict=True))


def test_one_image_a_fold():
    images = simple("abc")
    made = folds.make_folds(images, 3)
    assert list(made.columns) == ["imageid", "fold"]
    assert list(made.imageid) == ["i0", "i1", "i2"]
    assert sorted(made.fold) == [0, 1, 2]


def test_two_patients_two_folds():
    images = simple("aabbba")
    fold = sides(folds.make_folds(images, 2), images)
    assert fold["i0"] == fold["i1"] == fold["i5"]
    assert fold["i2"] == fold["i3"] == fold["i4"]
    assert fold["i0"] != fold["i2"]


def test_each_fold_has_its_share_of_each_class():
    images = pd.concat([simple([f"{label}{n}" for n in range(20)], label) for label in STUDY_CLASSES], ignore_index=True)
    images["image"] = images["study"] = [f"i{n}" for n in range(80)]
    made = folds.make_folds(images, 5)
    counts = pd.crosstab(made.fold, images.label)
    assert (counts == 4).all(axis=None)


@pytest.mark.parametrize(("group", "groups"), [("patient", 1), ("study", 2), ("image", 3)])
def test_what_is_never_split(group, groups):
    images = table([("a", "s1", "p", "typical"), ("b", "s1", "p", "typical"), ("c", "s2", "p", "typical")])
    with pytest.raises(TableError, match=f"{groups + 1} folds cannot be made of {groups} groups by {group}"):
        folds.make_folds(images, groups + 1, group)
    if groups > 1:
        assert folds.make_folds(images, groups, group).fold.nunique() == groups


@pytest.mark.parametrize("n_folds", [0, 1, 4])
def test_impossible_numbers_of_folds(n_folds):
    with pytest.raises(TableError, match=rf"{n_folds} folds cannot be made of 3 groups by patient; ask for 2\.\.3"):
        folds.make_folds(simple("abc"), n_folds)


def test_unknown_patients_are_an_error_only_where_they_matter():
    images = simple(["a", "", "b", ""])
    with pytest.raises(TableError, match=r"the patient of 2 images is not known \(the first is i1\)"):
        folds.make_folds(images, 2)
    assert folds.make_folds(images, 2, "study").fold.nunique() == 2


def test_an_unknown_class_is_named():
    images = simple("abcd")
    images.loc[2, "label"] = "Typical"
    with pytest.raises(TableError, match="image i2 has the unknown class 'Typical'"):
        folds.make_folds(images, 2)


def test_a_study_of_two_patients_stays_whole():
    images = table([("a", "s1", "p", "typical"), ("b", "s1", "q", "typical"), ("c", "s2", "q", "typical"), ("d", "s3", "r", "typical")])
    fold = sides(folds.make_folds(images, 2), images)
    assert fold["a"] == fold["b"] == fold["c"] != fold["d"]


def test_duplicates_join_the_groups_they_belong_to():
    images = simple("aabbcd")
    fold = sides(folds.make_folds(images, 2, duplicates=[("i0", "i2"), ("elsewhere", "i3", "i4")]), images)
    assert len({fold[name] for name in ("i0", "i1", "i2", "i3", "i4")}) == 1
    with pytest.raises(TableError, match=r"3 folds cannot be made of 2 groups"):
        folds.make_folds(images, 3, duplicates=[("i0", "i2"), ("elsewhere", "i3", "i4")])


def test_a_rare_class_does_not_stop_the_others_from_being_stratified():
    images = simple([f"p{n}" for n in range(43)])
    images["label"] = ["negative"] * 20 + ["typical"] * 20 + ["atypical"] * 3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = folds.make_folds(images, 5)
    counts = pd.crosstab(made.fold, images.label)
    assert (counts[["negative", "typical"]] == 4).all(axis=None)
    assert counts["atypical"].max() == 1


def test_folds_of_fewer_images_a_class_than_folds():
    images = simple("abcdef")
    images["label"] = ["negative", "negative", "typical", "typical", "atypical", "indeterminate"]
    assert sorted(folds.make_folds(images, 6).fold) == [0, 1, 2, 3, 4, 5]


def test_the_seed_decides():
    images = simple([f"p{n}" for n in range(60)])
    first = folds.make_folds(images, 5, seed=1)
    assert first.equals(folds.make_folds(images, 5, seed=1))
    assert not first.equals(folds.make_folds(images, 5, seed=2))


@st.composite
def tables_of_patients(draw):
    count = draw(st.integers(4, 40))
    patients = draw(st.lists(st.integers(0, 11), min_size=count, max_size=count))
    studies = draw(st.lists(st.integers(0, 3), min_size=count, max_size=count))
    labels = draw(st.lists(st.sampled_from(STUDY_CLASSES), min_size=count, max_size=count))
    shared = draw(st.lists(st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)), max_size=3))
    rows = [(f"i{n}", f"p{p}s{s}", f"p{p}", label) for n, (p, s, label) in enumerate(zip(patients, studies, labels, strict=True))]
    return table(rows), [(f"i{a}", f"i{b}") for a, b in shared if a != b]


@settings(max_examples=60, deadline=None)
@given(tables_of_patients(), st.integers(2, 5), st.integers(0, 99))
def test_no_patient_and_no_duplicate_is_ever_split(made, n_folds, seed):
    images, duplicates = made
    try:
        fold = folds.make_folds(images, n_folds, seed=seed, duplicates=duplicates)
    except TableError:
        assert images.patient.nunique() - len(duplicates) < n_folds
        return
    assert set(fold.fold) == set(range(n_folds))  # no fold is empty
    found = folds.leakage(images, fold, duplicates)
    assert found.ok
    assert found.patients == images.patient.nunique()


# Files


def test_folds_written_and_read_back(tmp_path):
    images = simple("abc")
    made = folds.make_folds(images, 3)
    folds.write_folds(made, tmp_path / "deep" / "folds.csv")
    assert (tmp_path / "deep" / "folds.csv").read_bytes().startswith(b"imageid,fold\ni0,")
    turned = images.iloc[::-1].reset_index(drop=True)
    again = folds.read_folds(tmp_path / "deep" / "folds.csv", turned)
    assert list(again.imageid) == ["i2", "i1", "i0"]
    assert list(again.fold) == list(made.fold)[::-1]


def test_folds_of_others(tmp_path):
    path = tmp_path / "folds.csv"
    path.write_bytes(b"\xef\xbb\xbffold,imageid,more\r\n1.0,i1_image,x\r\n0,i0,y\r\n3,elsewhere,z\r\n")
    assert folds.read_folds(path, simple("ab")).to_numpy().tolist() == [["i0", 0], ["i1", 1]]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("imageid,fold\ni0,0\n", "has no fold for 1 of 2 images, the first is i1"),
        ("imageid,fold\ni0,0\ni1,\n", "line 3: a fold is a whole number, got ''"),
        ("imageid,fold\ni0,0.5\ni1,1\n", "line 2: a fold is a whole number, got '0.5'"),
        ("imageid,fold\ni0,-2\ni1,1\n", "line 2: a fold is a whole number, got '-2'"),
        ("imageid,fold\ni0,99999999999999999999\ni1,1\n", "line 2: a fold is a whole number"),
        ("imageid,fold\ni0,0\ni1,1\ni0_image,1\n", "line 4: image i0 occurs again"),
        ("image,fold\ni0,0\n", "lacks the column imageid; it has image, fold"),
    ],
)
def test_folds_that_are_wrong(tmp_path, content, reason):
    path = tmp_path / "folds.csv"
    path.write_text(content)
    with pytest.raises(TableError) as caught:
        folds.read_folds(path, simple("ab"))
    assert reason in str(caught.value)
    assert str(path) in str(caught.value)


# Leakage


def test_leakage_counts_what_stands_on_both_sides():
    images = table(
        [
            ("a", "s1", "p", "typical"),
            ("b", "s1", "p", "typical"),
            ("c", "s2", "p", "typical"),
            ("d", "s3", "q", "typical"),
            ("e", "s4", "q", "typical"),
            ("f", "s5", "r", "typical"),
            ("g", "s6", "r", "typical"),
        ]
    )
    made = pd.DataFrame({"imageid": list("abcdefg"), "fold": [0, 1, 0, 0, 1, 2, 2]})
    found = folds.leakage(images, made, [("a", "c"), ("d", "f"), ("g", "elsewhere")])
    assert (found.images, found.studies, found.patients) == (7, 6, 3)
    assert found.shared_patients == 2
    assert found.split_studies == 1
    assert found.studies_sharing_patient == 4
    assert (found.duplicate_groups, found.split_duplicates) == (3, 1)
    assert found.examples == ("patient p", "patient q", "study s1", "duplicate images d, f")
    assert not found.ok


@pytest.mark.parametrize("kind", ["patient", "study", "duplicates"])
def test_each_kind_of_leak_alone_is_one(kind):
    images = table([("a", "s1", "p", "typical"), ("b", "s2", "q", "typical")])
    made = pd.DataFrame({"imageid": ["a", "b"], "fold": [0, 1]})
    assert folds.leakage(images, made, [("a",)]).ok
    if kind != "duplicates":
        images.loc[1, kind] = images.loc[0, kind]
    assert not folds.leakage(images, made, [("a", "b")] if kind == "duplicates" else []).ok


def test_what_was_not_compared_is_said():
    images = simple(["a", "", "", "b"])
    made = pd.DataFrame({"imageid": images.image, "fold": [0, 0, 1, 1]})
    found = folds.leakage(images, made)
    assert (found.patients_known, found.duplicates_compared, found.ok) == (False, False, True)
    assert (found.patients, found.shared_patients) == (2, 0)
    assert folds.leakage(images, made, []).duplicates_compared


# Duplicate images


def scene(seed, size=128):
    """A smooth random picture: no two seeds are alike."""
    coarse = np.random.default_rng(seed).uniform(0, 255, (12, 12)).astype(np.float32)
    return np.clip(cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC), 0, 255).astype(np.uint8)


def encoded(image, quality):
    return cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_GRAYSCALE)


def resized(image, size):
    small = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, image.shape[::-1], interpolation=cv2.INTER_LINEAR)


def brighter(image):
    return np.clip(image.astype(float) * 1.05 + 6, 0, 255).astype(np.uint8)


CHANGES = [lambda image: image.copy(), lambda image: encoded(image, 50), lambda image: resized(image, 96), brighter]


@pytest.mark.parametrize("change", CHANGES, ids=["same", "encoded", "resized", "brighter"])
def test_one_film_in_another_form_is_found(change):
    images = [scene(seed) for seed in range(12)]
    found = folds.find_duplicates(np.array([*images, change(images[7])]), [f"i{number:02}" for number in range(13)])
    assert found == [("i07", "i12")]


def test_duplicates_are_grouped_across_blocks_and_forms():
    first, second = scene(1), scene(2)
    images = [first, scene(3), second, encoded(first, 60), scene(4), resized(first, 100), brighter(second)]
    expected = [("c", "g"), ("z", "x", "w")]
    names = ["z", "y", "c", "x", "b", "w", "g"]
    for block in (1, 2, 1024):
        found = folds.find_duplicates(iter(images), iter(names), block=block)
        assert [sorted(group) for group in found] == [sorted(group) for group in expected]


def test_different_pictures_are_not_duplicates():
    assert folds.find_duplicates([scene(seed) for seed in range(100)], range(100)) == []


def test_constant_images_are_like_no_other():
    images = [np.zeros((32, 32), np.uint8), np.zeros((32, 32), np.uint8), np.full((32, 32), 200, np.uint8), scene(0, 32)]
    assert folds.find_duplicates(images, "abcd") == []
    assert folds.find_duplicates([], []) == []
    assert folds.find_duplicates(images[:1], "a") == []


def films(real_data, count=None):
    """Real films as squares of 256, their ids and their patients."""
    labels = pd.read_csv(real_data / "cxr" / "labels.csv")[:count]
    read = (cv2.imread(str(real_data / "cxr" / file), cv2.IMREAD_GRAYSCALE) for file in labels["file"])
    return [cv2.resize(image, (256, 256), interpolation=cv2.INTER_AREA) for image in read], labels


@pytest.mark.real
def test_real_films_of_one_patient_are_alike_but_no_duplicates(real_data):
    images, labels = films(real_data)
    assert len(images) == 560
    # Of 560 films one was published twice, under two numbers with the same pixels.
    assert folds.find_duplicates(images, labels.image_id) == [("3fc6a8eac2d7", "fc2e95fb053a")]


@pytest.mark.real
def test_hashes_of_real_films_are_far_apart(real_data):
    hashes = np.array([folds.perceptual_hash(image) for image in films(real_data)[0]])
    assert hashes.shape == (560, 256)
    signs = np.where(hashes, 1, -1)
    distances = np.sort((256 - signs @ signs.T)[np.triu_indices(560, 1)] // 2)
    assert distances[0] == 0  # the film that is there twice
    assert distances[1] > 1.5 * folds.HASH_DISTANCE


@pytest.mark.real
@pytest.mark.parametrize("change", CHANGES[1:], ids=["encoded", "resized", "brighter"])
def test_real_films_in_another_form_are_found(real_data, change):
    images, labels = films(real_data, 100)
    found = folds.find_duplicates([*images, *map(change, images)], [*labels.image_id, *("again " + name for name in labels.image_id)])
    assert {frozenset(group) for group in found} == {frozenset((name, "again " + name)) for name in labels.image_id}


@pytest.fixture(scope="module")
def real_images(real_data):
    folder = real_data / "competition-tables"
    return tables.read_training(folder, patients=folder / "train_patients.csv").images


@pytest.mark.real
@pytest.mark.parametrize("group", ["patient", "study", "image"])
def test_real_folds_are_stratified(real_images, group):
    made = folds.make_folds(real_images, 5, group)
    shares = pd.crosstab(made.fold, real_images.label, normalize="columns")
    assert shares.shape == (5, 4)
    assert shares.sub(0.2).abs().max(axis=None) < 0.01
    found = folds.leakage(real_images, made)
    assert found.ok == (group == "patient")


@pytest.mark.real
def test_leakage_of_the_real_folds(real_images, real_data):
    first_place = folds.read_folds(real_data / "competition-tables" / "folds_dungnb1333.csv", real_images)
    found = folds.leakage(real_images, first_place)
    assert (found.images, found.studies, found.patients) == (6334, 6054, 3261)
    assert (found.shared_patients, found.split_studies, found.studies_sharing_patient) == (0, 0, 0)
    by_study = folds.leakage(real_images, folds.make_folds(real_images, 5, "study"))
    assert by_study.split_studies == 0
    assert by_study.studies_sharing_patient / by_study.studies == pytest.approx(0.61, abs=0.02)
    assert 0 < by_study.shared_patients <= 1200


@pytest.mark.real
def test_duplicates_of_the_real_tables_are_kept_together(real_images, real_data):
    groups = pd.read_csv(real_data / "competition-tables" / "duplicate_groups.csv", dtype=str).groupby("group")["image_id"].agg(tuple)
    alone = folds.leakage(real_images, folds.make_folds(real_images, 5), list(groups))
    joined = folds.leakage(real_images, folds.make_folds(real_images, 5, duplicates=list(groups)), list(groups))
    assert joined.ok
    assert alone.duplicate_groups == joined.duplicate_groups == len(groups)
