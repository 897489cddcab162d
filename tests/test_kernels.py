"""The whole story on a small made competition: images, runs, a submission, and what broken inputs cost."""

import csv
import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from siim_kernel import cli, clock, files, kernels, on_kaggle, runs
from siim_kernel.competition import checking, submission, tables
from siim_kernel.errors import ImageSetError, MountError, RecipeError, RunError, SubmissionError, TableError
from siim_kernel.labels import NONE, STUDY_CLASSES
from siim_kernel.learning import plan
from siim_kernel.pixels import imagesets, reading
from siim_kernel.recipes import catalogue as recipes
from siim_kernel.recipes.recipe import PixelRecipe
from tests.pixels import faults

TINY = replace(
    recipes.by_name("small"),
    name="tiny",
    network="cnn9",
    pixels=PixelRecipe(size=32),
    phases=(replace(recipes.by_name("small").phases[0], epochs=1),),
    n_folds=2,
    batch=4,
)


def silent(line):
    pass


@pytest.fixture(scope="module")
def images(phantom, tmp_path_factory):
    """The image set of the training films."""
    out = tmp_path_factory.mktemp("images") / "set"
    kernels.build_images(phantom / "competition", out, [TINY.pixels], split="train", workers=1)
    return out


@pytest.fixture(scope="module")
def trained(phantom, images, tmp_path_factory):
    """The folder of a finished fold 0."""
    out = tmp_path_factory.mktemp("trained")
    kernels.train(TINY, [images], phantom / "competition", out, fold=0, say=silent)
    return out


@pytest.fixture
def competition(phantom, tmp_path):
    """A competition folder of one's own: test/ and the sample alone, as an inference kernel needs them."""
    folder = tmp_path / "competition"
    folder.mkdir()
    shutil.copytree(phantom / "competition" / "test", folder / "test")
    shutil.copyfile(phantom / "competition" / tables.SAMPLE, folder / tables.SAMPLE)
    return folder


def predict(competition, trained, out):
    return kernels.predict(competition, [trained], out / "submission.csv", workers=1)


def rows_of(path):
    """Groups of a submission by row id."""
    return {row.id: submission.parse(row.PredictionString) for row in submission.read(path).itertuples()}


def listed(folder):
    with open(folder / "not_read.csv", newline="") as file:
        return list(csv.reader(file))


def assert_legal(predicted, competition):
    sizes, _ = tables.film_sizes(competition, "test")
    report = checking.check(predicted.submission, competition / tables.SAMPLE, sizes)
    assert report.ok, report.faults[:3]
    assert report.warnings == []


def assert_priors(groups, priors, names):
    found = {group.name: group.confidence for group in groups if group.name in names}
    assert found == pytest.approx({name: priors[name] for name in names}, abs=1e-9)


def test_image_sets_are_of_the_split_asked_for(phantom, images, tmp_path):
    competition = phantom / "competition"
    opened = imagesets.open_set(images, TINY.pixels)
    assert sorted(opened.table["image"]) == sorted(tables.films(competition, "train")["image"])
    progress = []
    built = kernels.build_images(
        competition, tmp_path / "both", [TINY.pixels], workers=1, progress=lambda done, total: progress.append((done, total))
    )
    count = sum(len(tables.films(competition, split)) for split in tables.SPLITS)
    assert (built.images, built.not_read) == (count, ())
    assert progress[-1] == (count, count)


def test_image_sets_need_films_and_no_csv(competition, tmp_path):
    (competition / tables.SAMPLE).unlink()
    built = kernels.build_images(competition, tmp_path / "set", [TINY.pixels], workers=1)  # both: of what is there
    assert built.images == len(tables.films(competition, "test"))
    with pytest.raises(MountError, match="train"):
        kernels.build_images(competition, tmp_path / "train", [TINY.pixels], split="train")
    with pytest.raises(MountError, match="neither train/ nor test/"):
        kernels.build_images(tmp_path / "set", tmp_path / "none", [TINY.pixels])


def test_a_trained_fold_is_stored_and_keeps_patients_apart(phantom, images, trained):
    (run,) = runs.load_all([trained])
    assert (run.folder, run.fold, run.recipe) == (trained / "fold-0", 0, TINY)
    folds = pd.read_csv(run.folder / runs.FOLDS)
    table = imagesets.open_set(images, TINY.pixels).table[["image", "patient"]].merge(folds, left_on="image", right_on="imageid")
    assert table.groupby("patient")["fold"].nunique().max() == 1
    stored = pd.read_csv(run.folder / runs.OUT_OF_FOLD)
    assert sorted(stored["image"]) == sorted(folds["imageid"][folds["fold"] == 0])


@pytest.mark.slow
def test_all_folds_in_turn_by_a_csv_and_from_pngs(phantom, images, trained, tmp_path):
    competition = phantom / "competition"
    kernels.build_images(competition, tmp_path / "png", [TINY.pixels], form="png", split="train", workers=1)
    lines = []
    made = kernels.train(TINY, [tmp_path / "png"], competition, tmp_path / "runs", fold=0, say=lines.append)
    again = runs.load_all([trained])[0]
    assert (made[0].folder / runs.FOLDS).read_bytes() == (again.folder / runs.FOLDS).read_bytes()
    assert (made[0].folder / runs.OUT_OF_FOLD).read_bytes() == (again.folder / runs.OUT_OF_FOLD).read_bytes()
    folds = tmp_path / "folds.csv"
    shutil.copyfile(again.folder / runs.FOLDS, folds)
    made = kernels.train(TINY, [images], competition, tmp_path / "all", folds=folds, say=silent)
    assert [run.fold for run in made] == [0, 1]
    validated = [set(pd.read_csv(run.folder / runs.OUT_OF_FOLD)["image"]) for run in made]
    assert not validated[0] & validated[1]
    assert validated[0] | validated[1] == set(pd.read_csv(folds)["imageid"])


def test_training_says_what_does_not_fit(phantom, images, tmp_path):
    competition = phantom / "competition"
    with pytest.raises(RecipeError, match="there is no fold 7; there are 0, 1"):
        kernels.train(TINY, [images], competition, tmp_path, fold=7, say=silent)
    with pytest.raises(ImageSetError, match="size: stored 32, wanted 48"):
        kernels.train(replace(TINY, pixels=PixelRecipe(size=48)), [images], competition, tmp_path, fold=0, say=silent)
    with pytest.raises(ImageSetError, match="needs an image set of the source competition"):
        kernels.train(TINY, [], competition, tmp_path, fold=0, say=silent)
    (tmp_path / "folds.csv").write_text("imageid,fold\nunknown,0\n")
    with pytest.raises(TableError, match="no fold for"):
        kernels.train(TINY, [images], competition, tmp_path, folds=tmp_path / "folds.csv", say=silent)


def test_the_whole_way_gives_a_legal_file(competition, trained, tmp_path):
    progress = []
    predicted = kernels.predict(competition, [trained], tmp_path / "new" / "submission.csv", workers=1, progress=progress.append)
    assert_legal(predicted, competition)
    films = tables.films(competition, "test")
    assert (predicted.images, predicted.not_read, predicted.unnamed, predicted.trusted) == (len(films), (), (), True)
    assert progress[-1] == len(films)
    assert listed(tmp_path / "new") == [["image_id", "file", "reason"]]
    rows = rows_of(predicted.submission)
    for row_id, groups in rows.items():
        names = [group.name for group in groups]
        assert names == list(STUDY_CLASSES) if row_id.endswith("_study") else names.count(NONE) == 1
    boxes = runs.load_all([trained])[0].prior_boxes
    none, *found = rows[films["image"][0] + "_image"]
    height, width = tables.film_size(films["path"][0])
    assert len(found) == len(boxes)
    for group, (xmin, ymin, xmax, ymax, hits) in zip(found, boxes, strict=True):
        assert group.confidence == pytest.approx((1 - none.confidence) * hits, abs=1e-6)
        assert group.box == pytest.approx((xmin * width, ymin * height, xmax * width, ymax * height), abs=1e-6)


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


BROKEN = {
    "empty": lambda path: path.write_bytes(b""),
    "truncated": truncate,
    "zeros": lambda path: path.write_bytes(bytes(5000)),
    "text": lambda path: path.write_text("<html>404</html>" * 50),
}


def test_broken_films_cost_their_rows_and_no_other(competition, trained, tmp_path):
    whole = rows_of(predict(competition, trained, tmp_path / "whole").submission)
    films = tables.films(competition, "test")
    single = films[~films["study"].duplicated(keep=False)].iloc[: len(BROKEN)].reset_index(drop=True)
    header_kept = {}
    for (name, spoil), film in zip(BROKEN.items(), single.itertuples(), strict=True):
        path = competition / "test" / film.study / film.series / f"{film.image}.dcm"
        spoil(path)
        header_kept[film.image] = name == "truncated"
    predicted = predict(competition, trained, tmp_path / "spoilt")
    assert_legal(predicted, competition)
    rows = rows_of(predicted.submission)
    assert {image for image, _, _ in predicted.not_read} == set(single["image"])
    header, *lines = listed(tmp_path / "spoilt")
    assert header == ["image_id", "file", "reason"]
    assert sorted(lines) == sorted(map(list, predicted.not_read))
    priors = runs.load_all([trained])[0].priors
    for film in single.itertuples():
        (line,) = [line for line in lines if line[0] == film.image]
        assert line[1] == f"test/{film.study}/{film.series}/{film.image}.dcm"
        assert line[2]
        assert_priors(rows[f"{film.study}_study"], priors, STUDY_CLASSES)
        assert_priors(rows[f"{film.image}_image"], priors, [NONE])
        # Boxes need the film's size: the header of a truncated film still states it.
        assert (len(rows[f"{film.image}_image"]) > 1) == header_kept[film.image]
    untouched = set(rows) - {f"{study}_study" for study in single["study"]} - {f"{image}_image" for image in single["image"]}
    for row_id in untouched:
        left, right = whole[row_id], rows[row_id]
        assert [group.name for group in left] == [group.name for group in right]
        np.testing.assert_allclose([group.confidence for group in left], [group.confidence for group in right], atol=1e-6)


def test_a_study_with_one_good_image_uses_it(competition, trained, tmp_path):
    films = tables.films(competition, "test")
    good, lonely = films.iloc[0], films[films["study"] != films["study"][0]].iloc[0]
    before = rows_of(predict(competition, trained, tmp_path / "before").submission)
    broken = competition / "test" / good.study / "another" / "broken.dcm"
    broken.parent.mkdir()
    broken.write_bytes(b"")
    with open(competition / tables.SAMPLE, "a") as file:
        file.write("broken_image,none 1 0 0 1 1\n")
    predicted = predict(competition, trained, tmp_path / "after")
    after = rows_of(predicted.submission)
    assert [image for image, _, _ in predicted.not_read] == ["broken"]
    for study in (good.study, lonely.study):
        confidences = [[group.confidence for group in rows[f"{study}_study"]] for rows in (before, after)]
        np.testing.assert_allclose(*confidences, atol=1e-6)


def test_sample_and_folder_may_differ(competition, trained, tmp_path):
    """A sample id without a file gets the priors and is listed; a film that the sample does not name is named."""
    films = tables.films(competition, "test")
    sample = (competition / tables.SAMPLE).read_text()
    dropped = films["image"].iloc[-1]
    lines = [line for line in sample.splitlines(keepends=True) if not line.startswith(dropped)]
    (competition / tables.SAMPLE).write_text("".join(lines) + "ghost_study,negative 1 0 0 1 1\nghost_image,none 1 0 0 1 1\n")
    predicted = predict(competition, trained, tmp_path)
    assert_legal(predicted, competition)
    assert predicted.unnamed == (dropped,)
    ((image, file, reason),) = predicted.not_read
    assert (image, file) == ("ghost", "")
    assert "no file" in reason
    priors = runs.load_all([trained])[0].priors
    rows = rows_of(predicted.submission)
    assert_priors(rows["ghost_study"], priors, STUDY_CLASSES)
    assert_priors(rows["ghost_image"], priors, [NONE])
    assert len(rows["ghost_image"]) == 1


@pytest.mark.filterwarnings("error::FutureWarning")
def test_all_films_broken_is_a_legal_file_that_is_not_trusted(competition, trained, tmp_path):
    for path in (competition / "test").rglob("*.dcm"):
        path.write_bytes(b"")
    predicted = predict(competition, trained, tmp_path)
    assert_legal(predicted, competition)
    assert len(predicted.not_read) == predicted.images
    assert not predicted.trusted


@pytest.mark.filterwarnings("error::FutureWarning")
def test_an_empty_test_folder_is_a_legal_file_that_is_not_trusted(competition, trained, tmp_path):
    shutil.rmtree(competition / "test")
    (competition / "test").mkdir()
    predicted = predict(competition, trained, tmp_path)
    assert_legal(predicted, competition)
    assert not predicted.trusted


@pytest.mark.parametrize(("unread", "trusted"), [(0, True), (2, True), (3, False), (10, False)])
def test_more_than_a_fifth_unread_is_not_trusted(tmp_path, unread, trusted):
    predicted = kernels.Predicted(tmp_path, 10, (("i", "f", "r"),) * unread)
    assert predicted.trusted is trusted
    assert any("more than a fifth" in remark for remark in predicted.remarks()) is not trusted


def test_remarks_name_some_and_count_the_rest(tmp_path):
    not_read = tuple((f"i{number}", f"f{number}", "broken") for number in range(kernels.NAMED + 5))
    unnamed = tuple(f"x{number}" for number in range(7))
    predicted = kernels.Predicted(tmp_path, 1000, not_read, fewer=3, unnamed=unnamed, warnings=("ties",))
    *named, more, fewer, warning, others = predicted.remarks()
    assert named == [f"not read: i{number} (f{number}): broken" for number in range(kernels.NAMED)]
    assert more == "not read: 5 more, see not_read.csv"
    assert fewer.startswith("3 images were looked at by fewer networks")
    assert warning == "ties"
    assert others == "7 films under test/ are not in the sample: x0, x1, x2, x3, x4, ..."
    assert kernels.Predicted(tmp_path, 10).remarks() == []


def test_what_is_missing_stops_before_any_film_is_read(competition, trained, tmp_path, monkeypatch):
    from siim_kernel.learning import prediction

    monkeypatch.setattr(prediction, "predict_films", lambda *_, **__: pytest.fail("films were read"))
    with pytest.raises(RunError, match="no finished run"):
        predict(competition, tmp_path / "nowhere", tmp_path)
    with pytest.raises(SubmissionError, match="nowhere.csv"):
        kernels.predict(competition, [trained], tmp_path / "submission.csv", sample=tmp_path / "nowhere.csv")
    (tmp_path / "file").write_text("")
    with pytest.raises(MountError, match="file"):
        kernels.predict(competition, [trained], tmp_path / "file" / "submission.csv")
    (competition / tables.SAMPLE).unlink()
    with pytest.raises(SubmissionError, match=tables.SAMPLE):
        predict(competition, trained, tmp_path)
    shutil.rmtree(competition / "test")
    shutil.copyfile(trained / "fold-0" / runs.FOLDS, competition / "x.csv")
    (competition / tables.SAMPLE).write_text("id,PredictionString\na_image,none 1 0 0 1 1\n")
    with pytest.raises(MountError, match="test"):
        predict(competition, trained, tmp_path)
    assert not (tmp_path / "submission.csv").exists()


def assert_all_priors(path, competition, trained):
    """A legal submission in which every row has the priors."""
    assert checking.check(path, competition / tables.SAMPLE).ok
    priors = runs.load_all([trained])[0].priors
    for row_id, groups in rows_of(path).items():
        assert_priors(groups, priors, STUDY_CLASSES if row_id.endswith("_study") else [NONE])


KILLED = """
import sys, time
from siim_kernel import kernels
from siim_kernel.learning import prediction
def wait(*_, **__):
    print("now", flush=True)
    time.sleep(600)
if sys.argv[4] == "loading":
    prediction.load_model = wait
prediction.KEEP_EVERY = 0.0
kernels.predict(sys.argv[1], [sys.argv[2]], sys.argv[3], workers=1, progress=wait)
"""


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["loading", "first batch"])
def test_a_killed_prediction_leaves_a_legal_file_and_a_true_list(competition, trained, tmp_path, moment):
    whole = rows_of(predict(competition, trained, tmp_path / "whole").submission)
    out = tmp_path / "submission.csv"
    arguments = [sys.executable, "-c", KILLED, competition, trained, out, moment]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "now\n"
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    films = tables.films(competition, "test")["image"].tolist()
    done = films[: TINY.batch] if moment == "first batch" else []
    assert len(films) > len(done)
    header, *lines = listed(tmp_path)
    assert [(image, reason) for image, _, reason in lines] == [(image, plan.NOT_YET) for image in films[len(done) :]]
    if not done:
        assert_all_priors(out, competition, trained)
    assert checking.check(out, competition / tables.SAMPLE).ok
    rows = rows_of(out)
    for image in done:
        left, right = whole[f"{image}_image"], rows[f"{image}_image"]
        np.testing.assert_allclose([group.confidence for group in left], [group.confidence for group in right], atol=1e-6)


def test_a_deadline_that_has_passed_is_a_legal_file_of_priors(competition, trained, tmp_path):
    out = tmp_path / "submission.csv"
    predicted = kernels.predict(competition, [trained], out, workers=1, deadline=clock.after(0))
    assert_all_priors(out, competition, trained)
    films = tables.films(competition, "test")["image"].tolist()
    assert [(image, reason) for image, _, reason in predicted.not_read] == [(image, plan.NO_TIME) for image in films]
    assert listed(tmp_path)[1:] == [list(row) for row in predicted.not_read]
    assert not predicted.trusted


def test_the_command_takes_the_time_it_has_and_says_so(competition, trained, tmp_path):
    out = tmp_path / "submission.csv"
    said = CliRunner().invoke(cli.app, ["predict", str(competition), "--run", str(trained), "--out", str(out), "--max-hours", "0"])
    assert said.exit_code == 1
    assert "do not trust this submission" in said.output
    assert_all_priors(out, competition, trained)
    assert {reason for _, _, reason in listed(tmp_path)[1:]} == {plan.NO_TIME}


class Deadly(str):
    """A path that ends the process which receives it, as a decoder that crashes does."""

    def __reduce__(self):
        return os._exit, (11,)


class Hanging(str):
    """A path that holds up the process which receives it."""

    def __reduce__(self):
        return time.sleep, (600,)


@pytest.mark.slow
def test_a_crash_and_a_hang_cost_their_rows_and_no_other(competition, trained, tmp_path, monkeypatch):
    whole = rows_of(predict(competition, trained, tmp_path / "whole").submission)
    films = tables.films(competition, "test", strict=False)
    crashes, hangs = films["image"][1], films["image"][4]
    kinds = {crashes: Deadly, hangs: Hanging}
    films["path"] = [kinds.get(image, str)(path) for image, path in zip(films["image"], films["path"], strict=True)]
    monkeypatch.setattr(tables, "films", lambda *_, **__: films)
    stream = reading.stream
    monkeypatch.setattr(reading, "stream", lambda *given: stream(*given, seconds=3))
    out = tmp_path / "submission.csv"
    said = CliRunner().invoke(cli.app, ["predict", str(competition), "--run", str(trained), "--out", str(out), "--workers", "2"])
    assert said.exit_code == 0, said.output
    monkeypatch.undo()
    (_, crashed, hung) = listed(tmp_path)
    assert (crashed[0], hung[0]) == (crashes, hangs)
    assert "its decoder crashed" in crashed[2]
    assert "longer than 3 seconds" in hung[2]
    assert checking.check(out, competition / tables.SAMPLE, tables.film_sizes(competition, "test")[0]).ok
    rows, studies = rows_of(out), set(films["study"][films["image"].isin(kinds)])
    priors = runs.load_all([trained])[0].priors
    for image in kinds:
        assert_priors(rows[f"{image}_image"], priors, [NONE])
    untouched = set(rows) - {f"{study}_study" for study in studies} - {f"{image}_image" for image in kinds}
    for row_id in untouched:
        left, right = whole[row_id], rows[row_id]
        np.testing.assert_allclose([group.confidence for group in left], [group.confidence for group in right], atol=1e-6)


def full_disk(monkeypatch, after):
    """From the `after`-th submission on the disk is full, when half of the file is written."""
    count, real = [0], open

    class Full:
        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def write(self, content):
            self.file.write(content[: len(content) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def opened(path, *arguments, **more):
        file = real(path, *arguments, **more)
        if not str(path).endswith("submission.csv.part"):
            return file
        count[0] += 1
        return Full(file) if count[0] >= after else file

    monkeypatch.setattr(files, "open", opened, raising=False)


@pytest.mark.parametrize("after", [1, 2])
def test_a_full_disk_is_named_and_leaves_no_half_of_a_file(competition, trained, tmp_path, monkeypatch, after):
    full_disk(monkeypatch, after)
    with pytest.raises(SubmissionError, match="submission.csv cannot be written: No space left on device; make room in") as caught:
        predict(competition, trained, tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert not list(tmp_path.glob("*.part"))
    assert (tmp_path / "submission.csv").exists() is (after == 2)
    if after == 2:
        assert_all_priors(tmp_path / "submission.csv", competition, trained)
    reasons = {reason for _, _, reason in listed(tmp_path)[1:]}
    assert reasons == {plan.NOT_YET}  # no row of the file that is there was predicted


def test_weights_that_do_not_fit_stop_and_leave_the_priors(competition, trained, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(trained / "fold-0", folder)
    (folder / runs.WEIGHTS).write_bytes(b"no weights")
    with pytest.raises(RunError, match="has changed: SHA-256"):
        predict(competition, folder, tmp_path)
    assert not (tmp_path / "submission.csv").exists()
    run = runs.load(trained / "fold-0")
    facts = {name: run.record[name] for name in ("priors", "prior_boxes", "study_of_labels", "none_of_labels")}
    runs.save(folder, run.recipe, 0, facts)
    with pytest.raises(RunError, match=r"\(recipe tiny\) do not fit the network"):
        predict(competition, folder, tmp_path)
    assert_all_priors(tmp_path / "submission.csv", competition, trained)


def test_a_run_of_another_format_stops(competition, trained, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(trained / "fold-0", folder)
    text = (folder / runs.RECORD).read_text()
    assert f'"format": {runs.FORMAT}' in text
    (folder / runs.RECORD).write_text(text.replace(f'"format": {runs.FORMAT}', '"format": 99', 1))
    with pytest.raises(RunError, match="has format 99, this version reads"):
        predict(competition, folder, tmp_path)


def test_preflight_names_syntaxes_and_decoders(competition):
    films = tables.films(competition, "test")
    (competition / "broken.dcm").write_bytes(b"")
    lines = kernels.preflight([*films["path"], str(competition / "broken.dcm")])
    assert lines[-1] == "1 films without a readable header"
    assert sum(int(line.split()[0]) for line in lines[:-1]) == len(films)


@pytest.mark.parametrize("fault", [faults.crash, faults.hang])
def test_preflight_survives_a_header_that_ends_or_holds_up_its_reader(competition, monkeypatch, fault):
    monkeypatch.setattr(kernels.drafts, "HEADER_SECONDS", 2)
    paths = list(tables.films(competition, "test")["path"])
    lines = kernels.preflight([faults.FilmPath(paths[0], fault), *paths[1:]])
    assert lines[-1] == "1 films without a readable header"
    assert sum(int(line.split()[0]) for line in lines[:-1]) == len(paths) - 1


def test_the_legal_file_stands_before_any_header_is_read(competition, trained, tmp_path, monkeypatch):
    def stands(paths, workers):
        assert checking.check(tmp_path / "submission.csv", competition / tables.SAMPLE).ok
        return ["preflight"]

    monkeypatch.setattr(kernels, "preflight", stands)
    lines = []
    kernels.predict(competition, [trained], tmp_path / "submission.csv", say=lines.append)
    assert lines == ["preflight"]
    kernels.predict(competition, [trained], tmp_path / "submission.csv", say=lines.append, deadline=clock.after(0.5))
    assert lines == ["preflight"]  # half an hour is not spent on all headers


LAYOUTS = {
    "older": {"competition": "covid", "images": "covid-images", "runs": "covid-runs"},
    "newer": {"competition": "competitions/covid", "images": "notebooks/me/covid-images", "runs": "datasets/me/covid-runs"},
}


def mount(source, place):
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(source, target_is_directory=True)


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_kernels_on_both_layouts_of_kaggle(phantom, tmp_path, monkeypatch, capsys, layout):
    monkeypatch.setattr(recipes, "RECIPES", (TINY,))
    monkeypatch.setattr(kernels, "cores", lambda: 1)
    places, root = LAYOUTS[layout], tmp_path / "input"
    mount(phantom / "competition", root / places["competition"])
    on_kaggle.images(root, tmp_path / "one", competition="covid", recipes=("tiny",), split="train")
    assert "0 films not read" in capsys.readouterr().out
    mount(tmp_path / "one", root / places["images"])
    on_kaggle.train(root, tmp_path / "two", competition="covid", image_sets=("covid-images",), imagenet="none", recipe="tiny", fold=0)
    mount(tmp_path / "two" / "runs", root / places["runs"])
    working = tmp_path / "three"
    on_kaggle.predict(root, working, competition="covid", runs=("covid-runs",), max_hours=1)
    said = capsys.readouterr().out
    assert "submission.csv is valid" in said
    assert "WARNING" not in said
    sample = phantom / "competition" / tables.SAMPLE
    assert checking.check(working / "submission.csv", sample).ok
    with pytest.raises(MountError, match="other is not mounted"):
        on_kaggle.predict(root, working, competition="covid", runs=("other",))


def test_the_inference_kernel_warns_and_goes_on(competition, trained, tmp_path, capsys):
    root = tmp_path / "input"
    mount(competition, root / "covid")
    mount(trained, root / "runs")
    for path in sorted((competition / "test").rglob("*.dcm"))[:-1]:
        path.write_bytes(b"")
    sample = [line for line in (competition / tables.SAMPLE).read_text().splitlines() if not line.endswith("_image")]
    (competition / tables.SAMPLE).write_text("\n".join(sample[:-1]) + "\n")  # one film is not in the sample
    on_kaggle.predict(root, tmp_path / "working", competition="covid", runs=("runs",))
    said = capsys.readouterr().out
    assert "films without a readable header" in said
    assert "WARNING: not read: " in said
    assert "WARNING: more than a fifth of the images could not be read" in said
    assert "WARNING: 1 films under test/ are not in the sample: " in said
    assert "submission.csv is valid" in said


def test_a_training_kernel_needs_one_file_of_weights(phantom, images, tmp_path, monkeypatch):
    recipe = replace(TINY, weights="imagenet")
    monkeypatch.setattr(recipes, "RECIPES", (recipe,))
    root = tmp_path / "input"
    mount(phantom / "competition", root / "covid")
    mount(images, root / "images")
    arguments = {"competition": "covid", "image_sets": ("images",), "imagenet": "weights", "recipe": "tiny", "fold": 0}
    with pytest.raises(MountError, match="weights is not mounted"):
        on_kaggle.train(root, tmp_path / "working", **arguments)
    (root / "weights" / "deep").mkdir(parents=True)
    with pytest.raises(MountError, match="it holds nothing"):
        on_kaggle.train(root, tmp_path / "working", **arguments)
    (root / "weights" / "deep" / "a.h5").write_bytes(b"")
    with pytest.raises(RecipeError, match="a.h5 do not fit"):
        on_kaggle.train(root, tmp_path / "working", **arguments)
    (root / "weights" / "b.h5").write_bytes(b"")
    with pytest.raises(MountError, match=r"it holds b.h5, a.h5|it holds a.h5, b.h5"):
        on_kaggle.train(root, tmp_path / "working", **arguments)
