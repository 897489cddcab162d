"""All findings of one machine, gathered."""

import errno
from concurrent.futures import ThreadPoolExecutor

from siim_kernel import machine
from siim_kernel.doctor import films, folder, stages, tools
from siim_kernel.doctor import findings as page
from siim_kernel.doctor.findings import LACKING, OK, Finding

NO_PLACE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.ENOENT)
TEMPORARY = "make room where temporary files go, or name another place by TMPDIR"
BROKEN = "the installation is broken: make the environment anew (make test), or pip install --force-reinstall what is named"


def examine(competition=None):
    """What this machine has and lacks for each stage: a tuple of `Finding`.

    competition  a competition folder, whose films and tables are looked at too

    Opens no connection, writes into temporary folders alone, and takes under 20 seconds on two cores. TensorFlow is asked in a
    process of its own while the rest is looked at.
    """
    memory = machine.memory()  # before TensorFlow takes its share
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(stages.ask_tensorflow)
        found = [
            *_guarded(page.SOFTWARE, stages.software),
            *_guarded(page.READING, films.examine, films.NEEDS_FILMS),
            *_guarded(page.BUILDING, lambda: stages.building(memory), (page.BUILDING,)),
            *_guarded(page.WEIGHTS, stages.weights),
            *(levels := _guarded(page.REHEARSAL, tools.levels, (page.REHEARSAL,))),
            *_guarded(page.NOTEBOOKS, lambda: tools.notebooks(_strongest(levels))),
            *_guarded(page.KAGGLE, tools.client),
            *_guarded(page.MOUNTS, stages.input_mounts),
            *_guarded(page.TRAINING, lambda: stages.training(asked.result(), machine.cards(), memory), stages.NEEDS_LEARNING),
        ]
        if competition is not None:
            found += _guarded(page.COMPETITION, lambda: folder.examine(competition, memory), page.NEEDED)
    return tuple(found)


def _strongest(levels):
    """Name of the strongest level that works, None where none does."""
    return next((finding.what for finding in levels if finding.state == OK), None)


def _guarded(stage, examine, stops=()):
    """The findings of one stage; whatever is raised is one too.

    The boundary of tolerance: a page on a broken machine must come out of it. Libraries that do not load raise nearly anything.
    """
    found = []
    try:
        found.extend(examine())
    except Exception as error:
        detail = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        disk = isinstance(error, OSError) and error.errno in NO_PLACE
        what, remedy = ("temporary folder", TEMPORARY) if disk else ("installation", BROKEN)
        found.append(Finding(stage=stage, what=what, state=LACKING, detail=detail, remedy=remedy, stops=stops))
    return found
