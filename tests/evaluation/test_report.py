"""The report of made runs: files written by hand, no network."""

import re

import numpy as np
import pandas as pd
from typer.testing import CliRunner

from siim_kernel import runs
from siim_kernel.cli import app
from siim_kernel.errors import MountError, SiimKernelError
from siim_kernel.evaluation import classification, curves, pages, report, report_data, report_tables
from siim_kernel.evaluation.intervals import intervals
from siim_kernel.evaluation.pages import Picture, Table, Text
from siim_kernel.recipes import catalogue
from siim_kernel.recipes.main import MAIN
from tests.evaluation.made_pages import RESAMPLES, UNION, interval, rewrite, shown, written
from tests.evaluation.made_runs import OPACITY, films, image_set, make, make_folds, predicted


def test_the_page_has_the_figures_of_evaluation(tmp_path):
    folder = make(tmp_path / "run")
    page, text = written(tmp_path, [folder])
    judged = report_data.load([folder])[0].predictions
    found = intervals(judged, RESAMPLES)
    for name, measure in (("balanced accuracy", ("balanced_accuracy", "overall")), ("accuracy", ("accuracy", "overall"))):
        assert page.row(name)[0] == interval(found.loc[measure])
    assert page.row("AUC", "With 95")[1] == interval(found.loc[("auc", "Yes")])
    assert page.row("accuracy of the majority class alone") == [".733 (Yes)"]
    assert page.row("films")[0] == "30"
    counts = classification.confusion(judged)
    assert page.row("None") == [str(count) for count in counts.loc["None"]]
    balanced = found.loc[("balanced_accuracy", "overall")]
    assert f"Balanced accuracy {interval(balanced).replace('(', '(95 % interval ')} on 30 films of 5 patients" in text
    assert "where always saying Yes has .733" in text


def test_the_page_is_whole_and_asks_nothing_of_a_network(tmp_path):
    page, _ = written(tmp_path, [make_folds(tmp_path / "folds")])
    assert page.titles[:2] == ["Result", "Confusion matrix"]
    assert {"ROC and precision-recall curves", "Calibration", "Cross-validation", "Learning curves", "Cost", "Recipe"} <= set(page.titles)
    assert all(address.startswith(("#", "data:")) for address in page.addresses)
    assert not re.search(r"https?://", page.source)
    assert "<script" not in page.source


def test_names_and_labels_from_files_are_escaped(tmp_path):
    table = films()
    table["image"] = table["image"].str.replace("i000", "<script>alert(1)</script>")
    folder = make(tmp_path / "run<b>", everything=table)
    images = image_set(tmp_path / "images", table)
    page, _ = written(tmp_path, [folder], images=[images])
    assert "<script>" not in page.source
    assert "<b>" not in page.source
    assert "run<b>" in "".join(page.text)


def test_folds_are_pooled_and_summed_up_as_the_article_does(tmp_path):
    folder = make_folds(tmp_path / "folds")
    page, _ = written(tmp_path, [folder])
    judged = report_data.load([folder])[0]
    assert judged.predictions.images.tolist() == sorted(films()["image"])
    assert sorted(set(judged.table["fold"])) == [0, 1, 2]
    accuracies = [
        classification.measures(judged.predictions.take((judged.table["fold"] == fold).to_numpy()))["accuracy", "overall"]
        for fold in range(3)
    ]
    mean, sd = np.mean(accuracies), np.std(accuracies, ddof=1)
    row = intervals(judged.predictions, RESAMPLES).loc[("accuracy", "overall")]
    assert page.row("accuracy", "Over the folds") == [f"{shown(mean)} ± {shown(sd)}", "3", interval(row)]
    pooled, folds = [row[1:] for row in page.rows if row[0] == "Yes" and row[1] in ("95 % interval", "folds, mean ± sd")]
    assert pooled[-1] == f"{row.value * 100:.2f} ({row.low * 100:.2f} to {row.high * 100:.2f})"
    assert folds[-1] == f"{mean * 100:.2f} ± {sd * 100:.2f}"


def test_a_single_fold_has_the_articles_columns_too(tmp_path):
    page, _ = written(tmp_path, [make(tmp_path / "run")])
    header = next(row for row in page.rows if row[0] == "abnormal")
    assert header[2:] == ["AUC", "Sensitivity, %", "Specificity, %", "PPV, %", "NPV, %", "F1", "Accuracy, %"]
    rows = [row[:2] for row in page.rows if len(row) == len(header) and row[1] in ("95 % interval", "folds, mean ± sd")]
    assert rows == [["None", "95 % interval"], ["Yes", "95 % interval"]]


def test_a_label_without_films_is_flagged(tmp_path):
    everything = films()
    validating = everything[everything["label"] != "atypical"][:30]
    page, words = written(tmp_path, [make(tmp_path / "run", catalogue.by_name("thesis-xception"), validating=validating)])
    assert "Balanced accuracy over 3 of 4 labels " in words
    assert page.row("balanced accuracy")[0].endswith(" over 3 of 4 labels")
    line = "No film in validation is atypical: balanced accuracy and means of the labels are over 3 of 4 labels."
    assert any(line in warning for warning in page.warnings)


def test_intervals_that_stand_on_fewer_resamples_say_so(tmp_path):
    everything = films()
    validating = everything[(everything["label"] != "atypical") | (everything["patient"] == "p001")][:30]
    folder = make(tmp_path / "run", catalogue.by_name("thesis-xception"), validating=validating)
    found = intervals(report_data.load([folder])[0].predictions, RESAMPLES).loc[("balanced_accuracy", "overall")]
    assert 0 < found.defined < RESAMPLES
    _, words = written(tmp_path, [folder])
    assert f"balanced accuracy on {int(found.defined)}" in words


def test_the_page_says_what_its_words_mean(tmp_path):
    _, words = written(tmp_path, [make(tmp_path / "run"), make(tmp_path / "other", UNION)])
    assert "Labels of label_opacity: None = negative; Yes = typical, indeterminate, atypical." in words
    assert (
        "Labels of 2L_opacity_no_opacity: None = negative, NORMAL; Yes = typical, indeterminate, atypical, covid_19, LO, VIRALNEU." in words
    )
    assert words.count("Out of fold: a film is judged by a network that did not learn from it.") == 1
    assert words.count("the PPV “sensibilidad” and the NPV “especificidad”") == 1
    assert "“false negatives”, is the false positive rate" in words


def test_operating_points_have_intervals_and_no_threshold_is_infinite(tmp_path):
    folder = make(tmp_path / "run")
    page, words = written(tmp_path, [folder])
    found = curves.point_intervals(report_data.load([folder])[0].predictions, "Yes", RESAMPLES)
    row = next(row for row in page.rows if row[:2] == ["Yes", "Youden"])
    assert row[2:5] == [interval(found.loc["Youden", name]) for name in ("threshold", "sensitivity", "specificity")]
    assert next(row for row in page.rows if row[:2] == ["Yes", "threshold 0.5"])[2] == ".500"
    assert "above all" in words
    assert "inf" not in [cell for row in page.rows for cell in row]


def test_long_work_is_told_and_short_work_not(tmp_path, monkeypatch):
    folders, said = [make(tmp_path / "run"), make(tmp_path / "other", UNION)], []
    written(tmp_path, folders[:1], say=said.append)
    assert said == []
    monkeypatch.setattr(report, "LONG", 10)
    written(tmp_path, folders, say=said.append)
    assert said[:2] == ["thesis-opacity: 90 predictions, 50 resamples of each", "thesis-union: 90 predictions, 50 resamples of each"]
    assert said[2] == "comparing thesis-opacity and thesis-union"


def test_a_collapsed_network_of_one_patient(tmp_path):
    table = films().assign(patient="p")
    folder = make(tmp_path / "run", everything=table)
    table = predicted(table[:30], OPACITY, 0).assign(None_=0.0, Yes=1.0, fold=0)
    rewrite(folder, runs.OUT_OF_FOLD, table.assign(**{"None": 0.0}).drop(columns="None_"))
    page, _ = written(tmp_path, [folder], images=[image_set(tmp_path / "images", films())])
    assert page.row("accuracy") == [".733"]
    assert page.row("balanced accuracy") == [".500"]
    assert page.row("PPV", "With 95")[0] == "–"
    assert page.row("AUC", "With 95")[0] == ".500"


def test_a_truth_of_one_label_has_no_roc(tmp_path):
    page, _ = written(tmp_path, [make(tmp_path / "run", everything=films().assign(label="typical", reading="boxed"))])
    assert page.row("AUC", "With 95")[:2] == ["–", "–"]
    assert page.row("sensitivity", "With 95")[0] == "–"


def test_without_matplotlib_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(pages.importlib.util, "find_spec", lambda name: None)
    refused = CliRunner().invoke(app, ["report", str(make(tmp_path / "run")), "--out", str(tmp_path / "page.html")]).exception
    assert isinstance(refused, MountError)
    assert "siim-kernel[report]" in str(refused)


def test_a_record_without_training_facts_and_a_history_without_accuracy(tmp_path):
    folder = make(tmp_path / "run", training=None, split=None)
    table = pd.DataFrame({"phase": [1], "epoch": [1], "loss": [0.5], "val_loss": ["nan"]})
    rewrite(folder, runs.HISTORY, table)
    _, text = written(tmp_path, [folder])
    assert "the training accuracy is not recorded" in text.lower()
    assert "not recorded" in text


def test_every_figure_has_words_and_numbers(tmp_path):
    _, sections, _ = report.contents([make_folds(tmp_path / "folds", MAIN)], resamples=RESAMPLES)
    parts = [part for section in sections for part in section.parts]
    pictures = [part for part in parts if isinstance(part, Picture)]
    assert len(pictures) == 10
    assert all(picture.alt.strip() for picture in pictures)
    # The confusion matrix has its numbers as tables beside it.
    assert sum(picture.table is None for picture in pictures) == 1
    assert all(isinstance(part, Text | Table | Picture) for part in parts)


def test_the_numbers_of_a_table_are_texts_with_three_digits():
    assert report_tables.number(float("nan")) == "–"
    assert report_tables.number(-0.1234) == "−.123"
    assert report_tables.number(-0.0001) == ".000"
    assert report_tables.number(1) == "1.000"
    assert (report_tables.p_text(0.044), report_tables.p_text(float("nan"))) == (".044", "–")
    assert report_tables.p_text(0.0004) == "< .001"
    assert report_tables.with_interval({"value": 0.5, "low": float("nan"), "high": float("nan")}) == ".500"


def test_the_command(tmp_path):
    out = tmp_path / "page.html"
    folder = make(tmp_path / "run")
    done = CliRunner().invoke(app, ["report", str(folder), "--out", str(out), "--resamples", "20"])
    assert (done.exit_code, done.stdout.strip()) == (0, str(out))
    assert "Report of thesis-opacity" in out.read_text()
    missing = CliRunner().invoke(app, ["report", str(tmp_path / "none"), "--out", str(out)])
    assert isinstance(missing.exception, SiimKernelError)
