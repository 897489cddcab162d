"""The commands before and after the training on Kaggle: `plan` and `join`. Parses, calls, prints; decides nothing."""

import json
from pathlib import Path
from typing import Annotated

import typer

from siim_kernel.delivery.quota import BUDGET

app = typer.Typer()


def say(text):
    """One line to standard error: warnings and waiting, so that standard output holds results alone."""
    typer.echo(text, err=True)


@app.command()
def plan(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe (siim-kernel recipes).")],
    run: Annotated[
        list[Path] | None,
        typer.Option("--run", "--calibration", help="Stored run, or file of `train --calibrate`, that tells seconds; several times."),
    ] = None,
    n_folds: Annotated[int | None, typer.Option(help="Number of folds, else the recipe's.", min=2)] = None,
    fold: Annotated[list[int] | None, typer.Option(help="Only these folds; several times.", min=0)] = None,
    split: Annotated[str | None, typer.Option(help="How the films are parted, in place of the recipe's way.")] = None,
    films: Annotated[int | None, typer.Option(help="Films that are parted, where they are not those measured.", min=2)] = None,
    max_hours: Annotated[float, typer.Option(help="Hours that a session's training gives itself.", min=0.1, max=12)] = BUDGET,
    week: Annotated[float, typer.Option(help="GPU hours a week.", min=0.1)] = 30.0,
    left: Annotated[float | None, typer.Option(help="GPU hours left of this week.", min=0)] = None,
    ask_kaggle: Annotated[bool, typer.Option("--ask-kaggle", help="Ask `kaggle quota` for both.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Standard output is JSON alone.")] = False,
):
    """Plan the GPU sessions and weeks that a recipe's folds need on Kaggle.

    What was not measured is named as assumed. The exit code is 1 where the training cannot finish: an epoch is longer than a
    session.
    """
    import dataclasses

    from siim_kernel.competition import splits
    from siim_kernel.delivery import planned, quota, timings
    from siim_kernel.recipes import catalogue

    if ask_kaggle and left is not None:
        raise typer.BadParameter("--ask-kaggle and --left exclude each other")
    wanted = catalogue.by_name(recipe)
    way, count = splits.way_of(wanted, split), n_folds or wanted.n_folds
    there = splits.validating(way, count)
    if unknown := sorted(set(fold or ()) - set(there)):
        raise typer.BadParameter(f"there is no fold {unknown[0]}; there are {', '.join(map(str, there))}", param_hint="--fold")
    found = timings.measured(wanted, run) if run else timings.assumed(wanted)
    if films:
        found = dataclasses.replace(found, films=films, learning=None, validating=None)
    limits = quota.Limits(budget=max_hours, week=week)
    if left is not None:
        limits = dataclasses.replace(limits, left=left, until_reset=quota.hours_until_saturday())
    if ask_kaggle:
        limits = _asked(limits)
    made = planned.plan(wanted, found, sorted(set(fold or there)), count if way in splits.FOLDED else None, limits)
    print(json.dumps(planned.as_json(made), indent=1) if as_json else planned.as_text(made))


def _asked(limits):
    """Limits with what Kaggle says of the week."""
    import os

    from siim_kernel.delivery import client, quota

    return quota.of_kaggle(limits, client.Client(os.environ, say=say).quota())


@app.command()
def join(
    run: Annotated[list[Path], typer.Argument(help="Runs, folders of fold-K runs, or kernel outputs that hold them.")],
    out: Annotated[Path, typer.Option(help="Folder to make; what `publish trained-weights` takes.")],
):
    """Join runs of several folds or recipes in one folder of verified copies.

    Of several recipes each has a sub-folder. Folds that lack are named.
    """
    from siim_kernel import joining

    groups = joining.join(run, out)
    for group in groups:
        print(f"{out}: {group.line}")
    for warning in filter(None, (group.warning for group in groups)):
        say(f"warning: {warning}")
