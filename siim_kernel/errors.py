"""One tree of errors, each named by what the operator must mend.

A message says what is wrong, where, what was received, and what to do.
"""


class SiimKernelError(Exception):
    """Base of all errors that an operator can mend; the command line prints its message without a traceback."""


class MountError(SiimKernelError):
    """An input folder, data source or output folder is missing, ambiguous or not usable."""


class DicomError(SiimKernelError):
    """A DICOM file cannot be read as one grey image; the message is the reason, without the path."""


class WorkerError(SiimKernelError):
    """The processes that read films cannot be started, or one of them met an error of this package."""


class TableError(SiimKernelError):
    """A CSV of the competition (or one in its form) lacks columns, contradicts itself or the files."""


class RecipeError(SiimKernelError):
    """A recipe is unknown, impossible, or asks for something that this machine or input lacks."""


class ImageSetError(SiimKernelError):
    """An image set is missing, unfinished, damaged, or made by another pixel recipe."""


class RunError(SiimKernelError):
    """A stored run is missing, unfinished, damaged, or does not fit what it is used with."""


class SubmissionError(SiimKernelError):
    """A submission or a solution is not in the competition's form."""


class DeliveryError(SiimKernelError):
    """A kernel, dataset folder, wheel or rehearsal is not as Kaggle would take it."""
