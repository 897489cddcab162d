"""The commands that talk to Kaggle: `publish`, `push`, `status`, `fetch`, `submit`. Parses, calls, prints; decides nothing."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()

DryRun = Annotated[bool, typer.Option("--dry-run", help="Stage and check, print what would be run, ask and send nothing.")]
Owner = Annotated[str | None, typer.Option(help="Kaggle user name; else KAGGLE_USERNAME, or the token's.")]
Recipe = Annotated[str | None, typer.Option(help="Recipe, in the PARAMETERS and in the slug.")]
Fold = Annotated[int | None, typer.Option(help="Fold, in the PARAMETERS and in the slug.", min=0)]


class Dataset(StrEnum):
    """The datasets of the manifest."""

    code = "code"
    wheels = "wheels"
    imagenet_weights = "imagenet-weights"
    trained_weights = "trained-weights"


class Kernel(StrEnum):
    """The kernels of the manifest."""

    images = "images"
    external_images = "external_images"
    train = "train"
    inference = "inference"


@app.command()
def publish(
    dataset: Annotated[Dataset, typer.Argument(help="Which dataset.")],
    folder: Annotated[Path | None, typer.Option(help="Its files; else build/DATASET, for trained-weights build/output/train/runs.")] = None,
    message: Annotated[str, typer.Option(help="Notes of the version.")] = "new files",
    owner: Owner = None,
    dry_run: DryRun = False,
):
    """Publish a Kaggle dataset, or a new version of it, and verify that all of it arrived."""
    from siim_kernel.delivery import steps

    client, manifest = _start(owner, dry_run)
    steps.publish(client, manifest, dataset.value, folder, message, _say(dry_run))


@app.command()
def push(
    kernel: Annotated[Kernel, typer.Argument(help="Which kernel.")],
    recipe: Recipe = None,
    fold: Fold = None,
    max_hours: Annotated[float | None, typer.Option(help="Hours that the kernel gives itself.", min=0.001)] = None,
    measured: Annotated[
        list[Path] | None,
        typer.Option("--run", "--calibration", help="As for plan: tells how long a training takes, else it is assumed; several times."),
    ] = None,
    calibrate: Annotated[bool, typer.Option("--calibrate", help="Train: only time a few steps of each phase; fetch by its slug.")] = False,
    settings: Annotated[list[str] | None, typer.Option("--set", help="NAME=VALUE of the kernel's PARAMETERS; several times.")] = None,
    source: Annotated[
        list[str] | None, typer.Option(help="Kernel whose output is attached too, OWNER/SLUG or SLUG; several times.")
    ] = None,
    dataset: Annotated[list[str] | None, typer.Option(help="Dataset that is attached too, OWNER/SLUG or SLUG; several times.")] = None,
    script: Annotated[
        bool, typer.Option("--script", help="Inference: the script instead of the notebook, under a slug of its own.")
    ] = False,
    accelerator: Annotated[str | None, typer.Option(help="Machine of a kernel that uses a GPU; else what its folder says.")] = None,
    docker_image: Annotated[str | None, typer.Option(help="Kaggle image by its digest; else Kaggle's current one.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Begin a training anew where an earlier session could be gone on from.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Stay until the session is done.")] = False,
    owner: Owner = None,
    dry_run: DryRun = False,
):
    """Push a kernel, which saves a version and runs it, and verify what Kaggle made of it.

    A training that was pushed before goes on from its last complete session. One that could never finish is refused.
    """
    from siim_kernel.delivery import kernel_folders, steps

    client, manifest = _start(owner, dry_run, accelerator, docker_image)
    wish = steps.Wish(
        recipe=recipe,
        fold=fold,
        max_hours=max_hours,
        settings=kernel_folders.parse_settings(settings or []),
        kernels=source or (),
        datasets=dataset or (),
        fresh=fresh,
        calibrate=calibrate,
        measured=measured or (),
        script=script,
    )
    pushed = steps.push(client, manifest, kernel.value, wish, _say(dry_run))
    if pushed:
        print(f"{pushed.ref} {pushed.version or ''}".rstrip())
    if pushed and wait:
        steps.wait(client, pushed.ref, _say(dry_run))


@app.command()
def status(
    kernel: Annotated[str, typer.Argument(help="images, external_images, train, inference; or a kernel's SLUG, or OWNER/SLUG.")],
    recipe: Recipe = None,
    fold: Fold = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Ask, less and less often, until it is done.")] = True,
    owner: Owner = None,
    dry_run: DryRun = False,
):
    """Tell how a kernel's newest version stands, with the end of its log; for one that failed, why.

    The exit code is 0 only when it is complete.
    """
    from siim_kernel.delivery import fetching, steps

    client, manifest = _start(owner, dry_run)
    ref = steps.ref_of(manifest, kernel, steps.Wish(recipe=recipe, fold=fold).suffix, client)
    if client is None:
        print(f"would run: kaggle kernels status {ref}")
        return
    steps.wait(client, ref, print, patience=fetching.PATIENCE if wait else 0)


@app.command()
def fetch(
    kernel: Annotated[str, typer.Argument(help="images, external_images, train, inference; or a kernel's SLUG, or OWNER/SLUG.")],
    recipe: Recipe = None,
    fold: Fold = None,
    folder: Annotated[Path | None, typer.Option(help="Where to, replaced as a whole; else build/output/KERNEL, or SLUG.")] = None,
    owner: Owner = None,
    dry_run: DryRun = False,
):
    """Download what a kernel's newest version left, and its log; put it in place when all of it is verified."""
    from siim_kernel.delivery import steps

    client, manifest = _start(owner, dry_run)
    suffix = steps.Wish(recipe=recipe, fold=fold).suffix
    ref = steps.ref_of(manifest, kernel, suffix, client)
    target = folder or steps.output_folder(manifest, kernel, suffix)
    for path in steps.fetch(client, ref, target, _say(dry_run)) or ():
        print(path)


@app.command()
def submit(
    version: Annotated[
        int | None, typer.Argument(help="Version, as its push printed it; else the newest, where it was pushed from here.", min=1)
    ] = None,
    kernel: Annotated[str, typer.Option(help="Another kernel: its SLUG, or OWNER/SLUG.")] = "inference",
    message: Annotated[str, typer.Option(help="Description; the kernel and its version are added.")] = "siim-kernel",
    folder: Annotated[Path | None, typer.Option(help="Where SLUG-vN.json with the score goes; else build/submissions.")] = None,
    again: Annotated[bool, typer.Option("--again", help="Spend another submission on a version that was submitted already.")] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Stay until the score is there.")] = True,
    owner: Owner = None,
    dry_run: DryRun = False,
):
    """Submit a version of the inference kernel once, and read its score back.

    A version that was submitted already is not submitted again; its score is read.
    """
    from siim_kernel.delivery import steps

    client, manifest = _start(owner, dry_run)
    ref = steps.ref_of(manifest, kernel)
    row = steps.submit(client, manifest, ref, version, message, again, folder, wait, _say(dry_run))
    if row:
        print(f"submission {row['ref']} {row['status']}: public {row['publicScore'] or '-'}, private {row['privateScore'] or '-'}")


def _start(owner, dry_run, accelerator=None, docker_image=None):
    """The client, None for a dry run, and the manifest for the owner; a dry run asks nobody, and may go with the placeholder."""
    import os
    import signal

    from siim_kernel.delivery import client, manifest
    from siim_kernel.dry_run import find_checkout
    from siim_kernel.errors import DeliveryError

    # As an exception, so that the kaggle command under way is ended too, and its temporary folder is removed.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    asked = None if dry_run else client.Client(os.environ, say=_say(False))
    try:
        name = manifest.owner_of(os.environ, owner, asked and asked.owner)
    except DeliveryError:
        if not dry_run:
            raise
        name = manifest.PLACEHOLDER
    return asked, manifest.load(find_checkout(), name, accelerator, docker_image)


def _say(dry_run):
    """Where progress goes: standard error; a dry run has nothing else to print."""
    return (lambda text: typer.echo(text)) if dry_run else (lambda text: typer.echo(text, err=True))
