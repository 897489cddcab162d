import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from siim_kernel.competition import folds, schemes, splits, tables
from siim_kernel.competition.split_report import PARTS, folds_of, split_lines, split_report
from siim_kernel.errors import RecipeError, TableError
from siim_kernel.labels import SCHEMES, STUDY_CLASSES

EXTERNAL = (("COVID", 3616, "covid_19"), ("Lung_Opacity", 6012, "LO"), ("Normal", 10192, "NORMAL"), ("Viral Pneumonia", 1345, "VIRALNEU"))


def table(rows, **more):
    """A training table of (image, study, patient, label)."""
    return pd.DataFrame(rows, columns=["image", "study", "patient", "label"]).assign(**more)


def single(count, label="typical"):
    """Films of one study and patient each, named a00, a01, ..."""
    return table([(f"a{number:02}", f"s{number}", f"p{number}", label) for number in range(count)])


def external(counts=EXTERNAL, suffix=".png"):
    """Films as the Radiography Database names them, without study and patient."""
    films = [(f"{name}-{number}{suffix}", label) for name, count, label in counts for number in range(1, count + 1)]
    return pd.DataFrame(films, columns=["image", "label"]).assign(source="radiography")


def union(*parts):
    return pd.concat(parts, ignore_index=True)


def named(images, fold, number):
    """The films of one fold."""
    return sorted(images.image[np.asarray(fold) == number])


# The thesis's ways


def test_the_thesis_order_keeps_a_study_at_its_first_film():
    images = table([(image, study, "", "typical") for image, study in zip("abcdef", ("s2", "s1", "s3", "s2", "s1", "s2"), strict=True)])
    assert "".join(images.image[splits.thesis_order(images)]) == "adfbec"


def test_the_thesis_order_is_of_ids_and_not_of_rows():
    images = table([(image, study, "", "typical") for image, study in zip("fcabed", ("s2", "s3", "s2", "s1", "s1", "s2"), strict=True)])
    assert "".join(images.image[splits.thesis_order(images)]) == "adfbec"


def test_films_without_a_study_stand_alone_in_the_thesis_order():
    images = table([("a", "", "", "typical"), ("b", "s", "", "typical"), ("c", np.nan, "", "typical"), ("d", "s", "", "typical")])
    assert "".join(images.image[splits.thesis_order(images)]) == "abdc"


@pytest.mark.parametrize(("count", "validation"), [(5, 1), (9, 1), (10, 2), (14, 2), (15, 3)])
def test_folder_models_validate_on_the_first_fifth_rounded_down(count, validation):
    images = single(count)
    fold = splits.make_split(images, "thesis_folder")
    assert fold.dtype == np.int64
    assert fold.tolist() == [0] * validation + [1] * (count - validation)


def test_folder_models_follow_the_thesis_order():
    images = single(10)
    images.loc[9, "study"] = images.loc[0, "study"]
    assert named(images, splits.thesis_folder(images), 0) == ["a00", "a09"]


def test_array_models_draw_with_seed_42():
    # NumPy's RandomState(42).permutation(10) begins 8, 1, 5; the first two are scikit-learn's test part.
    assert named(single(10), splits.make_split(single(10), "thesis_array"), 0) == ["a01", "a08"]
    shuffled = single(10).sample(frac=1, random_state=0)
    assert named(shuffled, splits.thesis_array(shuffled), 0) == ["a01", "a08"]


@pytest.mark.parametrize(("count", "validation"), [(5, 1), (6, 2), (9, 2), (10, 2), (14, 3), (15, 3)])
def test_array_models_round_up(count, validation):
    assert (splits.thesis_array(single(count)) == 0).sum() == validation


@pytest.mark.parametrize(("count", "test"), [(2, 1), (5, 1), (9, 2), (10, 2), (14, 3), (15, 3)])
def test_the_continued_model_validates_on_the_last_fifth_by_id(count, test):
    images = single(count)
    images.loc[count - 1, "study"] = images.loc[0, "study"]  # by id, not in the thesis's order
    fold = splits.make_split(images[::-1], "thesis_continued")
    assert fold.tolist() == [0] * test + [1] * (count - test)


@pytest.mark.parametrize("rest", splits.RESTS)
def test_the_final_test_is_the_last_fifth_by_id_and_the_rest_goes_its_way(rest):
    images = single(14)
    fold = splits.thesis_final_test(images, n_folds=2, rest=rest)
    assert named(images, fold, -1) == ["a11", "a12", "a13"]
    assert fold[:11].tolist() == splits.make_split(images[:11], rest, n_folds=2).tolist()


def test_the_union_of_the_thesis_sorts_file_names_without_regard_to_case():
    images = union(single(5), external([("COVID", 4, "covid_19"), ("aZ", 2, "LO")], suffix=""))
    # a04 is the final test; then a00 a01 a02 a03 aZ-1 aZ-2 COVID-1 ..., two of ten.
    fold = splits.make_split(images, "thesis_union")
    assert named(images, fold, -1) == ["a04"]
    assert named(images, fold, 0) == ["a00", "a01"]
    assert (fold == 1).sum() == 8
    capitals = images.assign(image=images.image.str.replace("a0", "Ø0").str.replace("aZ", "b"))
    assert named(capitals, splits.thesis_union(capitals), 0) == ["b-1", "b-2"]  # before COVID, which byte order would put first


@pytest.mark.parametrize("suffix", ["", ".png", ".PNG", ".jpg"])
def test_file_names_are_compared_with_their_suffix(suffix):
    images = union(single(2), external([("COVID", 12, "covid_19")], suffix))
    images.loc[len(images)] = {"image": "covid" + suffix, "label": "covid_19", "source": "radiography"}
    images.loc[len(images)] = {"image": "covid-" + suffix, "label": "covid_19", "source": "radiography"}
    images.loc[len(images)] = {"image": "covid-1x" + suffix, "label": "covid_19", "source": "radiography"}
    # a00, covid-.png, covid-1.png, covid-10.png, ..., covid.png: a dot stands after "-" and before digits.
    assert named(images, splits.thesis_union(images), 0) == sorted(["a00", "covid-" + suffix, "COVID-1" + suffix])


@pytest.mark.parametrize(("way", "count"), [("thesis_folder", 4), ("thesis_array", 1), ("thesis_continued", 1), ("thesis_union", 5)])
def test_too_few_films(way, count):
    with pytest.raises(TableError, match="too few|a single film"):
        splits.make_split(single(count), way)


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_films_of_the_competition_for_a_final_test(count):
    with pytest.raises(TableError, match=f"{count} films of the competition are too few to hold 20% of them out"):
        splits.thesis_union(union(single(count), external([("COVID", 20, "covid_19")])))


@pytest.mark.parametrize("way", ["patient", "study", "image", "thesis_folder", "thesis_array", "thesis_final_test", "thesis_continued"])
def test_ways_of_the_competition_refuse_other_sources(way):
    with pytest.raises(TableError, match=f"the split {way} parts films of the competition, the table also has radiography; split by union"):
        splits.make_split(union(single(20), external([("COVID", 2, "covid_19")])), way)


def test_the_films_of_the_matrices_are_the_first_of_the_final_test():
    images = single(30)
    fold = np.where(np.arange(30) % 2, -1, 0)
    assert named(images, splits.matrix_films(images, fold), True) == [f"a{number:02}" for number in range(1, 28, 2)]  # int(14.85) of 15
    assert not splits.matrix_films(images, np.zeros(30)).any()
    assert splits.matrix_films(images[::-1], fold[::-1]).tolist() == splits.matrix_films(images, fold)[::-1].tolist()


@pytest.mark.slow
@pytest.mark.parametrize("count", [5, 9, 10, 1267, 6334])
def test_the_rule_of_keras(count):
    image = pytest.importorskip("keras.src.legacy.preprocessing.image")
    frame = pd.DataFrame({"id": [f"{number:05}" for number in range(count)], "label": "typical"})
    kwargs = {"directory": "nowhere", "x_col": "id", "y_col": "label", "subset": "validation", "validate_filenames": False}
    kept = image.ImageDataGenerator(validation_split=0.2).flow_from_dataframe(frame, **kwargs)
    images = table([(name, name, "", "typical") for name in frame.id])
    assert kept.filenames == named(images, splits.thesis_folder(images), 0)
    almost_all = image.ImageDataGenerator(validation_split=0.99).flow_from_dataframe(frame, **kwargs)
    assert almost_all.filenames == named(images, splits.matrix_films(images, np.full(count, -1)), True)


# The project's ways


@pytest.mark.parametrize("way", ["patient", "study", "image"])
def test_folds_are_those_of_make_folds(way):
    images = table([(f"i{n}", f"s{n}", f"p{n // 3}", STUDY_CLASSES[n % 4]) for n in range(60)])
    expected = folds.make_folds(images, 3, way, seed=7, duplicates=[("i0", "i59")]).fold
    assert splits.make_split(images, way, 3, 7, [("i0", "i59")]).tolist() == expected.tolist()
    assert splits.validating(way, 3) == (0, 1, 2)


def test_patients_must_be_known_for_the_default():
    with pytest.raises(TableError, match="the patient of 2 images is not known"):
        splits.make_split(table([("a", "s", np.nan, "typical"), ("b", "t", "", "typical"), ("c", "u", "p", "typical")]))


def mixture():
    """60 competition films of 20 patients, 40 and 20 external ones of two sources."""
    own = table([(f"i{n:02}", f"s{n // 2}", f"p{n // 3}", STUDY_CLASSES[n // 3 % 2]) for n in range(60)])
    others = external([("COVID", 20, "covid_19"), ("Normal", 20, "NORMAL")])
    hospital = table([(f"h{n}", "", f"p{n // 2}", "typical") for n in range(20)], source="hospital")
    return union(own, others, hospital)


def test_the_union_holds_out_and_mixes():
    images = mixture()
    fold = splits.make_split(images, "union", 4)
    test = images[fold == -1]
    assert set(test.source.fillna("competition")) == {"competition"}
    assert len(test) == pytest.approx(12, abs=6)
    counts = pd.crosstab(images.source.fillna("competition")[fold >= 0], fold[fold >= 0])
    assert counts.shape == (3, 4)
    assert counts.loc["radiography"].tolist() == [10] * 4
    assert (counts > 0).all(axis=None)
    for number in splits.validating("union", 4):
        report = split_report(images, fold, number)
        assert report.shared[["patients", "studies"]].to_numpy().sum() == 0
        assert report.flaws == ()
    assert fold.tolist() == splits.union(images, 4).tolist()
    assert fold.tolist() != splits.union(images, 4, seed=1).tolist()


def test_each_part_of_the_union_has_its_share_of_each_class_of_each_source():
    own = single(50).assign(label=["typical"] * 30 + ["negative"] * 20)
    hospital = single(40).assign(label=["typical"] * 20 + ["negative"] * 20, source="hospital")
    hospital["image"] = "h" + hospital.image
    images = union(own.assign(source="competition"), hospital)
    counts = pd.crosstab([images.source, images.label], splits.union(images, 2))
    assert counts.T.to_dict("list") == {
        ("competition", "negative"): [4, 8, 8],
        ("competition", "typical"): [6, 12, 12],
        ("hospital", "negative"): [0, 10, 10],
        ("hospital", "typical"): [0, 10, 10],
    }


def test_a_union_of_classes_rarer_than_folds():
    images = single(16).assign(label=[STUDY_CLASSES[n % 4] for n in range(16)])
    assert sorted(np.unique(splits.union(images, 6), return_counts=True)[1]) == [2, 2, 2, 2, 2, 2, 4]


def test_the_final_test_of_the_union_is_one_whatever_else_changes():
    images = mixture()
    test = named(images, splits.union(images, 4), -1)
    assert named(images, splits.union(images, 2, seed=5), -1) == test
    shuffled = images.sample(frac=1, random_state=0)
    assert pd.Series(splits.union(shuffled, 4), shuffled.image).to_dict() == dict(zip(images.image, splits.union(images, 4), strict=True))
    assert named(images[:60], splits.union(images[:60], 4), -1) == test


def test_patients_of_two_sources_with_one_id_are_two_people():
    images = union(single(10), table([(f"h{n}", "", f"p{n}", "typical") for n in range(10)], source="hospital"))
    assert (splits.union(images, 2) == -1).any()  # were they one, no film of the competition would be free for a final test


def test_duplicates_between_sources_stay_out_of_the_final_test_and_together():
    images = mixture()
    pairs = [(f"i{3 * n:02}", f"COVID-{n + 1}.png") for n in range(10)]  # of the patients p0 .. p9
    fold = pd.Series(splits.union(images, 4, duplicates=[*pairs, ("Normal-1.png", "gone")]), index=images.image)
    assert all(fold[one] == fold[other] >= 0 for one, other in pairs)
    apart = pd.Series(splits.union(images, 4), index=images.image)
    assert any(apart[one] != apart[other] for one, other in pairs)


def test_a_union_without_patients_goes_by_study():
    images = table([(f"i{n:02}", f"s{n // 4}", "", "typical") for n in range(60)])
    fold = splits.union(images, 3)
    assert pd.Series(fold).groupby(images.study).nunique().eq(1).all()
    lines = split_report(images, fold).lines()
    assert any(line.startswith("ungrouped, their patients are not known: ") for line in lines)


def test_a_source_that_cannot_stand_in_each_fold():
    images = union(single(30), external([("COVID", 2, "covid_19")]))
    assert sorted(splits.union(images, 2)[30:]) == [0, 1]
    with pytest.raises(TableError, match="source radiography has too few films .* each of 3 folds: fold . has none of its 2"):
        splits.union(images, 3)


def test_a_union_that_leaves_nothing_to_hold_out():
    with pytest.raises(TableError, match="at least 5 patients .* the 4 films have 0"):
        splits.union(union(single(0), external([("COVID", 4, "covid_19")])))
    with pytest.raises(TableError, match="at least 5 patients .* the 4 films have 4"):
        splits.union(single(4))
    with pytest.raises(TableError, match="5 folds cannot be made of the 4 groups that the final test leaves; ask for 2..4"):
        splits.union(single(5))


def test_unknown_ways():
    for ask in (splits.make_split, lambda images, way: splits.validating(way)):
        with pytest.raises(
            RecipeError, match="no split is called 'thesis'; there are patient, study, image, union, thesis_final_test, thesis_folder"
        ):
            ask(single(5), "thesis")
    with pytest.raises(RecipeError, match="beside a final test films are parted by patient, image, .* got 'union'"):
        splits.thesis_final_test(single(20), rest="union")


def test_only_fold_0_of_the_thesis_validates():
    assert {way: splits.validating(way, 3) for way in splits.HELD_OUT} == dict.fromkeys(splits.HELD_OUT, (0,))


@pytest.mark.parametrize("way", splits.WAYS)
@pytest.mark.parametrize(
    ("images", "reason"),
    [
        (single(0), "holds no films"),
        (single(9).drop(columns=["study", "label"]), "the table lacks study, label"),
        (union(single(20), single(1)), "1 repeat one or have none, the first is 'a00'"),
        (union(single(20), single(1).assign(image=None)), "the first is ''"),
    ],
)
def test_tables_that_cannot_be_parted(way, images, reason):
    with pytest.raises(TableError, match=reason):
        splits.make_split(images, way)


def test_ids_may_be_numbers():
    images = single(20).assign(image=range(20), patient=np.arange(20) // 2.0)
    assert (splits.make_split(images, "patient", 2) >= 0).all()


films = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 2), st.sampled_from(STUDY_CLASSES)), min_size=20, max_size=60)


@settings(max_examples=40, deadline=None)
@given(films, st.sampled_from(splits.WAYS), st.integers(2, 4), st.integers(0, 20), st.randoms(use_true_random=False))
def test_each_film_stands_in_one_place(drawn, way, n_folds, others, random):
    own = table([(f"i{n:02}", f"p{who}s{study}", f"p{who}", label) for n, (who, study, label) in enumerate(drawn)])
    images = union(own, external([("COVID", others, "covid_19")])) if "union" in way else own
    images = images.sample(frac=1, random_state=random.randrange(1000))
    try:
        fold = splits.make_split(images, way, n_folds)
    except TableError:
        assume(False)
    assert fold.shape == (len(images),)
    validating = splits.validating(way, n_folds)
    assert set(fold) <= {-1, *range(n_folds if way in splits.FOLDED else 2)}
    for number in validating:
        report = split_report(images, fold, number)
        assert report.films == {
            "training": ((fold >= 0) & (fold != number)).sum(),
            "validation": (fold == number).sum(),
            "final test": (fold == -1).sum(),
        }
        assert report.films["training"]
        assert report.films["validation"]
        assert sum(report.films.values()) == report.classes.to_numpy().sum() == len(images)
        if way in ("patient", "union"):
            assert not report.shared[["patients", "studies", "patient_films", "study_films"]].to_numpy().any()


# The report


def small():
    """Nine films: fold 1 is trained on, 0 validates, -1 is the final test."""
    images = table(
        [
            ("a", "s1", "p1", "typical"),
            ("b", "s1", "p1", "typical"),
            ("c", "s2", "p1", "negative"),
            ("d", "s3", "p2", "typical"),
            ("e", "s4", "p2", "typical"),
            ("f", "s5", "p3", "typical"),
            ("g", "s2", "p1", "negative"),
            ("h", "s6", "", "typical"),
            ("i", "", "p3", "LO"),
        ]
    )
    images["source"] = ["competition"] * 8 + ["other"]
    return images, np.array([1, 0, 0, 1, -1, -1, 0, 1, 0])


def test_the_report_counts_what_stands_on_both_sides():
    images, fold = small()
    report = split_report(
        images,
        fold,
        duplicates=[("a", "i", "g", "gone"), ("d", "f"), ("g", "c")],
        label_schemes=[SCHEMES["label_opacity"], SCHEMES["study_label"]],
    )
    assert report.films == {"training": 3, "validation": 4, "final test": 2}
    assert report.sources.T.to_dict() == {
        "competition": dict(zip(PARTS, (3, 3, 2), strict=True)),
        "other": dict(zip(PARTS, (0, 1, 0), strict=True)),
    }
    assert report.classes.index.tolist() == ["negative", "typical", "LO"]
    assert report.classes.to_numpy().tolist() == [[0, 2, 0], [3, 1, 2], [0, 1, 0]]
    assert report.labels["label_opacity"].index.tolist() == ["None", "Yes", "no target"]
    assert report.labels["label_opacity"].to_numpy().tolist() == [[0, 2, 0], [3, 1, 2], [0, 1, 0]]
    assert report.labels["study_label"].T.to_dict("list") == {
        "negative": [0, 2, 0], "typical": [3, 1, 2], "indeterminate": [0, 0, 0], "atypical": [0, 0, 0], "no target": [0, 1, 0],
    }  # fmt: skip
    assert report.ungrouped.to_numpy().tolist() == [[1, 0, 0]]
    # b, c and g share p1 with a, b also its study; i's p3 is another source's; e shares p2 with d. Duplicates: i and g of a, f of d.
    columns = ["patient_films", "patients", "study_films", "studies", "duplicate_films", "duplicates"]
    assert report.shared[columns].T.to_dict("list") == {
        "validation / training": [3, 1, 1, 1, 2, 1],
        "final test / training": [1, 1, 0, 0, 1, 1],
        "final test / training or validation": [1, 1, 0, 0, 1, 1],
    }
    assert report.flaws == (
        "no film of source other is in training",
        "no film of classes negative, LO is in training",
        "3 of 4 validation films share a patient with training",
        "1 of 4 validation films share a study with training",
        "2 of 4 validation films share a duplicate with training",
        "1 of 2 final test films share a patient with training",
        "1 of 2 final test films share a duplicate with training",
        "1 of 2 final test films share a patient with training or validation",
        "1 of 2 final test films share a duplicate with training or validation",
    )


def test_the_report_in_print():
    images, fold = small()
    assert split_report(images, fold, label_schemes=[SCHEMES["label_opacity"]]).lines() == [
        "3 training, 4 validation, 2 final test",
        "source       training  validation  final test",
        "competition         3           3           2",
        "other               0           1           0",
        "class     training  validation  final test",
        "negative         0           2           0",
        "typical          3           1           2",
        "LO               0           1           0",
        "label_opacity  training  validation  final test",
        "None                  0           2           0",
        "Yes                   3           1           2",
        "no target             0           1           0",
        "ungrouped, their patients are not known: 1 training",
        "duplicates were not compared",
        "! no film of source other is in training",
        "! no film of classes negative, LO is in training",
        "! 3 of 4 validation films share a patient with training",
        "! 1 of 4 validation films share a study with training",
        "! 1 of 2 final test films share a patient with training",
        "! 1 of 2 final test films share a patient with training or validation",
    ]


def test_the_report_of_a_fold_that_nobody_validates():
    report = split_report(single(4), np.zeros(4, int), validation=3, duplicates=())
    assert report.flaws == ("no film is in validation",)
    assert report.lines()[-2:] == ["no film is kept for a final test", "! no film is in validation"]
    assert split_report(single(4), [-1] * 4).flaws == ("no film is in training", "no film is in validation")


def test_a_split_of_other_films_is_refused():
    with pytest.raises(TableError, match=r"4 films, got folds of shape \(3,\)"):
        split_report(single(4), [0, 1, 1])
    for wrong in (["0", "1", "1", "0"], [0.0, 1.0, 1.0, 0.0], [0, 1, 1, None]):
        with pytest.raises(TableError, match="folds are whole numbers, -1 for the final test, got"):
            split_report(single(4), wrong)
    with pytest.raises(TableError, match="fold -1 is the final test: it does not validate"):
        split_report(single(4), [0, 1, 1, -1], -1)


@pytest.mark.parametrize("numbers", [(0, 1), (1, 2), (3, 999999)])
def test_folds_of_any_numbers(numbers):
    first, second = numbers
    fold = np.array([first, second, second, -1, second, first])
    assert folds_of(fold) == [*numbers]
    report = split_report(single(6), fold)  # without a wish the first fold there is
    assert report.films == {"training": 3, "validation": 2, "final test": 1}
    assert report.flaws == ()
    assert split_report(single(6), fold, second).films == {"training": 2, "validation": 3, "final test": 1}
    lines = split_lines(single(6), fold)
    counted = [line for line in lines if line.endswith((" validates:", " final test")) and line[0] in "f0123456789"]
    assert counted == [
        f"fold {first} validates:",
        "3 training, 2 validation, 1 final test",
        f"fold {second} validates:",
        "2 training, 3 validation, 1 final test",
    ]
    assert lines == split_lines(single(6), fold, (first,)) + split_lines(single(6), fold, (second,))
    assert not any("no film is in validation" in line for line in lines)
    assert split_lines(single(6), np.full(6, -1)) == []


def test_the_lines_of_a_way_of_the_thesis_are_of_the_fold_that_validates():
    images = single(10)
    fold = splits.thesis_folder(images)
    lines = split_lines(images, fold, splits.validating("thesis_folder"), duplicates=(), label_schemes=[SCHEMES["label_opacity"]])
    assert lines[:2] == ["fold 0 validates:", "8 training, 2 validation, 0 final test"]
    assert "label_opacity  training  validation  final test" in lines
    assert "duplicates were not compared" not in lines
    assert sum(line.endswith("validates:") for line in lines) == 1


# The real tables


@pytest.fixture(scope="module")
def real_images(real_data):
    folder = real_data / "competition-tables"
    return tables.read_training(folder, patients=folder / "train_patients.csv").images


@pytest.fixture(scope="module")
def real_union(real_images):
    return union(real_images, external())


BY_NAME = ("atypical", "indeterminate", "negative", "typical")


@pytest.mark.real
@pytest.mark.parametrize(
    ("way", "films", "classes", "sharing_patient", "sharing_study"),
    [
        ("thesis_folder", (5068, 1266), (89, 239, 356, 582), 771, 0),
        ("thesis_array", (5067, 1267), (96, 232, 332, 607), 817, 91),
        ("thesis_continued", (5067, 1267), (97, 242, 342, 586), 813, 91),
    ],
)
def test_the_splits_that_the_thesis_prints(real_images, way, films, classes, sharing_patient, sharing_study):
    report = split_report(real_images, splits.make_split(real_images, way))
    assert tuple(report.films.values()) == (*films, 0)
    assert tuple(report.classes.validation[list(BY_NAME)]) == classes
    shared = report.shared.loc["validation / training"]
    assert (shared.patient_films, shared.study_films) == (sharing_patient, sharing_study)


@pytest.mark.real
@pytest.mark.parametrize("rest", ["patient", "thesis_folder"])
def test_the_final_test_that_the_thesis_prints(real_images, rest):
    report = split_report(real_images, splits.thesis_final_test(real_images, rest=rest))
    assert tuple(report.classes["final test"][list(BY_NAME)]) == (97, 242, 342, 586)
    assert report.shared.patient_films["final test / training or validation"] == 813
    assert (report.shared.patient_films["validation / training"] == 0) == (rest == "patient")


@pytest.mark.real
def test_the_union_that_trained_on_no_film_of_the_competition(real_union):
    fold = splits.make_split(real_union, "thesis_union")
    opacity, covid = SCHEMES["2L_opacity_no_opacity"], SCHEMES["2L_covid_no_covid"]
    report = split_report(real_union, fold, label_schemes=[opacity, covid, SCHEMES["union_study_label"]])
    assert report.films == {"training": 20986, "validation": 5246, "final test": 1267}
    assert report.sources.loc["competition"].tolist() == [0, 5067, 1267]
    assert report.sources.loc["radiography"].tolist() == [20986, 179, 0]
    assert report.classes.validation.to_dict() == {
        "negative": 1394, "typical": 2421, "indeterminate": 866, "atypical": 386, "covid_19": 179, "LO": 0, "NORMAL": 0, "VIRALNEU": 0,
    }  # fmt: skip
    lines = report.lines()
    assert lines[0] == "20,986 training, 5,246 validation, 1,267 final test"
    assert "! no film of source competition is in training" in lines
    assert "! no film of classes negative, typical, indeterminate, atypical is in training" in lines
    assert "! no film of classes LO, NORMAL, VIRALNEU is in validation" in lines
    assert "! 813 of 1,267 final test films share a patient with training or validation" in lines
    assert "ungrouped, their patients are not known: 20,986 training, 179 validation" in lines
    assert report.labels[opacity.name].validation.tolist() == [1394, 3852]
    assert report.labels[opacity.name]["final test"].tolist() == [342, 925]
    remaining = real_union[fold != splits.FINAL_TEST]
    assert schemes.counts(real_union, SCHEMES["union_study_label"]).films.sum() == 27499
    assert schemes.counts(remaining, SCHEMES["union_study_label"]).films.tolist() == [1394, 2421, 866, 386, 3616, 6012, 10192, 1345]
    assert schemes.counts(remaining, opacity).films.tolist() == [11586, 14646]
    assert schemes.counts(remaining, covid).films.tolist() == [20195, 6037]


@pytest.mark.real
def test_the_films_of_the_printed_matrices(real_images):
    images = real_images.sample(frac=1, random_state=0)
    fold = splits.thesis_final_test(images, rest="thesis_folder")
    chosen = splits.matrix_films(images, fold)
    assert chosen.sum() == 1254
    assert schemes.counts(images[chosen], SCHEMES["2L_opacity_no_opacity"]).films.tolist() == [336, 918]
    left_out = images[(fold == -1) & ~chosen]
    assert left_out.label.value_counts().to_dict() == {"typical": 7, "negative": 6}


@pytest.mark.real
@pytest.mark.parametrize("seed", range(3))
def test_a_random_split_by_image_leaks_and_one_by_patient_does_not(real_images, seed):
    fold = splits.make_split(real_images, "image", seed=seed)
    for number in range(5):
        report = split_report(real_images, fold, number)
        share = report.shared.patient_films["validation / training"] / report.films["validation"]
        assert 0.61 <= round(share, 2) <= 0.67
    clean = split_report(real_images, splits.make_split(real_images, "patient", seed=seed))
    assert not clean.shared.to_numpy().any()
    assert clean.flaws == ()


@pytest.mark.real
@pytest.mark.slow
def test_the_right_union(real_union):
    fold = splits.make_split(real_union, "union")
    report = split_report(real_union, fold)
    assert report.flaws == ()
    assert report.sources.loc["radiography"].tolist() == [16932, 4233, 0]
    shares = report.classes.div(report.classes.sum(axis=1), axis=0)
    own = shares.loc[list(STUDY_CLASSES)]
    assert own["final test"].sub(0.2).abs().max() < 0.01
    assert shares.validation.sub(shares.training / 4).abs().max() < 0.01
