"""What image sets, tables and headers tell of the films of a report."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from siim_kernel.errors import MountError
from siim_kernel.evaluation import report_data, report_films, report_metric, sampling
from siim_kernel.evaluation.intervals import intervals
from siim_kernel.pixels import imagesets
from siim_kernel.recipes.main import SMALL
from tests.evaluation.made_pages import RESAMPLES, UNION, interval, written
from tests.evaluation.made_runs import OPACITY, competition, films, image_set, make


def test_image_sets_tell_patients_and_show_films(tmp_path):
    table = films()
    images = image_set(tmp_path / "images", table)
    found, _ = report_films.Films([images]).of_split(report_data.load([make(tmp_path / "run", everything=table, learnt=None)])[0])
    assert found is None  # the set knows no labels of the competition
    page, text = written(tmp_path, [tmp_path / "run"], images=[images])
    assert "Films judged worst and best" in page.titles
    assert "Sheet of 6 films, Worst films. is " in text
    assert "Best: the highest probability of the true label." in text


def test_films_are_shown_with_the_boxes_of_the_competition(tmp_path):
    table = films()
    folders = {"images": [image_set(tmp_path / "images", table)], "competition": competition(tmp_path / "competition", table)}
    page, _ = written(tmp_path, [make(tmp_path / "run", everything=table)], **folders)
    boxed = re.search('Sheet of 6 films, Best films.*?[.]"', page.source, re.S)[0]
    expected = report_films.extremes(report_data.load([tmp_path / "run"])[0].predictions)[1]["truth"].value_counts()
    assert boxed.count("(1 box)") == expected.get("Yes", 0)
    assert boxed.count("(no boxes)") == expected.get("None", 0)
    assert expected.sum() == 6


def test_image_sets_of_other_films_cost_the_pictures_alone(tmp_path):
    images = image_set(tmp_path / "images", films().assign(image=[f"x{number}" for number in range(60)]))
    folder = make(tmp_path / "run")
    page, words = written(tmp_path, [folder], images=[images])
    assert any("The image sets have none of these films of thesis-opacity" in line for line in page.warnings)
    worst, _ = report_films.extremes(report_data.load([folder])[0].predictions)
    assert page.row(worst["image"][0], "Worst")[:2] == [worst["truth"][0], worst["said"][0]]
    assert "Sheet of" not in words


def test_without_image_sets_the_worst_and_best_films_stand_in_tables(tmp_path):
    folder = make(tmp_path / "run")
    page, _ = written(tmp_path, [folder])
    worst, best = report_films.extremes(report_data.load([folder])[0].predictions)
    assert page.row(best["image"][0], "Best")[0] == best["truth"][0]
    assert page.row(worst["image"][0], "Worst")[0] == worst["truth"][0]
    assert not any("image sets" in line for line in page.warnings)


def test_films_that_the_sets_lack_are_in_the_table_only(tmp_path):
    folder = make(tmp_path / "run")
    worst, _ = report_films.extremes(report_data.load([folder])[0].predictions)
    table = films()
    images = image_set(tmp_path / "images", table[table["image"] != worst["image"][0]])
    page, words = written(tmp_path, [folder], images=[images])
    assert "5 of 6 are in the image sets" in words
    assert page.row(worst["image"][0])[0] == worst["truth"][0]


def test_a_set_of_another_size_is_named_and_costs_nothing_else(tmp_path):
    table = films()
    (tmp_path / "images").mkdir()
    image_set(tmp_path / "images" / "64", table, size=64)
    image_set(tmp_path / "images" / "128", table, size=128)
    page, _ = written(tmp_path, [make(tmp_path / "run")], images=[tmp_path / "images"])
    assert any("is no finished image set" in line for line in page.warnings)
    with pytest.raises(MountError, match="no such.* is no folder"):
        report_films.Films([tmp_path / "no such"])


def test_of_nested_sets_the_one_of_the_runs_pixels_is_taken(tmp_path):
    table = films()
    (tmp_path / "images").mkdir()
    pixels = OPACITY.pixels
    image_set(tmp_path / "images" / imagesets.folder_name(pixels), table, size=299)
    image_set(tmp_path / "images" / "64", table, size=64)
    assert [each.recipe.size for each in report_films.Films([tmp_path / "images"]).sets(pixels)] == [299]


@pytest.mark.parametrize("told_by", ["csv", "set", "headers"])
def test_unknown_patients_are_filled_before_anything_is_measured(tmp_path, monkeypatch, told_by):
    table = films()
    folder = make(tmp_path / "run", everything=table.assign(patient=""))
    options = {}
    if told_by == "csv":
        options["patients"] = tmp_path / "patients.csv"
        pd.DataFrame({"patientid": table["patient"], "studyid": table["study"], "imageid": table["image"]}).to_csv(
            options["patients"], index=False
        )
    elif told_by == "set":
        options["images"] = [image_set(tmp_path / "images", table)]
    else:
        options["competition"] = with_headers(tmp_path, table, monkeypatch)
    page, words = written(tmp_path, [folder], **options)
    told = report_data.load([make(tmp_path / "told", everything=table)])[0].predictions
    assert page.row("balanced accuracy")[0] == interval(intervals(told, RESAMPLES).loc[("balanced_accuracy", "overall")])
    assert "on 30 films of 5 patients;" in words
    assert "With 95 % intervals by patient" in words


def with_headers(tmp_path, table, monkeypatch, read=()):
    """A competition whose films are empty files and whose headers are `table`; what is read is added to `read`."""
    folder = competition(tmp_path / "competition", table)
    patients = table.set_index("image")["patient"]
    for row in table.itertuples():
        path = folder / "train" / row.study / "series" / f"{row.image}.dcm"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()

    def header_facts(path):
        getattr(read, "append", id)(Path(path).stem)
        return {"patient": patients[Path(path).stem]}

    monkeypatch.setattr(sampling, "header_facts", header_facts)
    return folder


def test_only_headers_of_films_whose_patient_nobody_tells_are_read_and_once(tmp_path, monkeypatch):
    """Films of another source have no headers here, and their unknown patients are no reason to read all others'."""
    table, read, said = films(), [], []
    folder = with_headers(tmp_path, table[:50], monkeypatch, read)
    unknown = table.copy()
    unknown.loc[[3, 47, *range(50, 60)], "patient"] = ""
    unknown.loc[50:, "label"] = "NORMAL"
    judged = report_data.load([make(tmp_path / "run", UNION, everything=unknown)])
    known = report_films.Films([], folder, say=said.append)
    (filled,) = known.with_patients(judged)
    split, _ = known.of_split(filled)
    assert sorted(read) == ["i003", "i047"]
    assert split["patient"][[3, 47, 55]].tolist() == ["p000", "p007", ""]
    assert said == ["reading the headers of 1 film for their patients"] * 2


def test_patients_that_nobody_tells_are_films(tmp_path):
    page, words = written(tmp_path, [make(tmp_path / "run", everything=films().assign(patient=""))])
    assert "on 30 films, patients unknown;" in words
    assert "With 95 % intervals by film, patients unknown" in words
    assert "bootstrap over films, as no patient is known" in words
    assert page.row("patients") == ["unknown"]


def test_a_csv_of_other_patients_is_named(tmp_path):
    path = tmp_path / "patients.csv"
    path.write_text("patientid,studyid,imageid\np,s,other\n")
    page, _ = written(tmp_path, [make(tmp_path / "run")], patients=path)
    assert any("the CSV of patients names none of these films: its first image is other" in line for line in page.warnings)


def test_the_worst_films_are_those_with_the_lowest_probability_of_the_truth(tmp_path):
    judged = report_data.load([make(tmp_path / "run")])[0].predictions
    worst, best = report_films.extremes(judged, 4)
    chances = np.sort(judged.probabilities[np.arange(len(judged)), judged.truth])
    assert worst["probability of the truth"].tolist() == chances[:4].tolist()
    assert best["probability of the truth"].tolist() == chances[:-5:-1].tolist()
    few, many = report_films.extremes(judged.take(np.arange(1)), 4)
    assert len(few) == len(many) == 1


def test_the_competitions_metric_on_the_out_of_fold_films(tmp_path):
    table = films()
    tables = competition(tmp_path / "competition", table)
    # The prior box of `make`, on films of 100 x 200, is the very box of the tables but for its top: 40 to 160 against 20 to 140.
    folder = make(tmp_path / "run", SMALL, skill=50)
    page, text = written(tmp_path, [folder], competition=tables)
    assert "The competition's metric" in page.titles
    assert page.row("negative", "Average precision") == ["1.000"]
    assert page.row("opacity")[0] == "1.000"
    assert page.row("mAP") == ["1.000"]
    assert "on the 30 out-of-fold films" in text
    assert "Films by source" in text  # the tables tell the labels of the films that train


def test_films_that_nobody_read_for_boxes_are_not_scored(tmp_path):
    # i003 is an unboxed sibling of i002 in a typical study: counted, it would be a `none` that the network does not see.
    tables = competition(tmp_path / "competition", films(), unboxed=["i003"])
    judged = report_data.load([make(tmp_path / "run", SMALL, skill=50)])[0]
    count, score, _ = report_metric.score(judged, report_films.Films([], tables))
    assert (count, score.AP["none"]) == (30, 1)


def test_the_metric_is_of_six_class_runs_and_of_this_competition(tmp_path):
    tables = competition(tmp_path / "competition", films())
    page, _ = written(tmp_path, [make(tmp_path / "two")], competition=tables)
    assert "The competition's metric" not in page.titles
    other = competition(tmp_path / "other", films().assign(image=[f"x{number}" for number in range(60)]))
    page, words = written(tmp_path, [make(tmp_path / "run", SMALL)], competition=other)
    assert any("has none of the films of small; give the competition that it was trained on" in line for line in page.warnings)
    assert "Average precision\nclass" not in words
    assert "Confusion matrix" in page.titles


def test_image_sets_give_patients_and_duplicates(tmp_path):
    table = films()
    tables = competition(tmp_path / "competition", table)
    images = image_set(tmp_path / "images", table)
    folder = make(tmp_path / "run", everything=table.assign(patient=""))
    judged = report_data.load([folder])[0]
    known = report_films.Films([images], tables)
    found, fold = known.of_split(judged)
    assert found["patient"].tolist() == table["patient"].tolist()
    assert found["label"].tolist() == table["label"].tolist()
    assert fold.tolist() == [0] * 30 + [1] * 30
    assert known.duplicates(judged, found["image"]) == []
    assert report_films.Films([], tables).duplicates(judged, found["image"]) is None
    _, text = written(tmp_path, [folder], images=[images], competition=tables)
    assert "not compared" not in text
    assert "Nothing is wrong with it" in text
