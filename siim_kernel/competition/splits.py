"""Ways to part the films into training, validation and a final test, by the names that recipes use.

Each gives an int64 array `fold`, one number a row of its table: -1 (`FINAL_TEST`) is the final test, which stands in neither
part; 0 .. are folds. The ways of `FOLDED` make n_folds folds, each of which validates in turn. The ways of `HELD_OUT` are the
thesis's own: fold 0 validates and fold 1 is trained on, never the other way round.

The ways of the thesis part by image (sections 4.6.2, 4.8 and 4.10), so that a patient's films stand on both sides; they are here
to repeat it. `split_report` says what stands where.
"""

import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

from siim_kernel.competition import folds
from siim_kernel.competition.folds import linked, stratified
from siim_kernel.errors import RecipeError, TableError

FINAL_TEST = -1
VALIDATION = 0
TRAINING = 1

COMPETITION = "competition"
COLUMNS = ("image", "study", "patient", "label")

SHARE = 0.2  # of validation, and of the competition's films in the final test
FINAL_TEST_FOLDS = 5  # the union's final test is one of five folds ...
FINAL_TEST_SEED = 42  # ... of its own, so that runs with other seeds do not train on it
MATRIX_SHARE = 0.99  # of the final test, in the thesis's matrices of it
ARRAY_SEED = 42
SUFFIXES = (".png", ".jpg", ".jpeg")


def films_of(images):
    """The columns that splits look at, all text: image, study, patient, label and source, rows as in `images`.

    Cells that a union leaves empty (NaN) become ""; without a source a film is the competition's. Raises TableError for an empty
    table, missing columns, and films that occur twice or have no name.
    """
    missing = [name for name in COLUMNS if name not in images]
    if missing:
        raise TableError(f"a split needs the columns {', '.join(COLUMNS)}; the table lacks {', '.join(missing)}")
    if not len(images):
        raise TableError("the table holds no films to part")
    table = images.reindex(columns=[*COLUMNS, "source"]).astype(object).reset_index(drop=True)
    table = table.where(table.notna(), "").astype(str)
    table.loc[table["source"] == "", "source"] = COMPETITION
    repeated = table.image[table["image"].duplicated() | (table["image"] == "")]
    if len(repeated):
        raise TableError(f"each film has an id of its own; {len(repeated)} repeat one or have none, the first is {repeated.iloc[0]!r}")
    return table


def patient(images, n_folds=5, seed=42, duplicates=()):
    """The default: folds that never share a patient, stratified by study class (`folds.make_folds`)."""
    return folds.make_folds(_only_competition(images, "patient"), n_folds, "patient", seed, duplicates)["fold"].to_numpy()


def study(images, n_folds=5, seed=42, duplicates=()):
    """Folds that keep a study together, stratified by its class: where no patient is known. Films of a patient may stand on both sides."""
    return folds.make_folds(_only_competition(images, "study"), n_folds, "study", seed, duplicates)["fold"].to_numpy()


def image(images, n_folds=5, seed=42, duplicates=()):
    """Folds of images drawn at random, stratified by study class: films of a patient stand on both sides."""
    return folds.make_folds(_only_competition(images, "image"), n_folds, "image", seed, duplicates)["fold"].to_numpy()


def union(images, n_folds=5, seed=42, duplicates=()):
    """A fifth of the competition's films as final test, the rest of all sources in folds, stratified by source and class.

    duplicates  groups of image ids that show one film, between sources too

    Nothing that belongs together is parted: a patient's films, a study's, or duplicates. A film without a patient goes by its
    study, or alone. The final test holds films of the competition only, none of which has a duplicate in another source; it is
    the same for every seed, number of folds, order of rows, and set of other sources without duplicates.
    Raises TableError where a source cannot stand in each fold, or too few films are left for a final test.
    """
    table = films_of(images)
    order = np.lexsort((table["image"].to_numpy(str), table["source"] != COMPETITION))
    table = table.iloc[order].reset_index(drop=True)
    groups = _groups(table, duplicates)
    pure = (table["source"] == COMPETITION).groupby(groups).transform("all").to_numpy()
    count = len(np.unique(groups[pure]))
    if count < FINAL_TEST_FOLDS:
        raise TableError(
            f"a final test needs at least {FINAL_TEST_FOLDS} patients (or studies, where patients are not known) of the competition "
            f"without duplicates in other sources; the {len(table)} films have {count}"
        )
    fold = np.zeros(len(table), np.int64)
    drawn = stratified(pd.factorize(table["label"][pure])[0], groups[pure], FINAL_TEST_FOLDS, FINAL_TEST_SEED) == 0
    fold[np.flatnonzero(pure)[drawn]] = FINAL_TEST
    rest = fold != FINAL_TEST
    count = len(np.unique(groups[rest]))
    if not 2 <= n_folds <= count:
        raise TableError(f"{n_folds} folds cannot be made of the {count} groups that the final test leaves; ask for 2..{count}")
    sources = table["source"][rest].to_numpy()
    fold[rest] = stratified(pd.factorize(sources + "/" + table["label"][rest])[0], groups[rest], n_folds, seed)
    for source in np.unique(sources):
        numbers = fold[rest][sources == source]
        lacking = np.setdiff1d(np.arange(n_folds), numbers)
        if len(lacking):
            raise TableError(
                f"source {source} has too few films that can be parted to stand in each of {n_folds} folds: fold {lacking[0]} has none "
                f"of its {len(numbers)}; ask for fewer folds or leave the source out"
            )
    return fold[np.argsort(order)]


def _groups(table, duplicates):
    """One group number a film: those of a patient, those of a study and duplicates are together."""
    place = dict(zip(table["image"], range(len(table)), strict=True))
    together = [[place[name] for name in names if name in place] for names in duplicates]
    for column in ("patient", "study"):
        known = table[table[column] != ""]
        # Ids of two sources that are alike by chance name different people.
        together += known.index.to_series().groupby([known["source"], known[column]]).agg(list).tolist()
    return linked(len(table), together)


def thesis_order(images):
    """The thesis's order of the competition's films, as positions of rows: int64 [N].

    It is the order of pandas 1.x's inner merge of the two training tables: ids ascending, but all images of a study stand at the
    place of the study's first image. Later versions of pandas keep the ids ascending.
    """
    table = films_of(images)
    study = table["study"].where(table["study"] != "", "film " + table["image"])
    rank = table["image"].rank().to_numpy()
    return np.lexsort((rank, pd.Series(rank).groupby(study).transform("min")))


def thesis_folder(images):
    """Of the folder models (6.1-6.3, 6.7, 6.9-6.11): the first 20 % of the table in the thesis's order validate.

    Keras's `ImageDataGenerator(validation_split)` takes the first int(share * N) rows of its table and draws none at random.
    """
    _only_competition(images, "thesis_folder")
    order = thesis_order(images)
    count = int(SHARE * len(order))
    return _held_out(len(order), order[:count], order[count:])


def thesis_array(images):
    """Of the array models (6.4-6.6, 6.8, 6.12): `train_test_split(test_size=0.2, random_state=42)` on the thesis's order.

    scikit-learn rounds the validation part up. The thesis does not print its seed; this one gives its printed counts.
    """
    _only_competition(images, "thesis_array")
    order = thesis_order(images)
    if len(order) < 2:
        raise TableError("a single film cannot be parted into training and validation")
    training, validation = train_test_split(order, test_size=SHARE, random_state=ARRAY_SEED)
    return _held_out(len(order), validation, training)


def thesis_final_test(images, n_folds=5, seed=42, duplicates=(), rest="patient"):
    """The last 20 % of the competition's films by id as final test (section 4.8), the others by `rest`, one of `RESTS`."""
    if rest not in RESTS:
        raise RecipeError(f"beside a final test films are parted by {', '.join(RESTS)}, got {rest!r}")
    table = _only_competition(images, "thesis_final_test")
    fold = np.full(len(table), FINAL_TEST, np.int64)
    others, _ = _by_id(table)
    fold[others] = make_split(table.loc[others], rest, n_folds, seed, duplicates)
    return fold


def thesis_union(images):
    """Of models 9 and 9.1: the last 20 % of the competition's films by id are the final test, of all others the first 20 % validate.

    These others stand as a folder lists its files, without regard to case, so that the hexadecimal ids of the competition come
    before `COVID-1.png`: on the real sets all 5,067 remaining films of the competition validate, and none is trained on.
    """
    table = films_of(images)
    _, test = _by_id(table)
    others = np.setdiff1d(np.arange(len(table)), test)
    names = table["image"].where(table["image"].str.lower().str.endswith(SUFFIXES), table["image"] + ".png")
    files = names.to_numpy(str)[others]
    order = others[np.lexsort((files, np.char.upper(files)))]
    count = int(SHARE * len(order))
    return _held_out(len(table), order[:count], order[count:])


def thesis_continued(images):
    """Of model 10: the final test of models 9 and 9.1 validates every epoch, the competition's other films are trained on.

    No final test is left.
    """
    table = _only_competition(images, "thesis_continued")
    training, validation = _by_id(table)
    return _held_out(len(table), validation, training)


def matrix_films(images, fold):
    """Which films of the thesis's final test stand in its confusion matrices of models 9, 9.1 and 10: bool [N].

    They are the first int(0.99 * n) of the n by id: of 1,267 the printed matrices hold 1,254.
    """
    table = films_of(images)
    test = np.flatnonzero(np.asarray(fold) == FINAL_TEST)
    order = test[np.argsort(table["image"].to_numpy()[test])]
    chosen = np.zeros(len(table), bool)
    chosen[order[: int(MATRIX_SHARE * len(order))]] = True
    return chosen


def _only_competition(images, way):
    """`films_of` a table without other sources; TableError where it has some."""
    table = films_of(images)
    others = sorted(set(table["source"]) - {COMPETITION})
    if others:
        raise TableError(f"the split {way} parts films of the competition, the table also has {', '.join(others)}; split by union")
    return table


def _held_out(size, validation, training):
    """Folds of `size` films out of the positions of those that validate and those that are trained on; the others are final test."""
    if not (len(validation) and len(training)):
        raise TableError(f"{size} films are too few: {len(validation)} would validate and {len(training)} be trained on")
    fold = np.full(size, FINAL_TEST, np.int64)
    fold[validation] = VALIDATION
    fold[training] = TRAINING
    return fold


def _by_id(table):
    """Positions of the competition's films by id: the first 80 %, rounded down, and the others."""
    own = np.flatnonzero(table["source"] == COMPETITION)
    order = own[np.argsort(table["image"].to_numpy()[own])]
    count = int((1 - SHARE) * len(order))
    if not count:
        raise TableError(f"{len(order)} films of the competition are too few to hold {SHARE:.0%} of them out")
    return order[:count], order[count:]


FOLDED = {"patient": patient, "study": study, "image": image, "union": union, "thesis_final_test": thesis_final_test}
HELD_OUT = {
    "thesis_folder": thesis_folder,
    "thesis_array": thesis_array,
    "thesis_union": thesis_union,
    "thesis_continued": thesis_continued,
}
WAYS = (*FOLDED, *HELD_OUT)
OF_SOURCES = ("union", "thesis_union")  # that part the films of several sources together
RESTS = ("patient", "image", "thesis_folder", "thesis_array")


def make_split(images, way="patient", n_folds=5, seed=42, duplicates=()):
    """The folds of `images` by one of `WAYS`: int64 [N], see above.

    n_folds, seed, duplicates  of the ways of `FOLDED`; those of `HELD_OUT` are fixed by the thesis and take no notice of them

    Raises RecipeError for an unknown way, TableError for films that cannot be parted so.
    """
    if way in FOLDED:
        return FOLDED[way](images, n_folds, seed, duplicates)
    if way in HELD_OUT:
        return HELD_OUT[way](images)
    raise RecipeError(f"no split is called {way!r}; there are {', '.join(WAYS)}")


def way_of(recipe, split):
    """The way to part a recipe's films: `split`, by default its own; "thesis" is its own of the thesis, else that of the folder models."""
    if split == "thesis":
        return recipe.split if recipe.split.startswith("thesis") else "thesis_folder"
    return split or recipe.split


def validating(way, n_folds=5):
    """The folds of a way that validate, each in turn: the others of `HELD_OUT` are only ever trained on."""
    if way not in WAYS:
        raise RecipeError(f"no split is called {way!r}; there are {', '.join(WAYS)}")
    return tuple(range(n_folds)) if way in FOLDED else (VALIDATION,)
