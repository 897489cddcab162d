import json

import pytest

from siim_kernel import runs
from siim_kernel.errors import RunError
from siim_kernel.recipes.main import MAIN, SMALL

PRIORS = {"negative": 0.27, "typical": 0.47, "indeterminate": 0.18, "atypical": 0.08, "none": 0.32}
RULE = {"study_of_labels": [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], "none_of_labels": [1, 0, 0, 0]}
PRIOR_BOXES = [[0.1, 0.2, 0.4, 0.8, 0.31], [0.6, 0.2, 0.9, 0.8, 0.29]]


def make(folder, recipe=SMALL, fold=0, **facts):
    folder.mkdir(parents=True)
    for name in runs.FILES:
        (folder / name).write_bytes(name.encode() * 10)
    runs.save(folder, recipe, fold, {"priors": PRIORS, "prior_boxes": PRIOR_BOXES, "split": {"folds": 5}, **RULE} | facts)
    return folder


def change(folder, alter):
    """Alters the record of a run in place."""
    record = json.loads((folder / runs.RECORD).read_text())
    alter(record)
    (folder / runs.RECORD).write_text(json.dumps(record))


def test_what_was_saved_is_loaded(tmp_path):
    run = runs.load(make(tmp_path / "run", MAIN, 3), MAIN)
    assert run.recipe == MAIN
    assert (run.fold, run.priors, run.prior_boxes) == (3, PRIORS, PRIOR_BOXES)
    assert run.weights.read_bytes() == b"model.weights.h5" * 10
    assert run.record["split"] == {"folds": 5}
    assert run.record["versions"]["numpy"].startswith("2.")


def test_the_record_is_written_last(tmp_path):
    with pytest.raises(FileNotFoundError):
        runs.save(tmp_path, SMALL, 0, {})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", runs.FILES)
def test_a_changed_file_is_noticed(tmp_path, name):
    folder = make(tmp_path / "run")
    content = bytearray((folder / name).read_bytes())
    content[5] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(RunError, match=rf"{name} has changed: SHA-256 [0-9a-f]{{64}}, run.json says [0-9a-f]{{64}}"):
        runs.load(folder)


@pytest.mark.parametrize("name", runs.FILES)
def test_a_missing_file_is_named(tmp_path, name):
    folder = make(tmp_path / "run")
    (folder / name).unlink()
    with pytest.raises(RunError, match=rf"lacks {name}"):
        runs.load(folder)


def test_a_folder_without_a_record_is_no_finished_run(tmp_path):
    with pytest.raises(RunError, match=r"holds no finished run \(run.json is missing\)"):
        runs.load(tmp_path)
    with pytest.raises(RunError, match="holds no finished run"):
        runs.load(tmp_path / "nowhere")


@pytest.mark.parametrize("text", ["", "not json", "{", "\x00"])
def test_a_foreign_record(tmp_path, text):
    (tmp_path / runs.RECORD).write_text(text)
    with pytest.raises(RunError, match="is not a run's record"):
        runs.load(tmp_path)


def test_a_record_that_is_no_text_or_no_file(tmp_path):
    (tmp_path / runs.RECORD).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RunError, match="is not a run's record"):
        runs.load(tmp_path)
    (tmp_path / "other" / runs.RECORD).mkdir(parents=True)
    with pytest.raises(RunError, match="is not a run's record"):
        runs.load(tmp_path / "other")


@pytest.mark.parametrize(("text", "shown"), [('{"format": 1}', "1"), ("{}", "None"), ("[1]", r"\[1\]"), ('{"format": "1"}', "'1'")])
def test_another_format(tmp_path, text, shown):
    (tmp_path / runs.RECORD).write_text(text)
    with pytest.raises(RunError, match=rf"has format {shown}, this version reads 2"):
        runs.load(tmp_path)


@pytest.mark.parametrize("key", ["recipe", "fold", "priors", "prior_boxes", "study_of_labels", "none_of_labels", "files"])
@pytest.mark.parametrize("value", ["gone", "wrong"])
def test_a_damaged_record_is_named_not_a_key_error(tmp_path, key, value):
    folder = make(tmp_path / "run")
    change(folder, lambda record: record.pop(key) if value == "gone" else record.update({key: "nonsense"}))
    with pytest.raises(RunError, match=rf"is damaged: {key} "):
        runs.load(folder)


def test_a_record_without_a_files_hash_vouches_for_nothing(tmp_path):
    folder = make(tmp_path / "run")
    change(folder, lambda record: record["files"].pop(runs.WEIGHTS))
    with pytest.raises(RunError, match=r"damaged: files.model.weights.h5"):
        runs.load(folder)


def test_priors_have_every_class(tmp_path):
    folder = make(tmp_path / "run")
    change(folder, lambda record: record["priors"].pop("none"))
    with pytest.raises(RunError, match=r"damaged: priors.none"):
        runs.load(folder)


@pytest.mark.parametrize(("key", "value"), [("network", "resnet9000"), ("unheard_of", 1), ("phases", [])])
def test_a_recipe_unknown_to_this_version(tmp_path, key, value):
    folder = make(tmp_path / "run")
    change(folder, lambda record: record["recipe"].update({key: value}))
    with pytest.raises(RunError, match=r"a recipe that this version does not read: .*"):
        runs.load(folder)


def test_another_recipe_prints_both_sides(tmp_path):
    folder = make(tmp_path / "run", SMALL)
    with pytest.raises(RunError) as caught:
        runs.load(folder, MAIN)
    assert "name: stored 'small', wanted 'main'" in str(caught.value)
    assert "pixels.size: stored 128, wanted 512" in str(caught.value)


def test_load_all_takes_folds_in_the_order_of_their_numbers(tmp_path):
    for fold in (10, 2, 0, 1):
        make(runs.fold_folder(tmp_path / "many", fold), fold=fold)
    (tmp_path / "many" / "fold-0.old").mkdir()
    (tmp_path / "many" / "fold-notes").touch()
    single = make(tmp_path / "single", fold=7)
    assert [run.fold for run in runs.load_all([tmp_path / "many", single])] == [0, 1, 2, 10, 7]


def test_load_all_refuses_an_unfinished_fold_and_nothing(tmp_path):
    make(tmp_path / "many" / "fold-0")
    (tmp_path / "many" / "fold-1").mkdir()
    with pytest.raises(RunError, match="fold-1 holds no finished run"):
        runs.load_all([tmp_path / "many"])
    with pytest.raises(RunError, match="no run was given"):
        runs.load_all([])
    with pytest.raises(RunError, match="holds no finished run"):
        runs.load_all([tmp_path])


def test_digests_are_of_the_bytes():
    assert runs.digest("abc") == runs.digest(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
