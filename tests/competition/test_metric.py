"""The metric: cases worked by hand, an independent implementation, and the real training tables."""

import csv

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siim_kernel.competition import metric
from siim_kernel.errors import SubmissionError
from siim_kernel.labels import METRIC_CLASSES, STUDY_CLASSES, STUDY_COLUMNS

UNIT = "0 0 1 1"


def frame(rows, **columns):
    return pd.DataFrame({"id": list(rows), "PredictionString": list(rows.values()), **columns})


def ap(name, predicted, true, **columns):
    return metric.score(frame(predicted), frame(true, **columns)).AP[name]


# --- worked by hand


@pytest.mark.parametrize(
    ("hits", "truths", "expected"),
    [
        ([], 3, 0.0),
        ([True], 1, 1.0),
        ([False, True], 1, 1 / 2),
        ([True, False, True], 2, (1 + 2 / 3) / 2),
        ([False, True, True], 2, 2 / 3),  # the envelope lifts 1/2 to 2/3
        ([True, False, False, True, False], 4, (1 + 1 / 2) / 4),
        ([False, False], 1, 0.0),
        ([], 0, None),
        ([False], 0, None),
    ],
)
def test_average_precision(hits, truths, expected):
    value = metric.average_precision(hits, truths)
    assert value is None if expected is None else value == pytest.approx(expected, abs=1e-15)


def test_score_of_a_small_set_worked_by_hand():
    true = {
        "a_study": f"negative 1 {UNIT}",
        "b_study": f"typical 1 {UNIT}",
        "c_study": f"typical 1 {UNIT}",
        "a_image": f"none 1 {UNIT}",
        "b_image": "opacity 1 0 0 10 10 opacity 1 20 20 30 30",
    }
    predicted = {
        "b_study": f"typical 0.9 {UNIT} negative 0.8 {UNIT}",
        "a_study": f"typical 0.7 {UNIT} negative 0.3 {UNIT}",
        "c_study": f"typical 0.2 {UNIT} negative 0.1 {UNIT} atypical 1 {UNIT}",
        "a_image": f"none 0.4 {UNIT} opacity 0.95 0 0 10 10",
        "b_image": f"none 0.6 {UNIT} opacity 0.9 0 0 10 9 opacity 0.5 0 0 10 10 opacity 0.2 20 20 30 31",
    }
    result = metric.score(frame(predicted), frame(true))
    expected = {
        "negative": 1 / 2,  # ranked b, a, c; the truth is a
        "typical": (1 + 2 / 3) / 2,  # b hit, a miss, c hit
        "indeterminate": None,
        "atypical": None,
        "none": 1 / 2,
        "opacity": (1 / 2 + 1 / 2) / 2,  # miss, hit, second on the same box: miss, hit
    }
    assert list(result.AP) == list(METRIC_CLASSES)
    precisions = result.AP
    assert precisions == pytest.approx(expected, abs=1e-15)
    assert result.mAP == pytest.approx((1 / 2 + 5 / 6 + 1 / 2 + 1 / 2) / 4, abs=1e-15)


@pytest.mark.parametrize(("place", "expected"), [(8, 1 / 8), (3, 1 / 3), (1, 1.0)])
def test_ties_rank_in_the_submissions_row_order(place, expected):
    ids = [f"{number}_image" for number in range(1, 9)]
    true = {row_id: f"none 1 {UNIT}" if row_id == f"{place}_image" else "opacity 1 0 0 5 5" for row_id in ids}
    predicted = dict.fromkeys(ids, f"none 0.5 {UNIT}")
    assert ap("none", predicted, true) == pytest.approx(expected, abs=1e-15)
    assert ap("none", predicted, dict(reversed(true.items()))) == pytest.approx(expected, abs=1e-15)  # the solution's order is nothing
    assert ap("none", dict(reversed(predicted.items())), true) == pytest.approx(1 / (9 - place), abs=1e-15)


def test_ties_in_a_row_rank_by_position():
    true = {"a_image": "opacity 1 0 0 10 10"}
    assert ap("opacity", {"a_image": "opacity 1 0 0 10 10 opacity 1 50 50 60 60"}, true) == 1.0
    assert ap("opacity", {"a_image": "opacity 1 50 50 60 60 opacity 1 0 0 10 10"}, true) == 1 / 2


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ("0 0 10 10", 1.0),
        ("0 0 10 5.001", 1.0),
        ("0 0 10 5", 0.0),  # exactly 0.5 is not over 0.5
        ("0 0 10 20", 0.0),
        ("0 0 10 19.99", 1.0),
        ("0 0 10 4.8", 0.0),  # 0.48 is 0.53 where a pixel is added to the sides
        ("10 0 20 10", 0.0),
        ("50 50 60 60", 0.0),
    ],
)
def test_overlap(box, expected):
    assert ap("opacity", {"a_image": f"opacity 1 {box}"}, {"a_image": "opacity 1 0 0 10 10"}) == expected


def test_a_taken_best_box_is_a_false_positive_though_another_would_do():
    # Both detections overlap the first truth most; the second one also overlaps the second truth by more than a half.
    true = {"a_image": "opacity 1 0 0 10 10 opacity 1 3 0 13 10"}
    predicted = {"a_image": "opacity 0.9 0 0 10 10 opacity 0.8 1 0 11 10"}
    assert ap("opacity", predicted, true) == pytest.approx(1 / 2, abs=1e-15)


def test_a_detection_takes_one_box_where_two_overlap_it_alike():
    true = {"a_image": "opacity 1 0 0 10 10 opacity 1 4 0 14 10"}
    assert ap("opacity", {"a_image": "opacity 0.9 2 0 12 10 opacity 0.8 4 0 14 10"}, true) == 1.0
    assert ap("opacity", {"a_image": "opacity 0.9 2 0 12 10 opacity 0.8 0 0 10 10"}, true) == 1 / 2  # the first of the two was taken


def test_a_miss_does_not_take_the_box():
    true = {"a_image": "opacity 1 0 0 10 10"}
    assert ap("opacity", {"a_image": "opacity 0.9 0 0 10 3 opacity 0.8 0 0 10 10"}, true) == 1 / 2


def test_detections_match_in_their_own_row_only():
    true = {"a_image": "opacity 1 0 0 10 10", "b_image": f"none 1 {UNIT}"}
    assert ap("opacity", {"a_image": f"none 1 {UNIT}", "b_image": "opacity 1 0 0 10 10"}, true) == 0.0


def test_ignored_rows_are_not_scored():
    true = {"a_image": f"none 1 {UNIT}", "b_image": "", "c_image": "opacity 1 0 0 5 5"}
    predicted = {"b_image": f"none 1 {UNIT} opacity 1 0 0 5 5", "a_image": f"none 0.5 {UNIT}", "c_image": "opacity 0.5 0 0 5 5"}
    result = metric.score(frame(predicted), frame(true, Usage=["Private", "Ignored", "Public"]))
    assert (result.AP["none"], result.AP["opacity"], result.mAP) == (1.0, 1.0, 1.0)


def test_no_truth_at_all_is_no_score():
    true = frame({"a_image": f"none 1 {UNIT}"}, Usage=["Ignored"])
    predicted = frame({"a_image": f"none 1 {UNIT}"})
    assert metric.score(predicted, true) == metric.Score(AP=dict.fromkeys(METRIC_CLASSES), mAP=None)
    assert metric.chance(predicted, true) == (None, None)


@pytest.mark.filterwarnings("error")
def test_absurd_coordinates_are_misses():
    true = {"a_image": "opacity 1 0 0 10 10"}
    for box in ("0 0 1e300 1e300", "0 0 1e-300 1e-300", "-1e308 -1e308 1e308 1e308"):
        assert ap("opacity", {"a_image": f"opacity 0.9 {box} opacity 0.8 0 0 10 10"}, true) == 1 / 2


@pytest.mark.parametrize(
    ("predicted", "reason"),
    [
        (frame({"a_image": f"none 1 {UNIT}"}), "1 ids are not in the submission, the first is b_image"),
        (frame(dict.fromkeys(["a_image", "b_image", "c_image"], f"none 1 {UNIT}")), "1 ids are not in the solution, the first is c_image"),
        (pd.concat([frame({"a_image": f"none 1 {UNIT}", "b_image": f"none 1 {UNIT}"})] * 2), "2 duplicate ids, the first is a_image"),
        (frame({"a_image": f"none 1 {UNIT}", "b_image": "none x 0 0 1 1"}), "row 'b_image': group 1: 'x' is not a number"),
        (frame({"a_image": f"none 1 {UNIT}", "b_image": None}), "row 'b_image': the prediction string is not text"),
        (pd.DataFrame({"id": ["a_image", "b_image"]}), "the submission has no column PredictionString"),
    ],
)
def test_score_refuses(predicted, reason):
    with pytest.raises(SubmissionError, match=reason):
        metric.score(predicted, frame({"a_image": f"none 1 {UNIT}", "b_image": "opacity 1 0 0 5 5"}))


def test_score_files_refuses_what_check_refuses(tmp_path):
    solution, submission = tmp_path / "solution.csv", tmp_path / "submission.csv"
    solution.write_text(f"id,PredictionString,Usage\na_image,none 1 {UNIT},Public\nb_image,none 1 {UNIT},Ignored\n")
    submission.write_text(f"id,PredictionString\nb_image,none 0.5 {UNIT}\na_image,none 1 {UNIT}\n")
    assert metric.score_files(submission, solution).mAP == 1.0
    submission.write_text("id,PredictionString\n" + f"a_image,negative 1 {UNIT}\n" * 13)
    with pytest.raises(SubmissionError) as error:
        metric.score_files(submission, solution)
    first, *lines = str(error.value).splitlines()
    assert first == f"{submission} has 27 faults and is not scored"
    assert lines[0] == "  line 2, 'a_image': study class negative in an image row"
    assert lines[10:] == ["  and 17 more"]


# --- an independent implementation, as the VOC development kit is written: loops, recall and precision curves


def overlap(first, second):
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (first, second)]
    return width * height / (sum(areas) - width * height)


def naive_ap(name, predicted, true):
    """`predicted` and `true`: lists of (row, class, confidence, box)."""
    truths = [(row, box, [False]) for row, its_name, _, box in true if its_name == name]
    if not truths:
        return None
    recalls, precisions = [0.0], [0.0]
    found = wrong = 0
    for row, _, _, box in sorted((item for item in predicted if item[1] == name), key=lambda item: item[2], reverse=True):
        best, owner = 0.0, None
        for truth_row, truth, taken in truths:
            if truth_row == row and overlap(box, truth) > best:
                best, owner = overlap(box, truth), taken
        if best > 0.5 and not owner[0]:
            owner[0] = True
            found += 1
        else:
            wrong += 1
        recalls.append(found / len(truths))
        precisions.append(found / (found + wrong))
    area = 0.0
    for step in range(1, len(recalls)):
        area += (recalls[step] - recalls[step - 1]) * max(precisions[step:])
    return area


def random_case(seed, levels):
    """Rows of (id, class, confidence, box) of a submission and a solution; `levels` of confidence, 0 for no ties."""
    generator = np.random.default_rng(seed)

    def confidence():
        return generator.random() if not levels else generator.integers(0, levels) / levels

    def boxes(count):
        corners = generator.integers(0, 25, size=(count, 2))
        return np.hstack([corners, corners + generator.integers(5, 25, size=(count, 2))]).tolist()

    predicted, true = [], []
    for number in range(generator.integers(1, 8)):
        row = f"{number}_study"
        true.append((row, str(generator.choice(STUDY_CLASSES)), 1, [0, 0, 1, 1]))
        predicted += [(row, name, confidence(), [0, 0, 1, 1]) for name in STUDY_CLASSES if generator.random() < 0.8]
        predicted += [(row, "negative", confidence(), [0, 0, 1, 1])]
    for number in range(generator.integers(1, 8)):
        row = f"{number}_image"
        truths = boxes(generator.integers(0, 4))
        true += [(row, "opacity", 1, box) for box in truths] or [(row, "none", 1, [0, 0, 1, 1])]
        predicted.append((row, "none", confidence(), [0, 0, 1, 1]))
        near = [(np.array(box) + generator.integers(-2, 3, size=4)).tolist() for box in truths for _ in range(2)]
        predicted += [(row, "opacity", confidence(), box) for box in near + boxes(generator.integers(0, 3))]
    return predicted, true


def as_frame(items):
    rows = {}
    for row, name, confidence, box in items:
        rows.setdefault(row, []).append(f"{name} {float(confidence)!r} {' '.join(map(str, box))}")
    return frame({row: " ".join(groups) for row, groups in rows.items()})


@pytest.mark.parametrize("levels", [0, 3])
def test_agrees_with_an_independent_implementation(levels):
    kinds = set()
    for seed in range(150):
        predicted, true = random_case(seed, levels)
        result = metric.score(as_frame(predicted), as_frame(true))
        expected = {name: naive_ap(name, predicted, true) for name in METRIC_CLASSES}
        precisions = result.AP
        assert precisions == pytest.approx(expected, abs=1e-9), seed
        assert result.mAP == pytest.approx(np.mean([value for value in expected.values() if value is not None]), abs=1e-9)
        kinds.add("none" if expected["opacity"] is None else "part" if 0 < expected["opacity"] < 1 else "end")
    assert kinds == {"none", "part", "end"}


@settings(max_examples=30)
@given(seed=st.integers(0, 10**6), power=st.floats(0.2, 3), shift=st.floats(-5, 5))
def test_a_rising_function_of_the_confidences_changes_nothing(seed, power, shift):
    predicted, true = random_case(seed, levels=50)
    moved = [(row, name, confidence**power * 7 + shift, box) for row, name, confidence, box in predicted]
    assert metric.score(as_frame(moved), as_frame(true)) == metric.score(as_frame(predicted), as_frame(true))


def test_the_solution_itself_scores_1():
    for seed in range(20):
        _, true = random_case(seed, levels=0)
        assert metric.score(as_frame(true), as_frame(true)).mAP == 1.0


# --- chance


def two_rows(kind, first, second):
    """(predicted, true) for two rows of one kind: right as they stand (AP 1 and 1), wrong when they change places (1/2 and 1/2)."""
    predicted = {f"a_{kind}": f"{first} 0.9 {UNIT} {second} 0.1 {UNIT}", f"b_{kind}": f"{first} 0.1 {UNIT} {second} 0.9 {UNIT}"}
    return predicted, {f"a_{kind}": f"{first} 1 {UNIT}", f"b_{kind}": f"{second} 1 {UNIT}"}


@pytest.mark.parametrize(("kind", "names"), [("study", ("negative", "typical")), ("image", ("none", "opacity"))])
def test_chance_is_the_mean_over_rows_that_change_places(kind, names):
    predicted, true = map(frame, two_rows(kind, *names))
    assert metric.score(predicted, true).mAP == 1.0
    mean, deviation = metric.chance(predicted, true, permutations=4000)
    assert mean == pytest.approx(3 / 4, abs=0.02)
    assert deviation == pytest.approx(1 / 4, abs=0.002)


def test_chance_keeps_studies_and_images_apart():
    predicted = frame({"a_study": f"negative 1 {UNIT}", "a_image": f"none 1 {UNIT}"})
    assert metric.chance(predicted, predicted) == (1.0, 0.0)


def test_chance_gives_the_deviation_of_a_sample():
    predicted, true = map(frame, two_rows("study", "negative", "typical"))
    deviations = {round(metric.chance(predicted, true, permutations=2, seed=seed)[1], 6) for seed in range(10)}
    assert deviations == {0.0, round(1 / 2 / 2**0.5, 6)}


def test_chance_is_what_scoring_permuted_rows_gives():
    predicted, true = random_case(11, levels=4)
    predicted, true = as_frame(predicted), as_frame(true)
    generator = np.random.default_rng(5)
    scores = []
    is_study = predicted["id"].str.endswith("_study").to_numpy()
    for _ in range(3000):
        strings = predicted["PredictionString"].to_numpy().copy()
        for kind in (is_study, ~is_study):
            strings[kind] = generator.permutation(strings[kind])
        scores.append(metric.score(predicted.assign(PredictionString=strings), true).mAP)
    mean, deviation = metric.chance(predicted, true, permutations=3000, seed=1)
    error = 5 * np.std(scores) * np.sqrt(2 / 3000)
    assert mean == pytest.approx(np.mean(scores), abs=error)
    assert deviation == pytest.approx(np.std(scores), rel=0.1)


def test_chance_of_a_constant_submission_is_its_score():
    ids = [f"{number}_image" for number in range(20)]
    true = frame({row_id: f"none 1 {UNIT}" if number % 3 else "opacity 1 0 0 5 5" for number, row_id in enumerate(ids)})
    predicted = frame(dict.fromkeys(ids, f"none 1 {UNIT}"))
    mean, deviation = metric.chance(predicted, true, permutations=10)
    assert mean == pytest.approx(metric.score(predicted, true).mAP, abs=1e-15)
    assert deviation == pytest.approx(0, abs=1e-15)


def test_chance_repeats_with_its_seed_and_needs_two_permutations():
    predicted, true = (as_frame(items) for items in random_case(3, levels=0))
    assert metric.chance(predicted, true, seed=7) == metric.chance(predicted, true, seed=7)
    assert metric.chance(predicted, true, seed=7) != metric.chance(predicted, true, seed=8)
    with pytest.raises(ValueError, match="2 or more"):
        metric.chance(predicted, true, permutations=1)


def test_chance_at_the_size_of_the_public_test():
    generator = np.random.default_rng(0)

    def rows(kind, count, text):
        return {f"{number}_{kind}": text() for number in range(count)}

    def study():
        return " ".join(f"{name} {generator.random()!s} {UNIT}" for name in STUDY_CLASSES)

    def image():
        boxes = " ".join(f"opacity {generator.random()!s} {number} 0 {number + 900} 900" for number in range(20))
        return f"none {generator.random()!s} {UNIT} {boxes}"

    predicted = frame({**rows("study", 1214, study), **rows("image", 1263, image)})
    true = frame(
        {
            **rows("study", 1214, lambda: f"{generator.choice(STUDY_CLASSES)} 1 {UNIT}"),
            **rows("image", 1263, lambda: "opacity 1 0 0 900 900 opacity 1 5 0 905 900"),
        }
    )
    mean, sd = metric.chance(predicted, true, permutations=50)
    # Four classes drawn evenly and scored at random, `none` without truth, boxes everywhere right for the first of two truths.
    assert 0.2 < mean < 0.5
    assert 0 < sd < 0.02


# --- the real training tables


@pytest.fixture(scope="module")
def truth(real_data):
    """The training tables as a solution: studies, then images, each in the order of its CSV."""
    names = {column: name for name, column in STUDY_COLUMNS.items()}
    rows = {}
    with open(real_data / "competition-tables" / "train_study_level.csv", newline="") as file:
        for row in csv.DictReader(file):
            (name,) = [names[column] for column, mark in row.items() if column in names and mark == "1"]
            rows[row["id"]] = f"{name} 1 {UNIT}"
    with open(real_data / "competition-tables" / "train_image_level.csv", newline="") as file:
        rows |= {row["id"]: row["label"] for row in csv.DictReader(file)}
    return frame(rows)


ALL_FOUR = " ".join(f"{name} 1 {UNIT}" for name in STUDY_CLASSES)


@pytest.mark.real
@pytest.mark.parametrize(
    ("study", "expected", "mean"),
    [
        (f"negative 1 {UNIT}", [0.2925, 0, 0, 0, 0.3293, 0], 0.1036),
        (ALL_FOUR, [0.2925, 0.4770, 0.1756, 0.0848, 0.3293, 0], 0.2265),
    ],
)
def test_constants_on_the_training_tables(truth, tmp_path, study, expected, mean):
    constant = truth.assign(PredictionString=[study if row_id.endswith("_study") else f"none 1 {UNIT}" for row_id in truth["id"]])
    constant.to_csv(tmp_path / "submission.csv", index=False)
    truth.to_csv(tmp_path / "solution.csv", index=False)
    result = metric.score_files(tmp_path / "submission.csv", tmp_path / "solution.csv")
    assert list(result.AP.values()) == pytest.approx(expected, abs=5e-5)
    assert result.mAP == pytest.approx(mean, abs=5e-5)


@pytest.mark.real
def test_the_training_tables_score_1_against_themselves(truth):
    assert len(truth) == 12388
    assert metric.score(truth, truth) == metric.Score(AP=dict.fromkeys(METRIC_CLASSES, 1.0), mAP=1.0)
