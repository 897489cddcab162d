"""The whole way, rehearsed offline: competition -> datasets -> image kernel -> training kernel -> inference kernel -> score.

Nothing here opens a connection. Each kernel runs as Kaggle would run it (`delivery.rehearsal`), on folders mounted where
Kaggle mounts them, with the package installed from the wheel that would be uploaded.
"""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd

from siim_kernel import kernels, runs
from siim_kernel.competition import checking, metric, priors, solutions, submission, tables
from siim_kernel.delivery import kernel_folders, rehearsal
from siim_kernel.errors import DeliveryError, MountError
from siim_kernel.files import write_atomically
from siim_kernel.labels import STUDY_CLASSES
from siim_kernel.recipes import catalogue as recipes

PHANTOM_STUDIES, PHANTOM_SCALE, PHANTOM_SEED = 400, 0.2, 0
HIDDEN_IMAGES = 6500  # the hidden test set is "roughly the same scale as the training dataset"
KAGGLE = {"hours": 9.0, "memory_gib": 29.0, "working_gib": 20.0}
STAGES = "stages"
KERNELS = (("images", "train_kernels/images"), ("train", "train_kernels/train"), ("inference", "inference_kernel"))


def run(out, competition=None, solution=None, recipe=None, imagenet=None, say=print):
    """Rehearses the whole way; leaves submission.csv, not_read.csv and summary.json in `out`; returns the summary (a dict).

    competition  a competition folder, else a phantom is made
    solution     its solution; without one for a given competition the training's held-out fold is scored
    recipe       name; by default `small`, with `imagenet` (a file of weights) `small-imagenet`

    Raises DeliveryError where a kernel fails or the checkout is not found, MountError where `out` holds something else.
    """
    started = time.monotonic()
    out = Path(out).resolve()
    chosen = recipes.by_name(recipe or ("small-imagenet" if imagenet else "small"))
    _check_inputs(competition, solution, imagenet)
    checkout = find_checkout()
    stages = _prepare(out)
    if competition is None:
        competition, solution = _phantom(stages, say)
    competition = Path(competition).resolve()
    uploads, wheels_from = _uploads(checkout, stages, imagenet, say)
    done = []
    for name, folder in KERNELS:
        say(f"{name} kernel: {folder}")
        done.append(_rehearse(name, checkout / folder, stages, competition, uploads, chosen, say))
        if name == "train":
            _upload_runs(checkout, stages, uploads)
    working = stages / "inference" / "working"
    for file in ("submission.csv", "not_read.csv"):
        shutil.copyfile(working / file, out / file)
    summary = _summary(out, competition, solution, chosen, done, stages) | {
        "wheels": wheels_from,
        "minutes": round((time.monotonic() - started) / 60, 2),
    }
    write_atomically(out / "summary.json", json.dumps(summary, indent=1) + "\n")
    return summary


def find_checkout():
    """The checkout that this package is used from: where the kernel folders stand. DeliveryError where there is none."""
    for folder in (Path(__file__).resolve().parent.parent, Path.cwd()):
        if all((folder / kernel).is_dir() for _, kernel in KERNELS):
            return folder
    raise DeliveryError("the kernel folders are not here; run this from a checkout of the project")


def _check_inputs(competition, solution, imagenet):
    """Fails before minutes are spent."""
    if competition is not None:
        for name in ("train", "test", tables.STUDY_TABLE, tables.IMAGE_TABLE, tables.SAMPLE):
            if not (Path(competition) / name).exists():
                raise MountError(f"{competition} is no competition folder: {name} is missing")
    if solution is not None:
        if competition is None:
            raise MountError("--solution goes with --competition; the phantom brings its own")
        solutions.read_solution(solution)
    if imagenet is not None and not Path(imagenet).is_file():
        raise MountError(f"the ImageNet weights {imagenet} do not exist; give Keras's no-top file")


def _prepare(out):
    """An `out` with an empty stages folder; what an earlier dry run left goes, anything else is refused."""
    ours = {STAGES, "submission.csv", "not_read.csv", "summary.json", "held_out.csv", "held_out_solution.csv"}
    if out.exists():
        foreign = sorted(path.name for path in out.iterdir() if path.name not in ours)
        if foreign:
            raise MountError(f"{out} holds what no dry run made ({', '.join(foreign[:5])}); name a new folder")
        shutil.rmtree(out)
    stages = out / STAGES
    stages.mkdir(parents=True)
    return stages


def _phantom(stages, say):
    from siim_kernel.phantom import films

    say(f"phantom: {PHANTOM_STUDIES} studies, films at {PHANTOM_SCALE} of their size, seed {PHANTOM_SEED}")
    made = stages / "phantom"
    films.make_competition(made, studies=PHANTOM_STUDIES, seed=PHANTOM_SEED, scale=PHANTOM_SCALE, workers=kernels.cores())
    return made / "competition", made / "solution.csv"


def _uploads(checkout, stages, imagenet, say):
    """The dataset folders as they would be uploaded: a dict slug -> folder, and where the other wheels come from."""
    uploads = {"siim-kernel-code": _upload(checkout, stages, "code")}
    build_wheel(checkout, stages / "source", uploads["siim-kernel-code"])
    cached = sorted((checkout / "build" / "wheels").glob("*.whl"))
    wheels_from = "build/wheels" if cached else "the installed environment"
    if cached:
        uploads["siim-kernel-wheels"] = _upload(checkout, stages, "wheels")
        for wheel in cached:
            shutil.copyfile(wheel, uploads["siim-kernel-wheels"] / wheel.name)
    if imagenet is not None:
        uploads["siim-kernel-imagenet-weights"] = _upload(checkout, stages, "imagenet-weights")
        shutil.copyfile(imagenet, uploads["siim-kernel-imagenet-weights"] / Path(imagenet).name)
    say(f"datasets: {', '.join(uploads)}; python-gdcm and imagecodecs from {wheels_from}")
    return uploads, wheels_from


def build_wheel(checkout, scratch, out):
    """Builds the package's wheel into the folder `out`, from a copy in the new folder `scratch`. DeliveryError with pip's words."""
    scratch.mkdir()
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copyfile(checkout / name, scratch / name)
    shutil.copytree(checkout / "siim_kernel", scratch / "siim_kernel", ignore=shutil.ignore_patterns("__pycache__"))
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    built = subprocess.run([*pip, "--wheel-dir", out, scratch], capture_output=True, text=True)
    if built.returncode:
        raise DeliveryError(f"the package's wheel could not be built:\n{built.stderr.strip()}")


def _upload(checkout, stages, name):
    folder = stages / "uploads" / name
    folder.mkdir(parents=True)
    shutil.copyfile(checkout / "datasets-metadata" / name / "dataset-metadata.json", folder / "dataset-metadata.json")
    return folder


def _upload_runs(checkout, stages, uploads):
    folder = _upload(checkout, stages, "trained-weights")
    shutil.copytree(stages / "train" / "working" / "runs", folder, dirs_exist_ok=True)
    uploads["siim-kernel-trained-weights"] = folder


def _rehearse(name, kernel, stages, competition, uploads, recipe, say):
    """Runs one kernel folder on the sources its metadata names; DeliveryError with the end of its log where it fails."""
    parameters = {
        "images": {"RECIPES": (recipe.name,)},
        "train": {"RECIPE": recipe.name, "FOLD": 0},
        "inference": {},
    }[name]
    metadata = kernel_folders.read_metadata(kernel)
    mounted = stages / name / "input"
    sources = {f"competitions/{slug}": competition for slug in metadata["competition_sources"]}
    sources |= {f"datasets/{ref}": uploads[slug] for ref in metadata["dataset_sources"] if (slug := ref.split("/")[1]) in uploads}
    sources |= {f"notebooks/{ref}": _output_of(ref, stages) for ref in metadata["kernel_sources"]}
    for place, source in sources.items():
        (mounted / place).parent.mkdir(parents=True, exist_ok=True)
        (mounted / place).symlink_to(source, target_is_directory=True)
    done = rehearsal.rehearse(
        kernel, mounted, stages / name / "working", parameters=parameters, limits=rehearsal.Limits(), on_line=lambda line: say(f"  {line}")
    )
    if not done.ok:
        reason = done.killed or f"exit code {done.returncode}"
        raise DeliveryError(f"the {name} kernel failed ({reason}); its log is {done.log}")
    return name, done


def _output_of(ref, stages):
    """The working folder of the kernel that a kernel source names."""
    return stages / ref.split("/")[1].removeprefix("siim-kernel-") / "working"


def _summary(out, competition, solution, recipe, done, stages):
    sizes, _ = tables.film_sizes(competition, "test")
    report = checking.check(out / "submission.csv", competition / tables.SAMPLE, sizes)
    _, image_ids = submission.bare_ids(submission.read_sample(competition / tables.SAMPLE)[1])
    not_read = len(pd.read_csv(out / "not_read.csv", dtype=str))
    run_folder = stages / "train" / "working" / "runs"
    scored = "solution"
    submitted = out / "submission.csv"
    if solution is None:
        scored, (submitted, solution) = "held-out fold", _held_out(out, runs.load_all([run_folder])[0], competition)
    texts, truth = metric.read_files(submitted, solution)
    score, (mean, sd) = metric.score(texts, truth), metric.chance(texts, truth)
    inference = dict(done)["inference"]
    seconds_a_film = inference.seconds / max(len(image_ids), 1)
    return {
        "ok": report.ok and not_read <= kernels.NOT_READ_LIMIT * len(image_ids),
        "valid": report.ok,
        "faults": list(map(str, report.faults)),
        "warnings": list(map(str, report.warnings)),
        "images": len(image_ids),
        "not_read": not_read,
        "scored": scored,
        "AP": score.AP,
        "mAP": score.mAP,
        "chance": {"mean": mean, "sd": sd},
        "sds_above_chance": (score.mAP - mean) / sd if sd else None,
        "offline": {"level": inference.level, "proof": list(inference.proof)},
        "recipe": {"name": recipe.name, "network": recipe.network, "size": recipe.pixels.size, "width": recipe.width}
        | {"epochs": sum(phase.epochs for phase in recipe.phases), "weights": recipe.weights or "none"},
        "kernels": {
            name: {"minutes": each.seconds / 60, "peak_gib": each.peak_bytes / 2**30, "working_gib": each.working_bytes / 2**30}
            for name, each in done
        },
        "peak_gib": max(each.peak_bytes for _, each in done) / 2**30,
        "disk_gib": sum(path.stat().st_size for path in stages.rglob("*") if path.is_file() and not path.is_symlink()) / 2**30,
        "extrapolation": {
            "images": HIDDEN_IMAGES,
            "hours": seconds_a_film * HIDDEN_IMAGES / 3600,
            "of": "this machine and films of this size, start-up counted with every film",
            "kaggle_limits": KAGGLE,
        },
    }


def _held_out(out, run, competition):
    """Submission and solution of the films that validated the run: two paths."""
    predicted = pd.read_csv(run.folder / runs.OUT_OF_FOLD, dtype={"image": str, "study": str})
    table = tables.read_training(competition, headers=False).images
    truth = solutions.solution(table[table["image"].isin(predicted["image"])], drop_siblings=True)
    solutions.write_solution(out / "held_out_solution.csv", truth)
    sample = out / STAGES / "held_out_sample.csv"
    truth[["id", "PredictionString"]].to_csv(sample, index=False)
    images = predicted.set_index("image")
    images["boxes"] = priors.boxes_of_films(run.prior_boxes, images)
    submission.write(out / "held_out.csv", sample, predicted.groupby("study")[list(STUDY_CLASSES)].mean(), images)
    return out / "held_out.csv", out / "held_out_solution.csv"


def as_text(summary):
    """The summary in lines for a person; the last ones say what counts."""
    lines = [
        "",
        f"recipe {summary['recipe']['name']}: {summary['recipe']['network']} at {summary['recipe']['size']} px, "
        f"width {summary['recipe']['width']:g}, {summary['recipe']['epochs']} epochs, weights: {summary['recipe']['weights']}",
    ]
    for name, stage in summary["kernels"].items():
        lines.append(
            f"{name} kernel: {stage['minutes']:.1f} min, peak {stage['peak_gib']:.2f} GiB, working folder {stage['working_gib']:.3f} GiB"
        )
    guess, limits = summary["extrapolation"], summary["extrapolation"]["kaggle_limits"]
    lines.append(
        f"{guess['images']} hidden images at this rate ({guess['of']}): {guess['hours']:.2f} h of Kaggle's {limits['hours']:g} h; "
        f"memory limit {limits['memory_gib']:g} GiB, working folder {limits['working_gib']:g} GiB"
    )
    lines += [f"fault: {fault}" for fault in summary["faults"][:10]] + [f"warning: {warning}" for warning in summary["warnings"][:10]]
    lines.append("AP " + ", ".join(f"{name} {'-' if value is None else f'{value:.3f}'}" for name, value in summary["AP"].items()))
    chance, above = summary["chance"], summary["sds_above_chance"]
    above = "no spread to compare with" if above is None else f"{above:.1f} standard deviations above"
    lines += [
        f"submission {'valid' if summary['valid'] else 'NOT VALID'}: {summary['images']} images, {summary['not_read']} not read",
        f"mAP {summary['mAP']:.4f} on the {summary['scored']}, chance {chance['mean']:.4f} (sd {chance['sd']:.4f}): {above}",
        f"offline by {summary['offline']['level']}: {'; '.join(summary['offline']['proof'])}",
        f"{summary['minutes']:.1f} minutes, peak memory {summary['peak_gib']:.2f} GiB, disk {summary['disk_gib']:.2f} GiB",
    ]
    return "\n".join(lines)
