"""The made competition as files, and that its films carry their class."""

import ast
import dataclasses
import hashlib

import cv2
import numpy as np
import pandas as pd
import pytest
from pydicom import dcmread
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from siim_kernel.errors import MountError, RecipeError
from siim_kernel.labels import STUDY_CLASSES, STUDY_COLUMNS
from siim_kernel.phantom import cohort, exposure, films
from siim_kernel.phantom.anatomy import SIDES, lung_outline, of_patient, posed
from siim_kernel.phantom.canvas import Canvas
from siim_kernel.phantom.chest import draw_chest
from siim_kernel.phantom.draws import stream
from siim_kernel.phantom.films import film_shape, make_competition, render
from siim_kernel.phantom.findings import plan_findings
from siim_kernel.phantom.opacities import draw_findings
from siim_kernel.phantom.sheet import contact_sheet
from siim_kernel.phantom.storage import storages, store

STUDIES, SEED, SCALE = 64, 4, 0.08


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("made")
    seen = []
    make_competition(out, studies=STUDIES, seed=SEED, scale=SCALE, workers=2, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(done, len(seen)) for done in range(1, len(seen) + 1)]
    return out


@pytest.fixture(scope="module")
def plans():
    return cohort.plan(STUDIES, SEED)


def digests(folder):
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}


def groups(text):
    tokens = text.split(" ")
    assert len(tokens) % 6 == 0
    return [(tokens[i], *map(float, tokens[i + 1 : i + 6])) for i in range(0, len(tokens), 6)]


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_the_same_arguments_give_the_same_bytes_on_any_number_of_workers(tmp_path):
    for name, workers in (("one", 1), ("two", 2)):
        make_competition(tmp_path / name, studies=12, seed=1, scale=0.06, workers=workers)
    assert digests(tmp_path / "one") == digests(tmp_path / "two")
    make_competition(tmp_path / "other", studies=12, seed=2, scale=0.06)
    assert not set(digests(tmp_path / "one").values()) & set(digests(tmp_path / "other").values())


def test_the_folder_has_the_form_of_the_real_one(made, plans):
    folder = made / "competition"
    study = pd.read_csv(folder / "train_study_level.csv")
    image = pd.read_csv(folder / "train_image_level.csv")
    sample = pd.read_csv(folder / "sample_submission.csv")
    assert list(study) == ["id", *STUDY_COLUMNS.values()]
    assert list(image) == ["id", "boxes", "label", "StudyInstanceUID"]
    assert list(sample) == ["id", "PredictionString"]
    assert study.id.str.fullmatch("[0-9a-f]{12}_study").all()
    assert image.id.str.fullmatch("[0-9a-f]{12}_image").all()
    assert image.StudyInstanceUID.isin(study.id.str.removesuffix("_study")).all()
    assert (study[list(STUDY_COLUMNS.values())].sum(axis=1) == 1).all()
    suffix = np.where(sample.id.str.endswith("_study"), "negative 1 0 0 1 1", "none 1 0 0 1 1")
    assert (sample.PredictionString == suffix).all()
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*.dcm")}
    assert files == {f"{p.study.split}/{p.study.study}/{p.series}/{p.image}.dcm" for p in plans}
    assert all(b"\r" not in path.read_bytes() for path in made.rglob("*.csv"))


def test_labels_boxes_and_solution_agree(made, plans):
    image = pd.read_csv(made / "competition/train_image_level.csv", index_col="id")
    solution = pd.read_csv(made / "solution.csv", index_col="id")
    sample = pd.read_csv(made / "competition/sample_submission.csv")
    assert list(solution.index) == list(sample.id)
    assert solution.Usage.eq("Private").all()
    forms = storages(stream("storage", SEED), [plan.study.view for plan in plans])
    boxed_in_test = 0
    for plan, form in zip(plans, forms, strict=True):
        train = plan.study.split == "train"
        text = image.label[f"{plan.image}_image"] if train else solution.PredictionString[f"{plan.image}_image"]
        found = groups(text)
        if not train:
            boxed_in_test += found[0][0] == "opacity"
            assert solution.PredictionString[f"{plan.study.study}_study"] == f"{plan.study.label} 1 0 0 1 1"
        rows, columns = film_shape(form, SCALE)
        if plan.study.label == "negative" or not plan.annotated:
            assert found == [("none", 1, 0, 0, 1, 1)]
            continue
        for kind, _, xmin, ymin, xmax, ymax in found:
            if kind == "opacity":
                assert 0 <= xmin < xmax <= columns
                assert 0 <= ymin < ymax <= rows
        if train and found[0][0] == "opacity":
            rows_of_boxes = ast.literal_eval(image.boxes[f"{plan.image}_image"])
            corners = [(b["x"], b["y"], b["x"] + b["width"], b["y"] + b["height"]) for b in rows_of_boxes]
            np.testing.assert_allclose(corners, [box[2:] for box in found], atol=1e-4)
        if plan.study.label in ("typical", "indeterminate"):
            assert found[0][0] == "opacity"
    assert boxed_in_test


def test_every_file_decodes_to_the_rendered_values(made, plans):
    forms = storages(stream("storage", SEED), [plan.study.view for plan in plans])
    for plan, form in zip(plans, forms, strict=True):
        path = made / "competition" / plan.study.split / plan.study.study / plan.series / f"{plan.image}.dcm"
        dataset = dcmread(path)
        film = render(plan, film_shape(form, SCALE))
        expected = store(film.greys, film.padding, form)
        np.testing.assert_array_equal(dataset.pixel_array, expected)
        assert dataset.SOPInstanceUID == plan.image
        assert (dataset.StudyInstanceUID, dataset.SeriesInstanceUID) == (plan.study.study, plan.series)
        assert dataset.PatientID == plan.study.patient
        assert dataset.file_meta.TransferSyntaxUID == form.syntax


def test_right_is_left_and_dense_is_bright(plans):
    clear = [plan for plan in plans if plan.study.pattern == "clear"][:12]
    greys = np.mean([cv2.resize(render(plan, (160, 192)).greys, (96, 80)) for plan in clear], axis=0)
    lung = greys[30:45, 16:30].mean()
    assert greys[72:, 20:76].mean() > lung + 0.2  # abdomen
    assert greys[30:50, 44:52].mean() > lung + 0.2  # spine
    # The heart's apex is to the right of the film.
    assert greys[48:56, 55:66].mean() > greys[48:56, 30:41].mean() + 0.03


def test_the_right_dome_stands_higher(plans):
    for plan in plans:
        body = posed(of_patient(plan.study.patient), plan.study.study, plan.study.view)
        domes = []
        for side in SIDES:
            outline = lung_outline(body, side)
            assert (outline[:, 0].mean() < 0) == (side == "right")  # the patient's right is on the left of the film
            middle = outline[(abs(outline[:, 0]) > 0.4) & (abs(outline[:, 0]) < 0.6)]
            domes.append(middle[:, 1].max())
        assert domes[0] < domes[1]


def test_findings_are_bright_against_the_other_lung(plans):
    one_sided = [p for p in cohort.plan(400, 5) if p.study.pattern == "one lung" and p.study.severity > 0.35][:20]
    brighter = 0
    for plan in one_sided:
        film = render(plan, (120, 140))
        (xmin, ymin, xmax, ymax), columns = np.rint(film.boxes[0]).astype(int), film.greys.shape[1]
        brighter += film.greys[ymin:ymax, xmin:xmax].mean() > film.greys[ymin:ymax, columns - xmax : columns - xmin].mean()
    assert brighter >= 15


# Mean and standard deviation of the boxes of the real train, as shares of the film: distance of the centre from the film's
# middle, height of the centre, width, height.
REAL_BOXES = {"aside": (0.229, 0.067), "down": (0.517, 0.126), "width": (0.218, 0.075), "height": (0.372, 0.162)}


@pytest.mark.slow
def test_boxes_vary_in_place_and_size_as_the_real_ones():
    shares = []
    for plan in cohort.plan(500, seed=8):
        if plan.annotated and plan.study.label != "negative":
            shares += [np.array(box) / (112, 90, 112, 90) for box in render(plan, (90, 112)).boxes]
    left, top, right, bottom = np.array(shares).T
    found = {"aside": abs((left + right) / 2 - 0.5), "down": (top + bottom) / 2, "width": right - left, "height": bottom - top}
    for name, (mean, deviation) in REAL_BOXES.items():
        assert found[name].mean() == pytest.approx(mean, abs=0.25 * deviation), name
        assert found[name].std() == pytest.approx(deviation, rel=0.2), name


def test_boxes_stand_around_what_was_drawn():
    """Without its patches, a film differs inside its boxes and hardly outside them."""
    clean = np.random.default_rng(0)
    for plan in [plan for plan in cohort.plan(120, 6) if plan.study.pattern in ("peripheral, both", "one lung", "mass")][:25]:
        body = posed(of_patient(plan.study.patient), plan.study.study, plan.study.view)
        canvas, _ = films._place(body, (120, 144), plan.study.view, stream("exposure", plan.exposure))
        chest = draw_chest(body, canvas, clean)
        found = plan_findings(plan.study)
        air, boxes = draw_findings(dataclasses.replace(found, scars=(), effusions={}), body, chest, canvas, clean)
        changed = abs(chest.air - air)
        inside = np.zeros(changed.shape, bool)
        for xmin, ymin, xmax, ymax in np.array(boxes, int):
            inside[ymin:ymax, xmin:xmax] = True
        assert boxes
        assert changed[inside].sum() > 0.8 * changed.sum()


def test_the_collimator_leaves_the_lungs():
    changed = 0
    for number in range(200):
        greys = np.full((120, 144), 0.5, np.float32)
        exposure.collimate(greys, stream("collimator", number), 0.0, np.array([9, 8, 135, 112]))
        assert (greys[8:112, 9:135] == 0.5).all()
        changed += (greys != 0.5).any()
    assert changed


@pytest.mark.slow
def test_a_plain_model_finds_the_classes_in_thumbnails(monkeypatch):
    # A linear model knows no shifts: the patients stand all alike before the film.
    monkeypatch.setattr(films, "_place", lambda body, shape, view, rng: (Canvas(shape, [[48, 0, 64], [0, 48, 16]]), 0.0))
    plans = cohort.plan(360, seed=11, test_share=0.4)
    thumbs = np.stack([cv2.resize(render(plan, (112, 128)).greys, (28, 28), interpolation=cv2.INTER_AREA).ravel() for plan in plans])
    labels = np.array([STUDY_CLASSES.index(plan.study.label) for plan in plans])
    test = np.array([plan.study.split == "test" for plan in plans])
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.003, max_iter=300)).fit(thumbs[~test], labels[~test])
    shares = model.predict_proba(thumbs[test])
    assert roc_auc_score(labels[test] == 1, shares[:, 1]) > 0.7
    assert 0.58 < roc_auc_score(labels[test] == 0, shares[:, 0]) < 0.97


def test_what_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "old").write_text("x")
    with pytest.raises(MountError, match="not empty"):
        make_competition(tmp_path, studies=12)
    with pytest.raises(MountError, match="is a file"):
        make_competition(tmp_path / "old", studies=12)
    for scale in (0, 0.01, 1.5, float("nan"), "half"):
        with pytest.raises(RecipeError, match="scale"):
            make_competition(tmp_path / "new", studies=12, scale=scale)
    with pytest.raises(RecipeError, match="studies"):
        make_competition(tmp_path / "new", studies=0)
    with pytest.raises(RecipeError, match="workers"):
        make_competition(tmp_path / "new", workers=0)
    assert not (tmp_path / "new").exists()


def test_the_contact_sheet(tmp_path):
    contact_sheet(tmp_path / "sheet.png", columns=2, side=96, studies=24, scale=0.06)
    assert cv2.imread(str(tmp_path / "sheet.png")).shape == (4 * 96, 2 * 96, 3)
