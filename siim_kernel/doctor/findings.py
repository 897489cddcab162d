"""What was found, and the page that shows it. Standard library alone: the page must come out of a broken installation too."""

from dataclasses import asdict, dataclass

OK, LACKING, NOTE = "ok", "lacking", "note"

READING, BUILDING, TRAINING, PREDICTION = "reading films", "image sets", "training", "prediction"
REHEARSAL, WEIGHTS, NOTEBOOKS, KAGGLE = "offline rehearsal", "ImageNet weights", "notebooks", "Kaggle client"
MOUNTS, SOFTWARE, COMPETITION = "mounts", "software", "competition"
PAGE_ORDER = (SOFTWARE, READING, BUILDING, TRAINING, WEIGHTS, REHEARSAL, NOTEBOOKS, KAGGLE, MOUNTS, COMPETITION)

# The stages of the last line, as what a person can do; the exit code is decided by the first four.
DEEDS = {
    READING: "read films",
    BUILDING: "build image sets",
    TRAINING: "train",
    PREDICTION: "predict",
    REHEARSAL: "rehearse offline",
}
NEEDED = (READING, BUILDING, TRAINING, PREDICTION)
_MARKS = {OK: "ok", LACKING: "LACKS", NOTE: "note"}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of the page.

    stage   the heading it stands under
    what    what was looked at, in a few words
    state   "ok", "lacking" or "note": worth knowing, and nothing fails for it
    detail  what was found
    remedy  what to do; a lack has one
    stops   stages (keys of `DEEDS`) that cannot run at all because of it
    """

    stage: str
    what: str
    state: str
    detail: str = ""
    remedy: str = ""
    stops: tuple[str, ...] = ()


def can_run(findings):
    """Which stages can run here: a dict of the keys of `DEEDS` to True or False."""
    stopped = {stage for finding in findings for stage in finding.stops}
    return {stage: stage not in stopped for stage in DEEDS}


def all_needed_run(findings):
    """Whether films can be read, image sets built, networks trained and predictions made."""
    able = can_run(findings)
    return all(able[stage] for stage in NEEDED)


def as_text(findings):
    """The page: a heading for each stage, a line for each finding, and one sentence at the end on what can run here."""
    width = max((len(finding.what) for finding in findings), default=0)
    lines = []
    for stage in PAGE_ORDER:
        found = [finding for finding in findings if finding.stage == stage]
        if not found:
            continue
        lines += ["", stage[0].upper() + stage[1:]] if lines else [stage[0].upper() + stage[1:]]
        for finding in found:
            lines.append(f"  {_MARKS[finding.state]:<5}  {finding.what:<{width}}  {finding.detail}".rstrip())
            if finding.remedy:
                lines.append(f"         remedy: {finding.remedy}")
    return "\n".join([*lines, "", sentence(findings)])


def sentence(findings):
    """What can run on this machine and what cannot, in one sentence."""
    able = can_run(findings)
    can, cannot = ([deed for stage, deed in DEEDS.items() if able[stage] is side] for side in (True, False))
    lacks = sum(finding.state == LACKING for finding in findings)
    if not cannot:
        rest = {0: "nothing is lacking", 1: "one thing is lacking, marked above"}.get(lacks, f"{lacks} things are lacking, marked above")
        return f"This machine can {_listed(can, 'and')}; {rest}."
    able = f"can {_listed(can, 'and')}, but " if can else ""
    return f"This machine {able}cannot {_listed(cannot, 'or')}: mend what is marked LACKS above."


def _listed(words, last):
    return f" {last} ".join(part for part in (", ".join(words[:-1]), words[-1]) if part)


def as_json(findings):
    """The page as a dict for JSON: ok, stages (stage -> can run), findings."""
    return {"ok": all_needed_run(findings), "stages": can_run(findings), "findings": [asdict(finding) for finding in findings]}
