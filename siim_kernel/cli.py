"""The command line: parses, calls, prints; decides nothing."""

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from siim_kernel import cli_kaggle, cli_planning
from siim_kernel.errors import SiimKernelError

app = typer.Typer(
    name="siim-kernel",
    help="From the competition's DICOMs to a checked submission.csv, as on Kaggle: offline.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(cli_planning.app)
app.add_typer(cli_kaggle.app)


class Split(StrEnum):
    """Which films are read."""

    train = "train"
    test = "test"
    both = "both"


class Form(StrEnum):
    """How an image set keeps its squares."""

    npy = "npy"
    png = "png"
    jpg = "jpg"


class Backend(StrEnum):
    """Where films are decoded in parallel: processes of this machine, or a Dask cluster."""

    loky = "loky"
    dask = "dask"


class Group(StrEnum):
    """What folds never split."""

    patient = "patient"
    study = "study"
    image = "image"


def say(text):
    """One line to standard error: progress and warnings, so that standard output holds results alone."""
    print(text, file=sys.stderr, flush=True)


def main():
    """Runs the command line; an operator's mistake is one message and exit code 1 or 2, never a traceback."""
    try:
        app()
    except SiimKernelError as error:
        say(f"{type(error).__name__.removesuffix('Error').lower()} error: {error}")
        sys.exit(1)
    except KeyboardInterrupt:
        say("stopped")
        sys.exit(130)


def progress_bar(text):
    """A context with a rich progress bar on standard error and a callback (done, total) for it."""
    from contextlib import contextmanager

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    @contextmanager
    def bar():
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        with Progress(*columns, console=Console(stderr=True)) as progress:
            task = progress.add_task(text, total=None)
            yield lambda done, total=None: progress.update(task, completed=done, total=total)

    return bar()


@app.command()
def phantom(
    out: Annotated[Path, typer.Argument(help="Folder to make; gets competition/ and solution.csv.")],
    studies: Annotated[int, typer.Option(help="Studies in train and test together.", min=8)] = 400,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 0,
    scale: Annotated[float, typer.Option(help="Factor on the films' sides; 1 is the real size, some 15 MB a film.")] = 1.0,
    workers: Annotated[int, typer.Option(help="Processes; 0 is one a core.", min=0)] = 0,
):
    """Make a made competition: synthetic chest films as DICOMs, its tables and its solution."""
    from siim_kernel import kernels
    from siim_kernel.phantom import films

    with progress_bar("films") as progress:
        films.make_competition(out, studies=studies, seed=seed, scale=scale, workers=workers or kernels.cores(), progress=progress)
    print(f"{out / 'competition'} and {out / 'solution.csv'}")


@app.command("build-images")
def build_images(
    source: Annotated[Path, typer.Argument(help="The competition folder with train/ and test/, or a published copy with meta.csv.")],
    out: Annotated[Path, typer.Argument(help="Folder of the image set; with several sizes a sub-folder a size.")],
    size: Annotated[list[int] | None, typer.Option(help="Side in pixels [512]; several times: all from one reading.")] = None,
    form: Annotated[Form, typer.Option("--format", help="npy is what training reads.")] = Form.npy,
    split: Annotated[Split, typer.Option(help="Which films to read.")] = Split.both,
    equalise: Annotated[bool, typer.Option("--equalise", help="Histogram equalisation.")] = False,
    aspect: Annotated[str, typer.Option(help="stretch to the square, or pad with black.")] = "stretch",
    workers: Annotated[int, typer.Option(help="Processes; 0 is one a core.", min=0)] = 0,
    backend: Annotated[Backend, typer.Option(help="loky: processes of this machine; dask: a Dask cluster.")] = Backend.loky,
    verify: Annotated[bool, typer.Option("--verify", help="Read the finished set and compare every file's SHA-256.")] = False,
    external: Annotated[bool, typer.Option("--external", help="SOURCE is the COVID-19 Radiography Database; all is train.")] = False,
):
    """Build image sets: films decoded once and kept as small grey squares.

    Films that cannot be read are named and left out, and the exit code is then 1.
    """
    from siim_kernel import kernels
    from siim_kernel.pixels import imagesets
    from siim_kernel.recipes.recipe import PixelRecipe

    pixels = [PixelRecipe(size=side, equalise=equalise, aspect=aspect) for side in size or [512]]
    options = {"form": form.value, "workers": workers or None, "backend": "dask" if backend is Backend.dask else "local"}
    if external and split is Split.test:
        raise typer.BadParameter("the COVID-19 Radiography Database has no test films", param_hint="--split")
    with progress_bar("films") as progress:
        if external:
            built = kernels.build_external(source, out, pixels, progress=progress, say=say, **options)
        else:
            built = kernels.build_images(source, out, pixels, split=split.value, progress=progress, **options)
    for folder in built.folders:
        print(f"{folder}: {built.images} images")
    for image, file, reason in built.not_read:
        say(f"not read: {image} ({file}): {reason}")
    faults = [f"{folder}: {fault}" for folder in built.folders for fault in imagesets.verify(folder)] if verify else []
    for fault in faults:
        say(fault)
    if verify and not faults:
        print("every file is as it was written")
    raise typer.Exit(1 if built.not_read or faults else 0)


@app.command()
def folds(
    competition: Annotated[Path, typer.Argument(help="The competition folder, or a folder with its tables alone.")],
    out: Annotated[Path, typer.Argument(help="CSV to write: imageid,fold; fold -1 is the final test.")],
    n_folds: Annotated[int, typer.Option(help="Number of folds; the ways of the thesis but thesis_final_test have their own.", min=2)] = 5,
    group: Annotated[Group | None, typer.Option(help="What is never split; else patient.")] = None,
    split: Annotated[str | None, typer.Option(help="Way to part the films, as in a recipe, and report who is where.")] = None,
    patients: Annotated[Path | None, typer.Option(help="CSV patientid,studyid,...,imageid; else the DICOM headers tell.")] = None,
    images: Annotated[
        list[Path] | None, typer.Option(help="Image set; its near-duplicates are kept together. Several, for unions of sources.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the draw.")] = 42,
):
    """Make folds stratified by study class that keep each patient on one side, or part the films as --split says."""
    from siim_kernel.competition import folds as folding
    from siim_kernel.competition import gathering, split_report, splits
    from siim_kernel.pixels import imagesets

    if group and split:
        raise typer.BadParameter("--group and --split exclude each other")
    way = split or (group or Group.patient).value
    validating = splits.validating(way, n_folds)  # an unknown way is an error before the films are read
    sets = [imagesets.open_set(folder) for folder in images or ()]
    films = gathering.gather(competition, sets, patients, headers=bool(split) or way == "patient")
    for remark in films.remarks:
        say(f"warning: {remark}")
    if split in splits.OF_SOURCES and films.table["source"].nunique() == 1:
        say(f"warning: {split} parts the films of several sources, here are the competition's alone: give the other image set (--images)")
    made = films.table[["image"]].set_axis(["imageid"], axis=1)
    made["fold"] = splits.make_split(films.table, way, n_folds, seed, films.duplicates or ())
    folding.write_folds(made, out)
    print(films.table.assign(fold=made["fold"]).groupby(["fold", "label"]).size().unstack(fill_value=0).to_string())
    print(_compared(films.duplicates))
    for line in split_report.split_lines(films.table, made["fold"], validating, films.duplicates) if split else ():
        print(line)


@app.command()
def leakage(
    competition: Annotated[Path, typer.Option(help="The competition folder, or a folder with its tables alone.")],
    folds: Annotated[Path, typer.Option(help="CSV imageid,fold.")],
    patients: Annotated[Path | None, typer.Option(help="CSV patientid,studyid,...,imageid; else the DICOM headers tell.")] = None,
    images: Annotated[Path | None, typer.Option(help="Image set in which near-duplicate images are looked for.")] = None,
):
    """Report what stands on both sides of folds; exit code 1 if anything does."""
    from siim_kernel.competition import folds as folding

    table, duplicates = _tables_and_duplicates(competition, patients, images)
    found = folding.leakage(table, folding.read_folds(folds, table), duplicates)
    share = f"{found.studies_sharing_patient / max(found.studies, 1):.1%}"
    print(f"{found.images} images, {found.studies} studies, {found.patients} patients")
    print(f"patients in more than one fold: {found.shared_patients}")
    print(f"studies in more than one fold: {found.split_studies}")
    print(f"studies whose patient is also in another fold: {found.studies_sharing_patient} of {found.studies} ({share})")
    if not found.patients_known:
        say("warning: the patients of some images are not known: give --patients, or the DICOMs")
    print(f"{_compared(duplicates)}; in more than one fold: {found.split_duplicates}")
    for example in found.examples:
        print(f"  {example}")
    print("nothing stands on both sides" if found.ok else "LEAKAGE: the folds share films or patients")
    raise typer.Exit(0 if found.ok else 1)


def _tables_and_duplicates(competition, patients, images):
    from siim_kernel.competition import folds as folding
    from siim_kernel.competition import tables
    from siim_kernel.pixels import imagesets

    training = tables.read_training(competition, patients=patients, headers=patients is None)
    for problem in training.problems:
        say(f"warning: {problem}")
    if images is None:
        return training.images, None
    opened = imagesets.open_set(images)
    return training.images, folding.find_duplicates(opened.images, opened.table["image"])


def _compared(duplicates):
    return "duplicate images were not compared (no --images)" if duplicates is None else f"groups of duplicate images: {len(duplicates)}"


@app.command()
def solution(
    competition: Annotated[Path, typer.Argument(help="The competition folder, or a folder with its tables alone.")],
    out: Annotated[Path, typer.Argument(help="CSV to write: id,PredictionString,Usage.")],
    drop_siblings: Annotated[bool, typer.Option("--drop-siblings", help="Unannotated siblings are Ignored too.")] = False,
):
    """Make a solution of the training tables as they stand."""
    from siim_kernel.competition import solutions, tables

    training = tables.read_training(competition, headers=False)
    made = solutions.solution(training.images, drop_siblings)
    solutions.write_solution(out, made)
    print(f"{out}: {len(made)} rows, {(made['Usage'] == 'Ignored').sum()} of them ignored")


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe (siim-kernel recipes).")],
    images: Annotated[list[Path], typer.Option(help="Image set of the recipe's pixels; may be given several times.")],
    competition: Annotated[Path, typer.Option(help="The competition folder, or a folder with its tables alone.")],
    out: Annotated[Path, typer.Option(help="Folder for the runs, fold-0, fold-1, ...")],
    folds: Annotated[Path | None, typer.Option(help="CSV imageid,fold; else folds are made by the recipe.")] = None,
    n_folds: Annotated[int | None, typer.Option(help="Number of folds to make, else the recipe's.", min=2)] = None,
    fold: Annotated[int | None, typer.Option(help="Fold that validates; without it all in turn.")] = None,
    patients: Annotated[Path | None, typer.Option(help="CSV patientid,studyid,...,imageid; else the image set tells.")] = None,
    split: Annotated[str | None, typer.Option(help="How the films are parted, in place of the recipe's way.")] = None,
    start: Annotated[Path | None, typer.Option(help="Run whose weights are the start, for recipes that name one.")] = None,
    imagenet: Annotated[Path | None, typer.Option(help="ImageNet weights without top, as Keras publishes them.")] = None,
    max_hours: Annotated[float | None, typer.Option(help="Stop before this; the same command goes on from there.", min=0)] = None,
    calibrate: Annotated[bool, typer.Option("--calibrate", help="Only time a few steps of each phase, for `plan`.")] = False,
):
    """Train a recipe on an image set.

    Stopped or killed, the same command goes on where it was, to the same result. Every session finishes at least one epoch. With
    --calibrate nothing is trained: OUT/calibration.json gets the seconds that its steps take here, and no weights are needed.
    """
    from siim_kernel import clock, kernels
    from siim_kernel.recipes import catalogue as recipes

    if folds is not None and n_folds is not None:
        raise typer.BadParameter("--folds and --n-folds exclude each other")
    wanted, deadline = recipes.by_name(recipe), clock.after(max_hours)
    if calibrate:
        print(kernels.calibrate(wanted, images, competition, out, folds, n_folds, fold, split, patients, say=say))
        return
    runs = kernels.train(wanted, images, competition, out, folds, n_folds, fold, split, patients, imagenet, start, deadline, say=say)
    for run in runs:
        print(run.folder)


@app.command()
def predict(
    competition: Annotated[Path, typer.Argument(help="The competition folder with test/ and sample_submission.csv.")],
    run: Annotated[list[Path], typer.Option(help="Folder of a run, or of the runs of several folds; may be given several times.")],
    out: Annotated[Path, typer.Option(help="Submission to write; not_read.csv comes beside it.")] = Path("submission.csv"),
    workers: Annotated[int, typer.Option(help="Decoding processes; 0 is one a core.", min=0)] = 0,
    max_hours: Annotated[float | None, typer.Option(help="Be finished by then, with fewer networks or priors if need be.", min=0)] = None,
):
    """Predict the test films, write the submission and check it.

    A legal submission stands there from the first seconds on. The exit code is 1 when more than a fifth of the images could
    not be read; the file is written all the same.
    """
    from siim_kernel import clock, kernels

    deadline = clock.after(max_hours)
    with progress_bar("films") as progress:
        predicted = kernels.predict(competition, run, out, workers=workers or None, progress=progress, deadline=deadline)
    for remark in predicted.remarks():
        say(f"warning: {remark}")
    print(f"{predicted.submission}: valid, {predicted.images} images, {len(predicted.not_read)} of them not read")
    raise typer.Exit(0 if predicted.trusted else 1)


@app.command()
def check(
    submission: Annotated[Path, typer.Argument(help="The submission.")],
    sample: Annotated[Path, typer.Option(help="The competition's sample_submission.csv: header and ids.")],
    competition: Annotated[Path | None, typer.Option(help="Its test/ gives the films' sizes, which bound the boxes.")] = None,
):
    """Say whether Kaggle would take a submission: exit code 0, or 1 with every fault named."""
    from siim_kernel.competition import checking, tables

    sizes = None
    if competition is not None:
        sizes, unread = tables.film_sizes(competition, "test")
        for line in unread:
            say(f"warning: {line}")
    report = checking.check(submission, sample, sizes)
    for warning in report.warnings:
        say(f"warning: {warning}")
    for fault in report.faults:
        print(fault)
    print(f"{submission}: valid" if report.ok else f"{submission}: NOT valid, {len(report.faults)} faults")
    raise typer.Exit(0 if report.ok else 1)


@app.command()
def score(
    submission: Annotated[Path, typer.Argument(help="The submission.")],
    solution: Annotated[Path, typer.Option(help="The solution: id,PredictionString[,Usage].")],
    chance: Annotated[bool, typer.Option("--chance", help="Also the level of the same predictions given to random rows.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Standard output is JSON alone.")] = False,
):
    """Score a submission: the six average precisions of VOC 2010 at IoU over 0.5, and their mean."""
    from siim_kernel.competition import metric

    submitted, truth = metric.read_files(submission, solution)
    result = metric.score(submitted, truth)
    level = metric.chance(submitted, truth) if chance else None
    if as_json:
        values = {"AP": result.AP, "mAP": result.mAP}
        print(json.dumps(values | ({"chance": {"mean": level[0], "sd": level[1]}} if chance else {})))
        return
    for name, value in result.AP.items():
        print(f"{name:14}{'no truth' if value is None else f'{value:.4f}'}")
    print(f"{'mAP':14}{'no truth' if result.mAP is None else f'{result.mAP:.4f}'}")
    if chance:
        print(f"{'chance':14}{level[0]:.4f} (sd {level[1]:.4f})")


@app.command()
def recipes(
    name: Annotated[str | None, typer.Argument(help="Print this recipe whole: its fields, its size, what was printed of it.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The fields of the recipe as JSON alone.")] = False,
):
    """List the recipes with the figures that were printed of them (per cent), or print one."""
    from siim_kernel.recipes import catalogue
    from siim_kernel.recipes.storing import to_dict

    if name is None:
        rows = [catalogue.HEADINGS, *catalogue.table()]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        return
    recipe = catalogue.by_name(name)
    if as_json:
        print(json.dumps(to_dict(recipe), indent=1))
        return
    from siim_kernel import kernels

    for line in (*catalogue.lines(recipe), *kernels.network_lines(recipe), *catalogue.printed_lines(recipe)):
        print(line)


@app.command()
def explore(
    source: Annotated[Path, typer.Argument(help="A competition folder, a folder with its tables alone, or an image set.")],
    out: Annotated[Path, typer.Argument(help="Folder to write: explore.html, and its tables as CSVs.")],
    patients: Annotated[Path | None, typer.Option(help="CSV patientid,studyid,...,imageid; else the DICOM headers tell.")] = None,
    images: Annotated[Path | None, typer.Option(help="Image set of the same films; duplicates are looked for in it.")] = None,
    sample: Annotated[int, typer.Option(help="Films that are read whole for the range of their values.", min=1)] = 200,
    workers: Annotated[int, typer.Option(help="Processes; 0 is one a core.", min=0)] = 0,
):
    """Explore the data as one HTML page: classes, boxes, sizes, how films are stored, duplicates, leakage.

    What the source cannot tell is left out, and the page says so.
    """
    from siim_kernel import kernels
    from siim_kernel.evaluation import pages

    pages.require()
    from siim_kernel.evaluation import explorer

    with progress_bar("films") as progress:
        made = explorer.explore(source, out, patients, images, sample, workers or kernels.cores(), progress)
    for remark in made.remarks:
        say(f"warning: {remark}")
    print(f"{made.page} and {len(made.tables)} tables beside it")


@app.command()
def rehearse(
    kernel: Annotated[Path, typer.Argument(help="Kernel folder: kernel-metadata.json and its code.")],
    input: Annotated[Path, typer.Option(help="What /kaggle/input holds.")],
    working: Annotated[Path, typer.Option(help="What /kaggle/working becomes; empty or new.")],
    set: Annotated[list[str] | None, typer.Option(help="NAME=VALUE of the kernel's PARAMETERS; may be given several times.")] = None,
    minutes: Annotated[float, typer.Option(help="Time limit.")] = 720.0,
):
    """Run one kernel folder as Kaggle would: no network, read-only input, limits on time, memory and disk."""
    from siim_kernel.delivery import kernel_folders, rehearsal

    limits = rehearsal.Limits(seconds=minutes * 60)
    done = rehearsal.rehearse(kernel, input, working, parameters=kernel_folders.parse_settings(set or []), limits=limits, on_line=print)
    say(f"offline by {done.level}: {'; '.join(done.proof)}")
    say(
        f"{done.seconds / 60:.1f} min, peak {done.peak_bytes / 2**30:.1f} GiB, working {done.working_bytes / 2**20:.0f} MiB, log {done.log}"
    )
    if not done.ok:
        say(f"the kernel failed: {done.killed or f'exit code {done.returncode}'}")
    raise typer.Exit(0 if done.ok else 1)


@app.command()
def doctor(
    competition: Annotated[Path | None, typer.Argument(help="A competition folder to look at too.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Standard output is JSON alone.")] = False,
):
    """Say what this machine has and lacks for each stage, with the remedy for each lack.

    The exit code is 1 when films cannot be read, image sets not built, networks not trained, or predictions not made at all.
    """
    from siim_kernel.doctor import findings, page

    found = page.examine(competition)
    print(json.dumps(findings.as_json(found), indent=1) if as_json else findings.as_text(found))
    raise typer.Exit(0 if findings.all_needed_run(found) else 1)


@app.command()
def report(
    run: Annotated[list[Path], typer.Argument(help="Folders of runs, or of the runs of several folds; several are compared.")],
    out: Annotated[Path, typer.Option(help="HTML file to write.")],
    images: Annotated[list[Path] | None, typer.Option(help="Image set, for pictures, patients and duplicates; several times.")] = None,
    competition: Annotated[Path | None, typer.Option(help="The competition folder, or its tables: the metric, leakage.")] = None,
    patients: Annotated[Path | None, typer.Option(help="CSV patientid,studyid,...,imageid where nothing else tells.")] = None,
    resamples: Annotated[int, typer.Option(help="Resamples of patients behind the intervals.", min=2)] = 2000,
):
    """Write what runs are worth as one HTML page: measures with intervals, curves, comparison, leakage, cost."""
    from siim_kernel.evaluation import pages

    pages.require()
    from siim_kernel.evaluation import report as reporting

    reporting.write(out, run, images or (), competition, patients, resamples, say)
    print(out)


@app.command("dry-run")
def dry_run(
    competition: Annotated[Path | None, typer.Option(help="The competition folder; without it a phantom is made.")] = None,
    solution: Annotated[Path | None, typer.Option(help="Its solution; without it a held-out fold is scored.")] = None,
    recipe: Annotated[str | None, typer.Option(help="Recipe to train; by default small, with --imagenet small-imagenet.")] = None,
    imagenet: Annotated[Path | None, typer.Option(help="ImageNet weights without top, as Keras publishes them.")] = None,
    out: Annotated[Path, typer.Option(help="Gets submission.csv, not_read.csv and summary.json; made anew.")] = Path("build/dry-run"),
):
    """Rehearse the whole way offline: images, training, inference, check, score. Run it from a checkout."""
    from siim_kernel import dry_run as rehearsed

    summary = rehearsed.run(out, competition, solution, recipe, imagenet, say)
    print(rehearsed.as_text(summary))
    raise typer.Exit(0 if summary["ok"] else 1)


if __name__ == "__main__":
    main()
