"""The report of made runs: files written by hand, no network."""

import dataclasses
import json
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from siim_kernel import runs
from siim_kernel.cli import app
from siim_kernel.errors import MountError, RunError, SiimKernelError, TableError
from siim_kernel.evaluation import classification, comparison, pages, report, report_data, report_films, report_tables
from siim_kernel.evaluation.intervals import difference_intervals, intervals
from siim_kernel.evaluation.pages import Picture, Table, Text
from siim_kernel.labels import EXTERNAL_CLASSES, SCHEMES, STUDY_CLASSES
from siim_kernel.recipes import catalogue
from siim_kernel.recipes.main import MAIN, SMALL
from tests.evaluation.made_runs import OPACITY, competition, films, image_set, make, make_folds, predicted

RESAMPLES = 50
UNION = catalogue.by_name("thesis-union")


class Page(HTMLParser):
    """A page read strictly: tags that do not close are an error; the tables' texts and all addresses are kept."""

    VOID = ("meta", "link", "img", "br", "hr", "input", "path", "use")

    def __init__(self, text):
        super().__init__()
        self.open, self.addresses, self.text, self.rows, self.titles, self.captions = [], [], [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.addresses += [value for name, value in attrs if name in ("src", "href", "xlink:href", "action", "data")]
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data
        if self.open and self.open[-1] == "caption":
            self.captions.append((data, len(self.rows)))
        if self.open and self.open[-1] == "h2":
            self.titles.append(data)

    def row(self, name, caption=""):
        """The cells after the first one, of the first row that begins with `name`; after the first caption that begins so."""
        start = next(place for text, place in [*self.captions, ("", 0)] if text.startswith(caption))
        return next(row[1:] for row in self.rows[start * bool(caption) :] if row[0] == name)


def shown(value):
    """A share as the page prints it."""
    return f"{value:.3f}".replace("0.", ".", 1).replace("-", "−") if abs(value) < 0.9995 else f"{value:.3f}"


def interval(row):
    return f"{shown(row.value)} ({shown(row.low)} to {shown(row.high)})"


def written(tmp_path, folders, **options):
    out = tmp_path / "out" / "report.html"
    report.write(out, folders, resamples=RESAMPLES, **options)
    return Page(out.read_text()), out.read_text()


def test_the_page_has_the_figures_of_evaluation(tmp_path):
    folder = make(tmp_path / "run")
    page, text = written(tmp_path, [folder])
    judged = report_data.load([folder])[0].predictions
    found = intervals(judged, RESAMPLES)
    for name, measure in (("balanced accuracy", ("balanced_accuracy", "overall")), ("accuracy", ("accuracy", "overall"))):
        assert page.row(name)[0] == interval(found.loc[measure])
    assert page.row("AUC")[1] == interval(found.loc[("auc", "Yes")])
    assert page.row("accuracy of the majority class alone") == [".733 (Yes)"]
    assert page.row("films")[0] == "30"
    counts = classification.confusion(judged)
    assert page.row("None") == [str(count) for count in counts.loc["None"]]
    balanced = found.loc[("balanced_accuracy", "overall")]
    assert f"Balanced accuracy {interval(balanced).replace('(', '(95 % interval ')} on 30 films of 5 patients" in text
    assert "where always saying Yes has .733" in text


def test_the_page_is_whole_and_asks_nothing_of_a_network(tmp_path):
    page, text = written(tmp_path, [make_folds(tmp_path / "folds")])
    assert page.titles[:2] == ["Result", "Confusion matrix"]
    assert {"ROC and precision-recall curves", "Calibration", "Cross-validation", "Learning curves", "Cost", "Recipe"} <= set(page.titles)
    assert all(address.startswith(("#", "data:")) for address in page.addresses)
    assert not re.search(r"https?://", text)
    assert "<script" not in text


def test_names_and_labels_from_files_are_escaped(tmp_path):
    table = films()
    table["image"] = table["image"].str.replace("i000", "<script>alert(1)</script>")
    folder = make(tmp_path / "run<b>", everything=table)
    images = image_set(tmp_path / "images", table)
    page, text = written(tmp_path, [folder], images=[images])
    assert "<script>" not in text
    assert "<b>" not in text
    assert "run<b>" in "".join(page.text)


def test_the_thesis_figures_stand_beside_ours(tmp_path):
    folder = make(tmp_path / "run")
    page, _ = written(tmp_path, [folder])
    judged = report_data.load([folder])[0].predictions
    found = intervals(judged, RESAMPLES).loc[("accuracy", "overall")]
    ours = f"{found.value * 100:.2f} % ({found.low * 100:.2f} to {found.high * 100:.2f})"
    assert page.row("accuracy, validation") == ["80.17 %", ours]
    assert page.row("accuracy after phase 1, validation") == ["74.96 %", "53.33 %"]
    assert page.row("balanced accuracy, validation")[0] == "75.09 %"
    assert page.row("hit rate of None, validation")[0] == "63.48 %"
    assert page.row("None", "Printed: validation") == ["226", "130"]


def test_recipes_of_the_projects_own_have_no_printed_figures(tmp_path):
    page, _ = written(tmp_path, [make(tmp_path / "run", SMALL)])
    assert "Beside what was printed" not in page.titles


def test_of_the_articles_recipes_its_row_stands_beside_ours(tmp_path):
    page, _ = written(tmp_path, [make(tmp_path / "run", catalogue.by_name("article-vgg19-p"))])
    assert page.row("AUC", "Printed")[0] == ".9842 ± .0036"
    assert page.row("sensitivity", "Printed")[0] == "97.09 ± .39"


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
    mean, sd = np.mean(accuracies) * 100, np.std(accuracies, ddof=1) * 100
    pooled = interval(intervals(judged.predictions, RESAMPLES).loc[("accuracy", "overall")])
    assert page.row("accuracy", "Over the folds") == [f"{mean:.2f} ± {sd:.2f}".replace(" 0.", " ."), "3", pooled]


def test_two_runs_are_compared_with_intervals(tmp_path):
    folders = [make_folds(tmp_path / "one", OPACITY), make_folds(tmp_path / "two", UNION, skill=0.2)]
    page, text = written(tmp_path, folders)
    first, second = (each.predictions for each in report_data.load(folders))
    difference = difference_intervals(first, second, RESAMPLES).loc[("accuracy", "overall")]
    test = comparison.mcnemar(first, second)
    row = page.row("accuracy", "thesis-opacity less")
    assert row[2:4] == [shown(difference.value), f"{shown(difference.low)} to {shown(difference.high)}"]
    assert row[4] == (shown(test.p) if test.p >= 0.001 else "< .001")
    auc = comparison.delong(first, second, "Yes")
    assert page.row("AUC, Yes")[2:4] == [shown(auc.difference), f"{shown(auc.low)} to {shown(auc.high)}"]
    assert f"{test.only_first} films are right by thesis-opacity alone, {test.only_second} by thesis-union alone." in text
    assert page.row("labels", "What differs") == ["label_opacity", "2L_opacity_no_opacity"]
    assert "thesis-opacity less thesis-union, on 60 films of 10 patients" in text
    assert page.titles[:3] == ["Result", "Runs compared", "Hit rates from one run to the next"]
    rates = [each.loc[("sensitivity", "Yes")] for each in (intervals(first, RESAMPLES), intervals(second, RESAMPLES))]
    assert page.row("Yes")[:2] == [interval(rate) for rate in rates]


def test_runs_that_share_some_films_are_compared_on_these(tmp_path):
    everything = films()
    folders = [make(tmp_path / "one", validating=everything[:40]), make(tmp_path / "two", UNION, validating=everything[20:])]
    _, text = written(tmp_path, folders)
    assert "on 20 films of" in text
    assert "The two judged 40 and 40 films; only those of both are compared." in text


def test_runs_of_different_films_are_refused(tmp_path):
    everything = films()
    folders = [make(tmp_path / "one", validating=everything[:30]), make(tmp_path / "two", UNION, validating=everything[30:])]
    with pytest.raises(RunError, match="thesis-opacity and thesis-union judged different films, none is of both.*Report them apart"):
        report.contents(folders, resamples=RESAMPLES)


def test_runs_whose_labels_mean_something_else_are_not_compared(tmp_path):
    folders = [make(tmp_path / "one"), make(tmp_path / "two", catalogue.by_name("thesis-typical")), make(tmp_path / "three", SMALL)]
    _, text = written(tmp_path, folders)
    assert text.count("not compared, as their labels do not mean the same") == 3
    assert "(label_opacity, label_n_Covid_19)" in text


def test_runs_that_tell_other_patients_are_refused(tmp_path):
    other = films().assign(patient="")
    folders = [make(tmp_path / "one"), make(tmp_path / "two", UNION, everything=other)]
    with pytest.raises(RunError, match="the patients of the two runs differ"):
        report.contents(folders, resamples=RESAMPLES)


def test_a_final_test_and_its_gap(tmp_path):
    everything = films()
    folder = make_folds(tmp_path / "folds", UNION, everything=everything, final=everything[48:])
    page, text = written(tmp_path, [folder])
    judged = report_data.load([folder])[0]
    assert len(judged.final_test) == 12
    assert len(judged.final_test_by_network) == 36
    assert judged.final_test_by_network.n_groups == 2
    found = intervals(judged.final_test, RESAMPLES).loc[("balanced_accuracy", "overall")]
    assert page.row("balanced accuracy")[1] == interval(found)
    error = 1 - classification.measures(judged.predictions)["accuracy", "overall"]
    assert page.row("validation (out of fold)")[0].startswith(f"{shown(error)} (")
    assert page.row("accuracy, final test")[0] == "75.20 %"
    assert "By balanced accuracy, validation and final test" in text
    assert {"Final test", "Validation against the final test"} <= set(page.titles)


def test_the_final_test_is_judged_by_the_mean_of_the_networks(tmp_path):
    everything = films()
    folder = make_folds(tmp_path / "folds", UNION, everything=everything, final=everything[48:])
    each = [pd.read_csv(folder / f"fold-{fold}" / runs.FINAL_TEST)["Yes"] for fold in range(3)]
    judged = report_data.load([folder])[0]
    np.testing.assert_allclose(judged.final_test.probabilities[:, 1], np.mean(each, axis=0))


def test_a_leaking_split_is_named_before_the_figures(tmp_path):
    everything = films().assign(patient=[f"p{number % 30:03}" for number in range(60)])
    _, text = written(tmp_path, [make_folds(tmp_path / "folds", count=2, everything=everything, numbers=np.arange(60) // 30)])
    warning = "Read with care: 60 of 60 validation films share a patient with training."
    assert warning in text
    assert text.index(warning) < text.index("<table")


def test_a_final_test_that_leaks_is_counted_once(tmp_path):
    everything = films().assign(patient=[f"p{number % 30:03}" for number in range(60)])
    options = {"everything": everything, "final": everything[48:], "numbers": np.arange(60) % 3}
    _, text = written(tmp_path, [make_folds(tmp_path / "folds", OPACITY, **options)])
    assert "12 of 12 final test films share a patient with training or validation" in text
    assert "final test films share a patient with training;" not in text


def test_unknown_patients_are_said(tmp_path):
    table = films()
    folder = make_folds(tmp_path / "folds", everything=table)
    assert "Read with care" not in written(tmp_path, [folder])[1]
    table.loc[table.index[:7], "patient"] = ""
    numbers = np.arange(60) // 6 % 3
    page, text = written(tmp_path, [make_folds(tmp_path / "unknown", everything=table, numbers=numbers)])
    assert "Read with care: the patients of 7 films are not known" in text
    assert "60 films of 16 patients (7 films are of unknown patients, each counted as one)" in text
    assert page.row("0", "Films that share")[:5] == ["validation", "24", "training", "0", "0"]


def test_of_one_fold_alone_the_report_asks_for_the_other_films(tmp_path):
    page, text = written(tmp_path, [make(tmp_path / "run")])
    assert "The labels of 30 films of this split are not known here" in text
    assert page.row("0", "Films of each part")[:2] == ["30", "30"]


def test_image_sets_tell_patients_and_show_films(tmp_path):
    table = films()
    images = image_set(tmp_path / "images", table)
    found, _ = report_films.Films([images]).of_split(report_data.load([make(tmp_path / "run", everything=table)])[0])
    assert found is None  # the set knows no labels of the competition
    page, text = written(tmp_path, [tmp_path / "run"], images=[images])
    assert "Films judged worst and best" in page.titles
    assert "Sheet of 6 films, Worst films. is " in text
    assert "Best: the highest probability of the true label." in text


def test_films_are_shown_with_the_boxes_of_the_competition(tmp_path):
    table = films()
    folders = {"images": [image_set(tmp_path / "images", table)], "competition": competition(tmp_path / "competition", table)}
    _, text = written(tmp_path, [make(tmp_path / "run", everything=table)], **folders)
    boxed = re.search('Sheet of 6 films, Best films.*?[.]"', text, re.S)[0]
    expected = report_films.extremes(report_data.load([tmp_path / "run"])[0].predictions)[1]["truth"].value_counts()
    assert boxed.count("(1 box)") == expected.get("Yes", 0)
    assert boxed.count("(no boxes)") == expected.get("None", 0)
    assert expected.sum() == 6


def test_image_sets_of_other_films_are_refused(tmp_path):
    images = image_set(tmp_path / "images", films().assign(image=[f"x{number}" for number in range(60)]))
    with pytest.raises(RunError, match="the image sets have none of the films of thesis-opacity"):
        report.contents([make(tmp_path / "run")], [images], resamples=RESAMPLES)


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
    count, score, _ = report_films.score(judged, report_films.Films([], tables))
    assert (count, score.AP["none"]) == (30, 1)


def test_the_metric_is_of_six_class_runs_and_of_this_competition(tmp_path):
    tables = competition(tmp_path / "competition", films())
    page, _ = written(tmp_path, [make(tmp_path / "two")], competition=tables)
    assert "The competition's metric" not in page.titles
    other = competition(tmp_path / "other", films().assign(image=[f"x{number}" for number in range(60)]))
    with pytest.raises(TableError, match="has none of the films of small"):
        report.contents([make(tmp_path / "run", SMALL)], competition=other, resamples=RESAMPLES)


def test_films_without_a_label_of_the_scheme_are_left_out_and_counted(tmp_path):
    table = films()
    table.loc[:4, "label"] = ""
    folder = make(tmp_path / "run", everything=table)
    _, text = written(tmp_path, [folder])
    assert len(report_data.load([folder])[0].predictions) == 25
    assert "5 films without a label of this scheme are not judged." in text


def test_a_collapsed_network_of_one_patient(tmp_path):
    table = films().assign(patient="p")
    folder = make(tmp_path / "run", everything=table)
    table = predicted(table[:30], OPACITY, 0).assign(None_=0.0, Yes=1.0, fold=0)
    rewrite(folder, runs.OUT_OF_FOLD, table.assign(**{"None": 0.0}).drop(columns="None_"))
    page, text = written(tmp_path, [folder], images=[image_set(tmp_path / "images", films())])
    assert page.row("accuracy") == [".733"]
    assert page.row("balanced accuracy") == [".500"]
    assert page.row("PPV", "With 95")[0] == "–"
    assert page.row("AUC", "With 95")[0] == ".500"


def test_a_truth_of_one_label_has_no_roc(tmp_path):
    page, _ = written(tmp_path, [make(tmp_path / "run", everything=films().assign(label="typical", reading="boxed"))])
    assert page.row("AUC", "With 95")[:2] == ["–", "–"]
    assert page.row("sensitivity", "With 95")[0] == "–"


def test_image_labels_are_read_from_the_readings(tmp_path):
    table = films()
    table.loc[:5, "reading"] = "not read"
    recipe = dataclasses.replace(OPACITY, name="boxes", labels="image_label")
    folder = make(tmp_path / "run", recipe, everything=table, skill=0)
    judged = report_data.load([folder])[0]
    assert (len(judged.predictions), judged.unlabelled) == (24, 6)
    assert (judged.predictions.truth == (table["reading"][6:30] == "boxed")).all()


def test_eight_labels_of_a_union(tmp_path):
    table = films()
    table["label"] = ((*STUDY_CLASSES, *EXTERNAL_CLASSES) * 8)[:60]
    recipe = dataclasses.replace(UNION, name="eight", labels="union_study_label")
    rule = np.array([*np.eye(4), [0, 1, 0, 0], [0, 0, 0.7, 0.3], [1, 0, 0, 0], [0, 0, 0.7, 0.3]])
    folder = make(tmp_path / "run", recipe, everything=table, study_of_labels=rule.tolist())
    chances = predicted(table[:30], recipe, 0.8)
    page, _ = written(tmp_path, [folder])
    judged = report_data.load([folder])[0]
    np.testing.assert_allclose(judged.predictions.probabilities, chances[list(SCHEMES[recipe.labels].labels)].to_numpy(), atol=1e-12)
    assert page.row("covid_19", "Films")[-1].isdigit()
    assert page.row("NORMAL", "With 95")[0] == "3"


def test_without_matplotlib_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(pages.importlib.util, "find_spec", lambda name: None)
    refused = CliRunner().invoke(app, ["report", str(make(tmp_path / "run")), "--out", str(tmp_path / "page.html")]).exception
    assert isinstance(refused, MountError)
    assert "siim-kernel[report]" in str(refused)


def rewrite(folder, name, table):
    """Another table in a run, its hash in the record too."""
    table.to_csv(folder / name, index=False)
    record = json.loads((folder / runs.RECORD).read_text())
    record["files"][name] = runs.sha256(folder / name)
    (folder / runs.RECORD).write_text(json.dumps(record))


def test_a_record_without_training_facts_and_a_history_without_accuracy(tmp_path):
    folder = make(tmp_path / "run", training=None, split=None)
    table = pd.DataFrame({"phase": [1], "epoch": [1], "loss": [0.5], "val_loss": ["nan"]})
    rewrite(folder, runs.HISTORY, table)
    _, text = written(tmp_path, [folder])
    assert "the training accuracy is not recorded" in text.lower()
    assert "not recorded" in text


def test_names_tell_runs_apart(tmp_path):
    folders = [make(tmp_path / "a" / "fold-0"), make(tmp_path / "b"), make(tmp_path / "c", MAIN)]
    assert [each.name for each in report_data.load(folders)] == ["thesis-opacity (a/fold-0)", "thesis-opacity (b)", "main"]


def test_what_cannot_be_pooled_is_named(tmp_path):
    with pytest.raises(RunError, match="was named twice"):
        report_data.load([make(tmp_path / "run"), tmp_path / "a" / ".." / "run"])
    with pytest.raises(RunError, match="no run was given"):
        report_data.load([])
    make(tmp_path / "recipes" / "fold-0")
    make(tmp_path / "recipes" / "fold-1", UNION, 1)
    with pytest.raises(RunError, match="are folds of different recipes: name"):
        report_data.load([tmp_path / "recipes"])
    make(tmp_path / "splits" / "fold-0")
    make(tmp_path / "splits" / "fold-1", fold=1, split={"sha256": "cd" * 32})
    with pytest.raises(RunError, match="are folds of different splits"):
        report_data.load([tmp_path / "splits"])
    make(tmp_path / "twice" / "fold-0")
    make(tmp_path / "twice" / "fold-1", fold=1)
    with pytest.raises(RunError, match="30 films validate more than one run in .*, the first is i000"):
        report_data.load([tmp_path / "twice"])
    everything = films()
    make(tmp_path / "tests" / "fold-0", validating=everything[:20], final=everything[50:])
    make(tmp_path / "tests" / "fold-1", fold=1, validating=everything[20:40])
    with pytest.raises(RunError, match=r"fold-1 has no final_test.csv, .*fold-0 has one"):
        report_data.load([tmp_path / "tests"])


def test_a_table_with_a_word_for_a_number_is_named(tmp_path):
    folder = make(tmp_path / "run")
    table = pd.read_csv(folder / runs.OUT_OF_FOLD, dtype=object)
    table.loc[3, "Yes"] = "many"
    rewrite(folder, runs.OUT_OF_FOLD, table)
    with pytest.raises(TableError, match="Yes holds 'many', which is no number"):
        report_data.load([folder])


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
