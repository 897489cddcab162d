"""Each recipe of the thesis builds at its own size, and trains an epoch of each phase on real films at a reduced one."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from siim_kernel import kernels, runs
from siim_kernel.competition import external, schemes, splits, tables
from siim_kernel.labels import SCHEMES, STUDY_CLASSES
from siim_kernel.learning import networks, prediction, training
from siim_kernel.pixels import imagesets
from siim_kernel.recipes.catalogue import by_name
from siim_kernel.recipes.thesis import THESIS

SIZE, FILMS = 96, 24
RECIPES = [published.recipe for published in THESIS]


@pytest.fixture(scope="module")
def sets(real_data, tmp_path_factory):
    """(tables, image sets by whether they are equalised) of a small competition of real films, and of a made external set."""
    out = tmp_path_factory.mktemp("real")
    subprocess.run([sys.executable, real_data.parent / "tools" / "real_competition.py", out], check=True, capture_output=True)
    database = tmp_path_factory.mktemp("database")
    import cv2

    for name in ("COVID", "Lung_Opacity", "Normal", "Viral Pneumonia"):
        (database / name / "images").mkdir(parents=True)
        for number in range(1, 9):
            square = np.random.default_rng(number).integers(0, 255, (40, 40), np.uint8)
            cv2.imwrite(str(database / name / "images" / f"{name}-{number}.png"), square)
        heading = pd.DataFrame({"FILE NAME": [f"{name}-{number}" for number in range(1, 9)], "FORMAT": "PNG"})
        heading.to_excel(database / f"{name}.metadata.xlsx", index=False)
    opened = {}
    for equalise in (False, True):
        pixels = replace(RECIPES[0].pixels, size=SIZE, equalise=equalise)
        folder = tmp_path_factory.mktemp("sets") / str(equalise)
        kernels.build_images(out / "competition", folder / "competition", [pixels], split="train", workers=2)
        kernels.build_external(database, folder / "radiography", [pixels], workers=2, say=lambda line: None)
        opened[equalise] = [imagesets.open_set(folder / name) for name in ("competition", "radiography")]
    return tables.read_training(out / "competition", headers=False).images.assign(source=splits.COMPETITION), opened


def material(sets, recipe):
    """A few films of each class and source that the recipe's split can part."""
    table, opened = sets
    films = table.groupby("label", group_keys=False).head(FILMS // 4)
    competition, radiography = opened[recipe.pixels.equalise]
    if len(recipe.sources) == 1:
        return training.join(competition, films.reset_index(drop=True))
    films = pd.concat([films, external.training_table(radiography.table)], ignore_index=True)
    return training.join(imagesets.union([competition, radiography]), films)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_it_builds_at_its_own_size(recipe):
    model = networks.build(networks.without_imagenet(recipe))
    assert model.input_shape == (None, 299, 299, 1)
    assert model.output["study"].shape == (None, len(SCHEMES[recipe.labels].labels))
    features = {"xception": 2048, "cnn9": 64, "inception_v3": 2048 * 8 * 8, "vgg16": 256}[recipe.network]
    if recipe.network == "inception_v3" and "pooling" in recipe.top:
        features = 2048
    assert model.get_layer("study").kernel.shape[0] == features


@pytest.mark.slow
@pytest.mark.real
@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_it_trains_an_epoch_of_each_phase(sets, recipe, tmp_path, monkeypatch):
    seen, original = [], networks.set_trainable

    def watch(model, given, part):
        seen.append((part, [array.copy() for array in model.get_layer(networks.BACKBONE).get_weights()]))
        original(model, given, part)

    monkeypatch.setattr(networks, "set_trainable", watch)
    short = replace(
        recipe,
        weights="",
        batch=8,
        pixels=replace(recipe.pixels, size=SIZE),
        phases=tuple(replace(each, epochs=1) for each in recipe.phases),
    )
    films = material(sets, short)
    made = films.table[["image"]].set_axis(["imageid"], axis=1)
    made["fold"] = splits.make_split(films.table, recipe.split)
    start = None
    if recipe.start:
        start = begun(sets, tmp_path / "start", by_name(recipe.start))
    seen.clear()
    run = training.train_fold(short, films, made, 0, tmp_path / "run", start=start, say=lambda line: None)
    history = pd.read_csv(run.folder / runs.HISTORY)
    assert history["phase"].tolist() == list(range(1, len(recipe.phases) + 1))
    assert np.isfinite(history[["loss", "val_loss"]].to_numpy()).all()
    phases = seen[1 : 1 + len(recipe.phases)]  # the first is of building
    assert [part for part, _ in phases] == [phase.trainable for phase in recipe.phases]
    stored = prediction.load_model(run).get_layer(networks.BACKBONE).get_weights()  # the last epoch's
    after = [*(weights for _, weights in phases[1:]), stored]
    for (part, before), then in zip(phases, after, strict=True):
        same = all(np.array_equal(left, right) for left, right in zip(before, then, strict=True))
        assert same == (part == "head"), "a frozen backbone stays, statistics too, and one that learns does not"
    predicted = pd.read_csv(run.folder / runs.OUT_OF_FOLD)
    np.testing.assert_allclose(predicted[list(SCHEMES[recipe.labels].labels)].sum(axis=1), 1, atol=1e-5)
    assert len(predicted) == (made["fold"] == 0).sum()
    assert (run.folder / runs.FINAL_TEST).exists() == (recipe.split == "thesis_union")
    learnt, not_held_out = films.table[made["fold"] > 0], films.table[made["fold"] >= 0]
    known = learnt if learnt["label"].isin(STUDY_CLASSES).any() else not_held_out
    assert run.record["study_of_labels"] == schemes.to_study(SCHEMES[recipe.labels], known).tolist()


def begun(sets, folder, recipe):
    """A run to start from: the recipe at the reduced size, an epoch."""
    short = replace(recipe, weights="", batch=8, pixels=replace(recipe.pixels, size=SIZE), phases=(replace(recipe.phases[0], epochs=1),))
    films = material(sets, short)
    made = films.table[["image"]].set_axis(["imageid"], axis=1)
    made["fold"] = splits.make_split(films.table, recipe.split)
    return training.train_fold(short, films, made, 0, folder, say=lambda line: None)
