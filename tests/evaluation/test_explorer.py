"""The page of an exploration, of each kind of source, and the command."""

import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from siim_kernel import kernels
from siim_kernel.errors import MountError
from siim_kernel.evaluation import explorer, pages, sampling, sources
from siim_kernel.pixels import imagesets
from siim_kernel.recipes.recipe import PixelRecipe
from tests.evaluation.test_pages import Outline
from tests.pixels import competitions

TITLES = [
    "Files",
    "Label schemes",
    "Images labelled none in studies that are not negative",
    "Images, studies and patients",
    "Boxes",
    "Sizes of the films",
    "How the films are stored",
    "Stored values",
    "A sheet of films",
    "Before and after",
    "Duplicates",
    "Leakage",
]
STUDIES = "id,Negative for Pneumonia,Typical Appearance,Indeterminate Appearance,Atypical Appearance\n"


def text_of(section):
    return " ".join(part.text for part in section.parts if isinstance(part, pages.Text))


@pytest.fixture(scope="module")
def image_set(phantom, tmp_path_factory):
    folder = tmp_path_factory.mktemp("explored") / "set"
    kernels.build_images(phantom / "competition", folder, [PixelRecipe(size=64)], workers=2)
    return folder


@pytest.fixture(scope="module")
def of_competition(phantom, image_set):
    return sources.read(phantom / "competition", images=image_set, sample=10, workers=2)


def write_tables(folder, studies, images):
    folder.mkdir()
    (folder / "train_study_level.csv").write_text(STUDIES + "".join(f"{line}\n" for line in studies))
    (folder / "train_image_level.csv").write_text("id,boxes,label,StudyInstanceUID\n" + "".join(f"{line}\n" for line in images))
    return folder


def test_a_competition_folder_tells_everything(of_competition):
    sections, found = explorer.page_of(of_competition)
    assert [section.title for section in sections] == TITLES
    assert not any("Left out" in text_of(section) for section in sections)
    assert len(of_competition.shown) == sampling.SHOWN
    assert of_competition.remarks == ()
    assert len(of_competition.values) == 10
    assert len(found["sheet"]) == sampling.SHOWN
    words = explorer.lead(of_competition, found)
    assert re.fullmatch(
        r"A competition folder: \d+ films \(\d+ for training and \d+ for test\) of \d+ studies and \d+ patients\. No flaw was found in "
        r"the files\. Parted at random by image, [\d.]+\xa0% of the validation films would have a patient who is trained on too\.",
        words,
    )
    assert found["photometric"]["films"].sum() == len(of_competition.films)
    page = pages.render("t", sections)
    outline = Outline(page)
    assert not re.search(r"https?:", page)
    assert all(attrs["aria-label"].strip() for attrs in outline.all("svg"))
    assert len(outline.all("svg")) == len(outline.all("details")) >= 15  # every figure has its numbers


def test_patients_and_sizes_are_those_of_the_headers(of_competition, phantom):
    from siim_kernel.competition import tables

    wanted = tables.read_training(phantom / "competition").images
    for name in ("image", "patient", "rows", "columns"):
        assert of_competition.images[name].tolist() == wanted[name].tolist()


def test_boxes_on_the_sheet_are_at_the_same_place_as_on_the_film(of_competition):
    images = of_competition.images.set_index("image")
    boxed = [film for film in of_competition.shown if len(film.boxes)]
    assert boxed
    [sheet] = explorer.page_of(of_competition)[0][TITLES.index("A sheet of films")].parts
    assert "Films with their boxes" in sheet.alt
    assert all(f"{images.loc[film.image, 'label']}, {film.image}" in sheet.alt for film in boxed)
    for film in boxed:
        row, (height, width) = images.loc[film.image], film.picture.shape
        assert max(height, width) == sampling.SIDE
        factors = np.array([width / row["columns"], height / row["rows"]] * 2)
        np.testing.assert_allclose(film.boxes, np.array(row["boxes"]) * factors)


def test_the_tables_alone_say_what_they_cannot_tell(phantom, tmp_path):
    for name in ("train_study_level.csv", "train_image_level.csv"):
        (tmp_path / name).write_bytes((phantom / "competition" / name).read_bytes())
    read = sources.read(tmp_path)
    left_out = {section.title for section in explorer.page_of(read)[0] if "eft out" in text_of(section)}
    assert left_out == set(TITLES) - set(TITLES[:3])
    assert read.kind == "the tables alone"


def test_the_tables_with_patients_and_meta_tell_more(tmp_path):
    folder = write_tables(
        tmp_path / "tables",
        ["s1_study,1,0,0,0", "s2_study,0,1,0,0"],
        ["a_image,,none 1 0 0 1 1,s1", "b_image,\"[{'x': 10, 'y': 20, 'width': 30, 'height': 40}]\",opacity 1 10 20 40 60,s2"],
    )
    (folder / "meta.csv").write_text("image_id,dim0,dim1,split\na,100,200,train\nb,100,200,train\nc,9,9,test\n")
    (tmp_path / "patients.csv").write_text("patientid,studyid,imageid\np,s1,a\np,s2,b\n")
    read = sources.read(folder, patients=tmp_path / "patients.csv")
    sections, found = explorer.page_of(read)
    assert found["boxes"].iloc[0][["xmin", "ymin", "xmax", "ymax"]].tolist() == [0.05, 0.2, 0.2, 0.6]
    assert found["patients"]["all"].tolist() == [1, 2, 2]
    assert "A random split is left out" in text_of(sections[-1])  # two films cannot be parted in five
    assert read.files.set_index("of")["number"]["test rows of meta.csv"] == 1
    assert explorer.lead(read, found) == (
        "The tables alone: 3 films (2 for training and 1 for test) of 2 studies (of the training films) and 1 patient (of the training "
        "films). No flaw was found in the files."
    )


BOX = "\"[{'x': 10, 'y': 20, 'width': 30, 'height': 40}]\",opacity 1 10 20 40 60"


@pytest.mark.parametrize(
    ("siblings", "alone", "words"),
    [
        (0, 0, "No image is labelled none in a study that is not negative."),
        (
            1,
            0,
            "1 image labelled none in a study that is not negative. Siblings of an image with boxes in the same study, on which nobody ",
        ),
        (0, 1, "1 image labelled none in a study that is not negative. Of studies in which no image has boxes: 1."),
        (1, 1, "2 images labelled none in a study that is not negative. Siblings "),
    ],
)
def test_none_in_studies_with_opacity_is_told_without_what_is_not_there(tmp_path, siblings, alone, words):
    images = [f"b_image,{BOX},s1", "x_image,,,s3"]
    images += ["a_image,,none 1 0 0 1 1,s1"] * siblings + ["c_image,,none 1 0 0 1 1,s2"] * alone
    folder = write_tables(tmp_path / "tables", ["s1_study,0,1,0,0", "s2_study,0,1,0,0", "s3_study,0,1,0,0"], images)
    sections, found = explorer.page_of(sources.read(folder))
    said = text_of(sections[TITLES.index("Images labelled none in studies that are not negative")])
    assert said.startswith(words)
    assert ("Siblings" in said) == bool(siblings)
    assert ("Of studies" in said) == bool(alone)
    assert found["boxes_per_image"].set_index("boxes")["images"].to_dict() == {"not read": 1 + siblings, "none": alone, "1": 1}


def test_a_flaw_is_a_warning_and_counted_in_the_lead(tmp_path):
    folder = write_tables(tmp_path / "tables", ["s1_study,0,1,0,0", "lost_study,0,1,0,0"], ["a_image,,,s1"])
    read = sources.read(folder)
    sections, found = explorer.page_of(read)
    assert "1 flaw, named under Files." in explorer.lead(read, found)
    [flaw] = [part for part in sections[0].parts if isinstance(part, pages.Text)]
    assert flaw.warning
    assert "lost" in flaw.text


def test_the_labels_of_each_scheme_are_explained_and_shares_are_in_per_cent(of_competition):
    section = explorer.page_of(of_competition)[0][TITLES.index("Label schemes")]
    means = section.parts[0].frame
    assert ("label_n_Covid_19", "None", "negative, indeterminate, atypical") in set(means.iloc[:, :3].itertuples(index=False, name=None))
    assert means["share"].str.fullmatch(r"\d+\.\d\xa0%").all()


def test_an_image_without_a_known_patient_is_counted_in_the_singular(tmp_path):
    folder = write_tables(tmp_path / "tables", ["s1_study,0,1,0,0"], ["a_image,,,s1"])
    said = text_of(explorer.page_of(sources.read(folder))[0][-1])
    assert said == "Left out: the patients of 1 image are not known; give the DICOMs, or a patients CSV."


def test_an_image_set_shows_its_squares(image_set, of_competition):
    read = sources.read(image_set)
    sections, found = explorer.page_of(read)
    told = {section.title: "Left out" not in text_of(section) for section in sections}
    assert [title for title in TITLES if not told[title]] == [TITLES[1], TITLES[2], TITLES[4], TITLES[7]]
    assert found["transfer_syntax"]["transfer syntax"].str.contains("JPEG|Endian|RLE", regex=True).all()  # names, not UIDs
    assert [film.picture.shape for film in read.shown] == [(64, 64)] * sampling.SHOWN
    [sheet] = sections[TITLES.index("A sheet of films")].parts
    assert sheet.alt.startswith("Sheet of 20 films, Films.")  # none has a box that is known
    assert f"{read.shown[0].image} (no boxes known)" in sheet.alt
    assert read.films["patient"].ne("").all()


def test_an_image_set_beside_the_tables_gives_films_with_boxes(phantom, image_set, tmp_path):
    for name in ("train_study_level.csv", "train_image_level.csv"):
        (tmp_path / name).write_bytes((phantom / "competition" / name).read_bytes())
    read = sources.read(tmp_path, images=image_set)
    images = read.images.set_index("image")
    assert read.images["patient"].ne("").all()
    boxed = [film for film in read.shown if len(film.boxes)]
    assert boxed
    row = images.loc[boxed[0].image]
    factors = np.array([64 / row["columns"], 64 / row["rows"]] * 2)
    np.testing.assert_allclose(boxed[0].boxes, np.array(row["boxes"]) * factors)


def test_a_published_copy_beside_its_tables_is_an_image_set_too(phantom, image_set, tmp_path):
    squares = imagesets.open_set(image_set)
    kernels.build_images(phantom / "competition", tmp_path / "copy", [PixelRecipe(size=64)], form="png", workers=2)
    for name in ("pixels.json", "images.csv", "SHA256SUMS", "not_read.csv"):
        (tmp_path / "copy" / name).unlink()
    for name in ("train_study_level.csv", "train_image_level.csv"):
        (tmp_path / "copy" / name).write_bytes((phantom / "competition" / name).read_bytes())
    read = sources.read(tmp_path / "copy")
    assert read.kind == "the tables with an image set"
    assert len(read.squares.table) == len(squares.table)
    assert read.images["rows"].notna().all()
    assert len(read.shown) == sampling.SHOWN
    assert read.remarks == ()  # that its films are no DICOMs is no flaw
    assert not read.files["of"].str.contains("under train/").any()
    explorer.page_of(read)
    table = tmp_path / "copy" / "train_image_level.csv"
    table.write_text(table.read_text() + f"more_image,,,{read.images['study'].iloc[0]}\n")
    assert sources.read(tmp_path / "copy").remarks == ("1 image of train_image_level.csv not in the image set: more",)


def test_films_without_tables_of_which_some_are_broken(tmp_path):
    competitions.make(tmp_path / "films", 8, broken=(1,))
    read = sources.read(tmp_path / "films")
    explorer.page_of(read)
    assert read.kind == "a competition folder"
    assert read.images is None
    assert len(read.remarks) == 2  # its header, and the film
    assert all("i001: not a DICOM file" in remark for remark in read.remarks)
    assert "i001" not in {film.image for film in read.shown}
    assert len(read.films) == 8


def test_an_empty_competition_is_explored(tmp_path):
    (tmp_path / "train").mkdir()
    sections, _ = explorer.page_of(sources.read(tmp_path))
    assert [section.title for section in sections] == TITLES


def test_duplicates_are_named(of_competition):
    squares = of_competition.squares
    twice = squares.table["image"].iloc[[0, 1]].tolist()
    doubled = np.array(squares.images)
    doubled[1] = doubled[0]
    changed = sources.Source(**{**vars(of_competition), "squares": type(squares)(squares.folder, doubled, squares.table, squares.recipe)})
    found = explorer.page_of(changed)[1]["duplicates"]
    assert sorted(twice) == found["image"].tolist()
    assert found["group"].tolist() == [1, 1]


def test_choosing_takes_each_class_in_turn_and_boxed_films_first():
    labels = ["typical"] * 9 + ["negative"] * 9 + ["atypical"]
    table = pd.DataFrame({"image": [f"i{n}" for n in range(19)], "study": [f"s{n}" for n in range(19)], "label": labels})
    table["boxes"] = [((0, 0, 1, 1),) if n == 4 else () for n in range(19)]
    chosen = sampling.choose(table, set(table["image"]), count=5)
    assert table.set_index("image").loc[chosen, "label"].tolist() == ["negative", "negative", "typical", "typical", "atypical"]
    assert chosen[2] == "i4"
    assert sampling.choose(table, {"i18"}, count=5) == ["i18"]


def test_hostile_ids_are_text(tmp_path):
    hostile = "<script>alert('&')</script>"
    folder = write_tables(
        tmp_path / "tables", [f"{hostile}_study,0,1,0,0", f"lost{hostile}_study,1,0,0,0"], [f"<b>_image,,none 1 0 0 1 1,{hostile}"]
    )
    made = explorer.explore(folder, tmp_path / "out")
    page = made.page.read_text()
    assert hostile not in page
    assert Outline(page).all("script") == []
    assert "lost&lt;script&gt;" in page  # a study without an image is named among what does not fit


def test_other_folders_and_places_are_refused(tmp_path):
    with pytest.raises(MountError, match="nothing to explore"):
        explorer.explore(tmp_path, tmp_path / "out")
    with pytest.raises(MountError, match="is no folder"):
        explorer.explore(tmp_path / "nowhere", tmp_path / "out")
    (tmp_path / "file").write_text("")
    with pytest.raises(MountError, match="name another folder"):
        explorer.explore(tmp_path, tmp_path / "file")


def test_the_command(phantom, tmp_path):
    for name in ("train_study_level.csv", "train_image_level.csv"):
        (tmp_path / name).write_bytes((phantom / "competition" / name).read_bytes())
    command = [sys.executable, "-m", "siim_kernel.cli", "explore", str(tmp_path)]
    done = subprocess.run([*command, str(tmp_path / "out")], capture_output=True, text=True)
    assert done.returncode == 0
    assert "explore.html" in done.stdout
    assert {"explore.html", "scheme_study_label.csv", "none_in_opacity_studies.csv"} <= {path.name for path in (tmp_path / "out").iterdir()}
    refused = subprocess.run([*command[:-1], str(tmp_path / "none"), str(tmp_path / "out")], capture_output=True, text=True)
    assert refused.returncode == 1
    assert "Traceback" not in refused.stderr
