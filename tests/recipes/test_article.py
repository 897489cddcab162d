"""The article's recipes, every number against tables typed from the thesis's section 2.3."""

import csv
from pathlib import Path

import pytest

from siim_kernel.recipes.article import ARTICLE, MEASURES
from siim_kernel.recipes.catalogue import PUBLISHED, expected_text, printed_lines

DATA = Path(__file__).parent.parent / "data"
PREFIX = {"inception_v3": "inception-v3"}
SIZES = (256, 512, 1024)
AT_224 = ("alexnet", "vgg16", "vgg19")


def typed_rows(name):
    with open(DATA / name, newline="") as file:
        return list(csv.DictReader(file))


ROWS, RSNA = typed_rows("article_recipes.csv"), typed_rows("article_rsna.csv")


def name_of(row, size):
    ending = "" if size == 256 else f"-{size}"
    return f"article-{PREFIX.get(row['network'], row['network'])}-{row['start'].lower()}{ending}"


EACH = [(row, size) for row in ROWS for size in (*SIZES, 224) if size != 224 or row["network"] in AT_224]


def test_each_network_stands_there_at_each_size_with_and_without_pretraining():
    assert len(ROWS) == 14
    names = [name_of(row, size) for row, size in EACH] + [f"article-rsna-{row['task']}" for row in RSNA]
    assert len(names) == 14 * 3 + 6 + 2
    assert sorted(published.recipe.name for published in ARTICLE) == sorted(names)


@pytest.mark.parametrize(("row", "size"), EACH, ids=lambda value: str(value) if isinstance(value, int) else name_of(value, 256))
def test_every_number_is_the_typed_one(row, size):
    published = PUBLISHED[name_of(row, size)]
    recipe = published.recipe
    assert published.measures == {name: (float(row[name]), float(row[f"{name}_sd"])) for name in MEASURES}
    assert (recipe.network, recipe.weights, recipe.pixels.size) == (row["network"], "imagenet" if row["start"] == "P" else "", size)
    assert (recipe.labels, recipe.heads, recipe.scaling) == ("label_opacity", ("study",), "backbone")
    assert recipe.batch == {256: 16, 512: 8, 1024: 2, 224: 16}[size]
    top, dropout = (("flatten", "fc6", "fc7"), 0.5) if size == 224 else (("pooling",), 0.0)
    assert (recipe.top, recipe.dropout) == (top, dropout)
    assert [phase.trainable for phase in recipe.phases] == (["head", "all"] if row["start"] == "P" else ["all"])
    assert ("row is of 256 px" in published.remark) == (size != 256)
    printed = {"network", "weights", "pixels"} | ({"pixels.size"} if size != 224 else set())
    assert not printed & set(published.inferred)
    assert {"phases", "batch", "top", "augmentation"} <= set(published.inferred)


@pytest.mark.parametrize("row", RSNA, ids=lambda row: row["task"])
def test_the_seven_folds_on_rsna_data(row):
    published = PUBLISHED[f"article-rsna-{row['task']}"]
    assert published.figures == {name: float(row[name]) for name in ("PPV", "NPV")}
    assert (published.recipe.network, published.recipe.n_folds) == (row["network"], int(row["folds"]))
    assert "n_folds" not in published.inferred
    told = (int(row[name]) for name in ("films", "normal", "abnormal", "test_films", "test_normal", "test_abnormal"))
    assert all(f"{count:,}" in published.remark for count in told)
    assert int(row["films"]) == int(row["normal"]) + int(row["abnormal"])
    assert expected_text(published.recipe) == f"PPV {row['PPV']}, NPV {row['NPV']}"
    assert f"NPV: {row['NPV']}" in printed_lines(published.recipe)


@pytest.mark.parametrize("row", RSNA, ids=lambda row: row["task"])
def test_whole_films_give_the_printed_predictive_values(row):
    """Some count of misses and false alarms on the printed test films gives both values, rounded as printed."""
    normal, abnormal = int(row["test_normal"]), int(row["test_abnormal"])

    def both(missed, alarms):
        hits, quiet = abnormal - missed, normal - alarms
        return round(100 * hits / (hits + alarms), 2), round(100 * quiet / (quiet + missed), 2)

    wanted = (float(row["PPV"]), float(row["NPV"]))
    assert any(both(missed, alarms) == wanted for missed in range(abnormal // 4) for alarms in range(normal // 4))
