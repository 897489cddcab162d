"""The section on representativeness: the errors in training, validation and final test, and the gaps between them."""

import pandas as pd

from siim_kernel.evaluation.pages import Section, Table, Text
from siim_kernel.evaluation.report_making import training_accuracy
from siim_kernel.evaluation.report_tables import with_interval
from siim_kernel.evaluation.representativeness import ERRORS, GAPS, MEASURES, common_labels, representativeness

PARTS = {
    "train": "training",
    "validation": "validation (out of fold)",
    "final_test": "final test",
    "variance": "variance: validation less training",
    "mismatch": "mismatch: final test less validation",
}
WORSE = {
    "variance": ("the error in validation is larger than in training", "the error in validation is smaller than in training"),
    "mismatch": ("the error in the final test is larger than in validation", "the error in the final test is smaller than in validation"),
}


def examined(judged, resamples):
    """`representativeness` of a `Judged`, of single networks."""
    return representativeness(*judged.by_network, resamples=resamples)


def section(judged, errors):
    """The section of a `Judged`; errors as `examined` gives them."""
    given = [part for part in judged.by_network if part is not None]
    names = [name for name, part in zip(ERRORS[1:], judged.by_network, strict=True) if part is not None]
    rows = []
    for quantity in (*ERRORS, *GAPS):
        ends = {"variance": ("train", "validation"), "mismatch": ("validation", "final_test")}.get(quantity, (quantity,))
        if set(ends) <= set(names):
            both = [errors.loc[(measure, quantity)] for measure in MEASURES]
            said = [verdict(row, quantity) if quantity in GAPS else "" for row in both[1:]]
            rows.append((PARTS[quantity], *map(with_interval, both), *said))
    columns = ["", "error (1 − accuracy)", "balanced error", "by balanced error"]
    parts = [
        Text(
            "From training to validation the gap is the variance, which more films make smaller; from validation to the final test it is "
            "the mismatch, which says whether the validation films stand for those of the final test (thesis, sections 2.1.2 and 4.9). All "
            "errors are of single networks. A gap whose interval holds 0 shows no difference, which is not to say that there is none."
        ),
        Table(pd.DataFrame(rows, columns=columns), "Errors and their gaps, with 95 % intervals by patient as far as patients are known"),
    ]
    if not judged.trainings:
        instead = training_accuracy(judged)
        parts.append(Text(f"The error on the training films cannot be said, as the run stores no predictions of them. Instead: {instead}"))
    if judged.final_test is None:
        parts.append(Text("The split has no final test, so that the mismatch cannot be said."))
    labels = common_labels(given)
    if not labels.all():
        absent = [label for label, common in zip(judged.labels, labels, strict=True) if not common]
        common = f"the {labels.sum()} of {len(labels)} labels that have films in every part; not over {', '.join(absent)}"
        parts.append(Text(f"Balanced errors are over {common}.", warning=True))
    return Section("representativeness: errors and their gaps", tuple(parts))


def verdict(row, gap):
    """What a gap with its interval says, in words."""
    if row.isna().any():
        return "cannot be said"
    larger, smaller = WORSE.get(gap, ("larger", "smaller"))
    return larger if row["low"] > 0 else smaller if row["high"] < 0 else "no difference shown"
