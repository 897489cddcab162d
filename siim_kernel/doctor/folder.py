"""A competition folder: what it has and lacks, its films' transfer syntaxes, and what its image sets need."""

from pathlib import Path

from siim_kernel import machine
from siim_kernel.doctor import stages
from siim_kernel.doctor.films import short_name
from siim_kernel.doctor.findings import BUILDING, COMPETITION, LACKING, NOTE, OK, PREDICTION, READING, TRAINING, Finding
from siim_kernel.errors import SiimKernelError

SAMPLED = 300  # headers that are read
AS_KAGGLE = "get it again, as Kaggle has it"


def examine(competition, memory):
    """Findings on a competition folder. `memory` as `machine.memory` gives it."""
    from siim_kernel.competition import tables

    competition = Path(competition)
    if not competition.is_dir():
        detail, stops = f"{competition} is no folder", (READING, BUILDING, TRAINING, PREDICTION)
        remedy = "give the folder that holds train/, test/ and the CSVs"
        yield Finding(stage=COMPETITION, what="folder", state=LACKING, detail=detail, remedy=remedy, stops=stops)
        return
    paths = {}
    for split in tables.SPLITS:
        finding, paths[split] = _of_split(competition, split)
        yield finding
    yield from _of_tables(competition)
    every = [path for split in tables.SPLITS for path in paths[split]]
    if not every:
        detail, remedy = "neither train/ nor test/ has films", "give the folder that holds train/ and test/"
        yield Finding(stage=COMPETITION, what="films", state=LACKING, detail=detail, remedy=remedy, stops=(READING, BUILDING, PREDICTION))
        return
    step = max(1, len(every) / SAMPLED)
    sample = [every[int(index * step)] for index in range(min(SAMPLED, len(every)))]
    yield from _of_syntaxes(sample, len(every))
    yield from _of_needs(sample, len(every), memory)


def _of_split(competition, split):
    """The finding on train/ or test/, and the paths of its films."""
    from siim_kernel.competition import tables

    stops = (PREDICTION,) if split == "test" else ()
    what = f"{split}/"
    if not (competition / split).is_dir():
        wanted = "predictions are made of it" if split == "test" else "training needs an image set of it, built elsewhere"
        detail = f"missing; {wanted}"
        return Finding(stage=COMPETITION, what=what, state=LACKING, detail=detail, remedy=f"put {what} into {competition}", stops=stops), []
    found = tables.films(competition, split, strict=False)["path"].tolist()
    if not found:
        detail, remedy = "no .dcm file in it", "the films stand at <study>/<series>/<image>.dcm"
        return Finding(stage=COMPETITION, what=what, state=LACKING, detail=detail, remedy=remedy, stops=stops), []
    try:
        tables.films(competition, split)
    except SiimKernelError as error:
        # Prediction makes the best of such test films; an image set is not built of them.
        remedy = "move or remove what is named; build-images refuses such a folder"
        stops = (BUILDING,) if split == "train" else ()
        return Finding(stage=COMPETITION, what=what, state=LACKING, detail=str(error), remedy=remedy, stops=stops), found
    return Finding(stage=COMPETITION, what=what, state=OK, detail=f"{len(found):,} films"), found


def _of_tables(competition):
    from siim_kernel.competition import submission, tables

    readers = {
        tables.STUDY_TABLE: (lambda path: f"{len(tables.read_study_classes(path)):,} studies", TRAINING, "training"),
        tables.IMAGE_TABLE: (lambda path: f"{len(tables.read_image_labels(path)):,} images", TRAINING, "training"),
        tables.SAMPLE: (lambda path: f"{len(submission.read_sample(path)[1]):,} ids", PREDICTION, "prediction"),
    }
    for name, (read, stage, needs) in readers.items():
        if not (competition / name).is_file():
            detail, remedy = f"missing; {needs} needs it", f"put Kaggle's {name} into {competition}"
            yield Finding(stage=COMPETITION, what=name, state=LACKING, detail=detail, remedy=remedy, stops=(stage,))
            continue
        try:
            yield Finding(stage=COMPETITION, what=name, state=OK, detail=read(competition / name))
        except (SiimKernelError, OSError) as error:
            yield Finding(stage=COMPETITION, what=name, state=LACKING, detail=str(error), remedy=AS_KAGGLE, stops=(stage,))


def _of_syntaxes(sample, count):
    from siim_kernel.pixels import dicom

    found = dicom.preflight(sample)
    looked = f"of {len(sample)} looked at" if len(sample) < count else f"of {count}"
    none_reads = not any(syntax.decoders for syntax in found.syntaxes)
    for syntax in found.syntaxes:
        detail = f"{syntax.count} {looked}: {', then '.join(syntax.decoders) or 'no decoder'}"
        lacks = not syntax.decoders
        yield Finding(
            stage=COMPETITION,
            what=short_name(syntax.uid),
            state=LACKING if lacks else OK,
            detail=detail,
            remedy="install the decoder named under Reading films, or convert these films" if lacks else "",
            stops=(READING, BUILDING, PREDICTION) if lacks and none_reads else (),
        )
    if found.unreadable:
        path, reason = found.unreadable[0]
        yield Finding(
            stage=COMPETITION,
            what="unreadable headers",
            state=LACKING,
            detail=f"{len(found.unreadable)} {looked}, the first: {path}: {reason}",
            remedy="get these files again; without them image sets leave them out and predictions take the training priors",
            stops=(READING, BUILDING, PREDICTION) if len(found.unreadable) == len(sample) else (),
        )


def _of_needs(sample, count, memory):
    """Disk for the image sets of the package's recipes, and memory for the largest film of the sample."""
    from siim_kernel.competition import tables
    from siim_kernel.recipes.main import OWN

    sizes = sorted({recipe.pixels.size for recipe in OWN}, reverse=True)
    yield stages.of_disk(stages.working_place(), count, sizes, COMPETITION, "disk for image sets")
    shapes = [shape for path in sample if isinstance((shape := tables.film_size(path))[0], int)]
    if not shapes:
        yield Finding(stage=COMPETITION, what="film sizes", state=NOTE, detail="no header states them")
        return
    rows, columns = max(shapes, key=lambda shape: shape[0] * shape[1])
    yield Finding(stage=COMPETITION, what="largest film", state=OK, detail=f"{rows} x {columns} pixels, of {len(sample)} looked at")
    yield stages.of_memory(memory, machine.cores(), rows * columns, COMPETITION, "memory for it")
