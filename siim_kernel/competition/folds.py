"""Folds that keep a patient on one side, and the report that says whether they do.

The competition's 6,334 training images are of 3,261 patients, 1,200 of whom have several studies; the test patients are
others. Folds that split a patient validate on films of people they trained on.
"""

import warnings
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.model_selection import StratifiedGroupKFold

from siim_kernel.competition import tables
from siim_kernel.errors import TableError
from siim_kernel.labels import STUDY_CLASSES

HASH_SIDE = 16  # a perceptual hash of 16 x 16 bits
HASH_DISTANCE = 32  # bits of 256 in which two hashes of one film may differ ...
THUMBNAIL_CORRELATION = 0.97  # ... and the correlation their thumbnails must have


def make_folds(images, n_folds=5, group="patient", seed=42, duplicates=()):
    """Folds stratified by study class: DataFrame imageid, fold (0 .. n_folds - 1) in the order of `images`.

    images      training table with image, study, patient, label
    group       what is never split: "patient" (nor, then, any study), "study" or "image"
    duplicates  groups of image ids that show one film; they join the groups they belong to

    A class with fewer images than folds is spread as far as it goes. Raises TableError where patients are not known or
    there are fewer groups than folds.
    """
    groups = _groups(images, group, duplicates)
    count = len(np.unique(groups))
    if not 2 <= n_folds <= count:
        remedy = f"ask for 2..{count}" if count > 1 else "group by something smaller"
        raise TableError(f"{n_folds} folds cannot be made of {count} groups by {group}; {remedy}")
    codes = pd.Categorical(images["label"], categories=STUDY_CLASSES).codes
    if (codes < 0).any():
        raise TableError(f"image {images.image[codes < 0].iloc[0]} has the unknown class {images.label[codes < 0].iloc[0]!r}")
    return pd.DataFrame({"imageid": images["image"].to_numpy(), "fold": stratified(codes, groups, n_folds, seed)})


def _groups(images, group, duplicates):
    """One group number per image, duplicates joined, and by patient also the images of one study."""
    if group == "patient" and (images["patient"] == "").any():
        unknown = images.image[images["patient"] == ""]
        raise TableError(
            f"the patient of {len(unknown)} images is not known (the first is {unknown.iloc[0]}): the tables do not hold it. "
            f"Give the DICOMs, or a patients CSV (columns {', '.join(tables.PATIENT_COLUMNS)}), or group by study"
        )
    place = dict(zip(images["image"], range(len(images)), strict=True))
    sets = [[place[name] for name in names if name in place] for names in duplicates]
    for column in (group, "study") if group == "patient" else (group,):  # headers may give the images of one study different patients
        sets += images.groupby(column).indices.values()
    return linked(len(images), sets)


def linked(size, sets):
    """Group numbers (int [size]) of what stands in sets of positions: sets that share a member are one group."""
    pairs = [(members[0], other) for members in sets for other in members[1:]]
    left, right = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    return connected_components(coo_array((np.ones(len(pairs)), (left, right)), shape=(size, size)), directed=False)[1]


def stratified(codes, groups, n_folds, seed):
    """Folds (int64 [N]) of whole groups, each with about its share of each stratum.

    codes, groups  numbers of strata and groups, int [N]; there are at least n_folds groups
    """
    names, groups = np.unique(groups, return_inverse=True)
    # The splitter's own shuffle swaps the groups' class counts and leaves their members (scikit-learn 1.6), which
    # undoes the stratification; shuffled numbers of the groups do what it should.
    groups = np.random.default_rng(seed).permutation(len(names))[groups]
    if np.bincount(codes).max() < n_folds:  # the splitter refuses to stratify what no fold can have one of
        codes = np.zeros_like(codes)
    fold = np.empty(len(codes), np.int64)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        for number, (_, members) in enumerate(StratifiedGroupKFold(n_splits=n_folds).split(codes, codes, groups)):
            fold[members] = number
    return fold


def write_folds(folds, path):
    """Writes imageid,fold with LF line ends."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    folds.to_csv(path, index=False, lineterminator="\n")


def read_folds(path, images):
    """Folds of a CSV (columns imageid, fold; -1 is a final test) in the order of `images`; TableError for images without a fold."""
    table = tables.read_csv(path, ["imageid", "fold"])
    table["imageid"] = table["imageid"].str.removesuffix("_image")
    wrong = table[~table["fold"].str.fullmatch(r"(-1|[0-9]{1,6})(\.0)?")]
    if len(wrong):
        raise TableError(f"{path}, line {wrong.index[0]}: a fold is a whole number, got {wrong.fold.iloc[0]!r}")
    repeated = table.imageid[table.imageid.duplicated()]
    if len(repeated):
        raise TableError(f"{path}, line {repeated.index[0]}: image {repeated.iloc[0]} occurs again")
    fold = images["image"].map(table.set_index("imageid")["fold"].astype(float))
    lacking = images.image[fold.isna()]
    if len(lacking):
        raise TableError(f"{path} has no fold for {len(lacking)} of {len(images)} images, the first is {lacking.iloc[0]}")
    return pd.DataFrame({"imageid": images["image"].to_numpy(), "fold": fold.astype(int).to_numpy()})


def read_stored(path):
    """Folds as a run stores them: DataFrame image, fold (int; -1 the final test). TableError for a fold that is no number."""
    table = tables.read_csv(path, ["imageid", "fold"])
    fold = pd.to_numeric(table["fold"], errors="coerce")
    if fold.isna().any():
        raise TableError(f"{path}: a fold is a whole number, got {table['fold'][fold.isna()].iloc[0]!r}; copy the run again")
    return pd.DataFrame({"image": table["imageid"].to_numpy(), "fold": fold.astype(int).to_numpy()})


def perceptual_hash(image):
    """256 bits of one grey image (uint8 [H, W]): signs of its lowest 16 x 16 DCT coefficients about their median (pHash)."""
    small = cv2.resize(image, (4 * HASH_SIDE, 4 * HASH_SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    low = cv2.dct(small)[:HASH_SIDE, :HASH_SIDE].ravel()
    return low > np.median(low[1:])


def find_duplicates(images, names, block=1024):
    """Groups (tuples of names, sorted) of images that show the same film, found by hash and confirmed by correlation.

    images  N squares uint8 [S, S], for example the memory map of an image set; read once, in order
    names   N image ids

    A constant image shows nothing and is like no other.
    """
    hashes, thumbnails = [], []
    for image in images:
        hashes.append(perceptual_hash(image))
        thumbnail = cv2.resize(image, (64, 64), interpolation=cv2.INTER_AREA).astype(np.float32)
        thumbnail -= thumbnail.mean()
        thumbnails.append((thumbnail / (np.linalg.norm(thumbnail) or 1.0)).ravel())  # of a constant image: zeros
    signs = np.where(hashes, 1.0, -1.0).astype(np.float32).reshape(len(hashes), HASH_SIDE**2)
    thumbnails = np.reshape(thumbnails, (len(signs), 64 * 64))
    signs[~thumbnails.any(axis=1)] = 0.0
    pairs = []
    for start in range(0, len(signs), block):
        near = signs[start : start + block] @ signs.T >= HASH_SIDE**2 - 2 * HASH_DISTANCE
        for row, column in np.argwhere(near):
            first = start + row
            if first < column and thumbnails[first] @ thumbnails[column] >= THUMBNAIL_CORRELATION:
                pairs.append((first, column))
    member = linked(len(signs), pairs)
    groups = pd.Series(list(names)).groupby(member).apply(lambda part: tuple(sorted(part)))
    return sorted(group for group in groups if len(group) > 1)


@dataclass(frozen=True)
class Leakage:
    """What stands on both sides of folds: each fold is validation once, the others are its training part.

    patients_known is False where some image has no patient; duplicates_compared is False where there was no image set.
    The counts are of patients in more than one fold, studies in more than one fold, studies whose patient is also in
    another fold, and groups of duplicate images in more than one fold.
    """

    images: int
    studies: int
    patients: int
    patients_known: bool
    shared_patients: int
    split_studies: int
    studies_sharing_patient: int
    duplicates_compared: bool
    duplicate_groups: int
    split_duplicates: int
    examples: tuple[str, ...] = ()

    @property
    def ok(self):
        """True where nothing stands on both sides, as far as could be compared."""
        return not (self.shared_patients or self.split_studies or self.split_duplicates)


def leakage(images, folds, duplicates=None):
    """The `Leakage` of folds (DataFrame imageid, fold); duplicates are groups of image ids, or None if not compared."""
    table = images.merge(folds.rename(columns={"imageid": "image"}), on="image")
    known = table[table["patient"] != ""]
    patients = known.groupby("patient")["fold"].nunique()
    studies = table.groupby("study")["fold"].nunique()
    shared = patients.index[patients > 1]
    split = studies.index[studies > 1]
    fold_of = dict(zip(table["image"], table["fold"], strict=True))
    apart = [group for group in duplicates or () if len({fold_of[name] for name in group if name in fold_of}) > 1]
    examples = [f"patient {name}" for name in shared[:3]] + [f"study {name}" for name in split[:3]]
    examples += ["duplicate images " + ", ".join(group) for group in apart[:3]]
    return Leakage(
        images=len(table),
        studies=len(studies),
        patients=len(patients),
        patients_known=len(known) == len(table),
        shared_patients=len(shared),
        split_studies=len(split),
        studies_sharing_patient=_studies_sharing_patient(known),
        duplicates_compared=duplicates is not None,
        duplicate_groups=len(duplicates or ()),
        split_duplicates=len(apart),
        examples=tuple(examples),
    )


def _studies_sharing_patient(table):
    """Studies of which some image's patient also stands in another fold, by way of another study or of the study itself."""
    folds_of_patient = table.groupby("patient")["fold"].transform("nunique")
    return table.loc[folds_of_patient > 1, "study"].nunique()
