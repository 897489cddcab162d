"""What can go wrong at which step, and what must then be so: the rows that `kaggle_faults` runs."""

from dataclasses import dataclass, field

NEW, VERSION = "publish, new", "publish, version"
PUSH, AGAIN, CHAIN = "push", "push, version", "push, going on"
STATUS, FETCH, SESSION = "status", "fetch", "fetch, of a training"
SUBMIT, NEWEST, PLAN = "submit", "submit, newest --again", "plan --ask-kaggle"

# The request that changes something on Kaggle.
ACTS = {NEW: "CreateDataset", VERSION: "CreateDatasetVersion", SUBMIT: "CreateCodeSubmission", NEWEST: "CreateCodeSubmission"}
ACTS |= dict.fromkeys((PUSH, AGAIN, CHAIN), "SaveKernel")

# When a fault lies in wait: from the start, or from the act on.
FIRST, AFTER = "from the start", "after the act"

MENDED = "content, everything there once"
REFUSED = "stops, nothing sent"
NOT_DONE = "stops, sent once, nothing there"
NOT_AS_SENT = "stops, sent once, not as it was sent"
UNSURE = "stops, there all the same, says so, and given again sends nothing"
GONE = "stops, there all the same"  # nothing to be mended by giving it again
MAYBE = (
    r"may have arrived|may be spent|version \d+ was confirmed"
    r"|the upload was confirmed|version \d+ is ready, but cannot be compared|submission \d+ of \S+ is there, but its score cannot be read"
)


@dataclass(frozen=True)
class Case:
    """One fault at one step.

    method, kind  the request and the fault, as `Service.inject` has them; or "token", "key" or nothing
    when          FIRST or AFTER
    times         how often
    want, why     what must be so, and what the reason must hold (a regular expression)
    sent          how often the act is sent: the client itself repeats some
    there         how many versions or submissions there are then
    state         name of something to arrange before: see `kaggle_faults.STATES`
    then          a request that answers HTTP 500 for good from the act on, beside the fault
    options       more for `inject`
    """

    step: str
    method: str
    kind: str
    when: str = FIRST
    want: str = MENDED
    why: str = ""
    times: int = 1
    sent: int | None = None
    there: int | None = None
    state: str = ""
    then: str = ""
    options: dict = field(default_factory=dict, hash=False)

    @property
    def place(self):
        """Where in the service's log the fault must be found; "" for a step that sends nothing, and for no fault."""
        if self.step not in ACTS or not self.method:
            return ""
        return "sending" if self.method == ACTS[self.step] else "after sending" if self.when == AFTER else "before sending"

    def __str__(self):
        words = (
            self.step,
            self.state,
            self.method,
            self.kind,
            "after" if self.when == AFTER else "",
            "for-good" if self.times > 1 else "",
            self.then,
        )
        return "-".join(filter(None, words)).replace(", ", "-").replace(" ", "-")


def _rows(step, methods, kinds, want=MENDED, why="", **more):
    return [Case(step, method, str(kind), want=want, why=why, **more) for method in methods.split() or [""] for kind in kinds]


READ = (500, 429, "reset", "truncated")
SHORT = (500, "truncated")
LASTING = {"want": UNSURE, "why": MAYBE, "times": 99, "when": AFTER}
LOGIN = "did not accept the token"
FILE = "a.h5"


def _tokens(step, at_the_act=""):
    """Refused keys and tokens, and a check of the token that fails: at the start and, where there is an act, after it."""
    rows = _rows(step, "key token", ["wrong"], REFUSED, LOGIN) + _rows(step, "IntrospectToken", (500, "reset"))
    if step in ACTS:
        rows += _rows(step, "IntrospectToken", (500, "reset"), when=AFTER)
    return rows


def _published(step):
    act = ACTS[step]
    rows = _rows(step, "GetDatasetStatus", READ)
    rows += _rows(step, "StartBlobUpload", (429, "reset")) + _rows(step, "StartBlobUpload", (500,), REFUSED, "nothing new arrived.*500")
    one = {"options": {"only": FILE}}
    rows += _rows(step, "upload", (503, "reset", "reset-after", "truncated"), **one)
    rows += _rows(step, "upload", (500,), NOT_AS_SENT, f"{FILE} is missing", **one)
    rows += _rows(step, "upload", (503,), NOT_AS_SENT, f"{FILE} is missing", times=99, **one)
    rows += _rows(step, "upload", ("wrong-size",), NOT_AS_SENT, f"{FILE} has 60 bytes instead of 120", **one)
    rows += _rows(step, "upload", ("wrong-bytes",), NOT_AS_SENT, f"{FILE} has another SHA-256", **one)
    rows += _rows(step, act, (429, "reset"), sent=2) + _rows(step, act, (500,), NOT_DONE, "nothing new arrived.*500")
    # The client sends it again by itself: a second dataset of this name is refused, a second version is not.
    rows += _rows(step, act, ("reset-after",), sent=2, there=1 if step == NEW else 2)
    rows += _rows(step, act, ("truncated",)) + _rows(step, act, ("error",), NOT_DONE, "nothing new arrived.*Something went wrong")
    rows += _rows(step, act, ("lost-file",), NOT_AS_SENT, f"{FILE} is missing", options={"name": FILE})
    rows += _rows(step, "GetDatasetStatus", READ, when=AFTER)
    # What is asked after the act is asked in the same way of a new dataset and of a version.
    rows += _rows(step, "ListDatasetFiles DownloadDataset", READ if step == NEW else (500,), when=AFTER)
    rows += _rows(step, "GetDataset GetDatasetMetadata", SHORT if step == NEW else (), when=AFTER)
    rows += _rows(step, "download", ("reset", "truncated") if step == NEW else (), when=AFTER)
    rows += _rows(step, "GetDatasetStatus", ("failed",), GONE, "is 'failed' instead of ready", when=AFTER, times=99)
    rows += _rows(step, "GetDatasetStatus ListDatasetFiles DownloadDataset", (500,), **LASTING)
    rows += _rows(step, act, ("truncated",), UNSURE, MAYBE, then="GetDatasetStatus")
    rows += _rows(step, "", ("late",), state="late")
    rows += _rows(step, act, ("truncated",), state="late") + _rows(step, act, ("truncated",), UNSURE, MAYBE, state="never")
    if step == VERSION:  # which takes a hundred questions
        rows += _rows(step, "", ("never",), UNSURE, MAYBE, state="never")
    return rows + _tokens(step)


def _pushed():
    before = "GetDatasetStatus GetDataset ListDataFiles GetKernelSessionStatus ListKernels GetAcceleratorQuotaStatistics"
    rows = _rows(PUSH, before, (500,))
    for method, kind in zip(before.split(), ("429", "reset", "truncated", "429", "reset", "truncated"), strict=True):
        rows += _rows(PUSH, method, (kind,))
    rows += _rows(PUSH, "GetDatasetStatus ListDataFiles", (403,), REFUSED, "is not there|is not to be seen")
    rows += _rows(PUSH, "GetAcceleratorQuotaStatistics", (500,), REFUSED, "quota.*500", times=99)
    for kind in (400, 429, 500):
        rows += _rows(PUSH, "SaveKernel", (kind,), NOT_DONE, str(kind))
    rows += _rows(PUSH, "SaveKernel", ("reset",), NOT_DONE, "nothing arrived|may have arrived") + _rows(
        PUSH, "SaveKernel", ("reset-after", "truncated")
    )
    rows += _rows(PUSH, "SaveKernel", ("error",), NOT_DONE, "refused.*Maximum batch GPU session count of 2 reached")
    rows += _rows(PUSH, "SaveKernel", ("unknown-sources",), NOT_AS_SENT, "siim-kernel-code of dataset_sources is not attached")
    one = {"sources": ["ada-example/siim-kernel-wheels"]}
    rows += _rows(PUSH, "SaveKernel", ("unknown-sources",), NOT_AS_SENT, "siim-kernel-wheels of", options=one, state="one source")
    rows += _rows(PUSH, "SaveKernel", ("internet-on",), NOT_AS_SENT, "enable_internet is True instead of False")
    rows += _rows(PUSH, "GetKernel", READ, when=AFTER) + _rows(PUSH, "GetKernel", (500, "reset"), **LASTING)
    rows += _rows(PUSH, "SaveKernel", ("reset-after", "truncated"), UNSURE, MAYBE, then="GetKernel")
    rows += _rows(PUSH, "SaveKernel", ("truncated",), UNSURE, MAYBE, state="never")
    rows += _rows(PUSH, "", ("late",), state="late") + _rows(PUSH, "", ("never",), UNSURE, MAYBE, state="never")
    rows += _rows(PUSH, "", ("refused",), REFUSED, r"siim-kernel-images is ERROR", state="failed source")
    rows += _tokens(PUSH)

    rows += _rows(AGAIN, "SaveKernel", ("reset", 500), NOT_DONE, "nothing arrived|may have arrived") + _rows(
        AGAIN, "SaveKernel", ("reset-after", "truncated")
    )
    rows += _rows(AGAIN, "GetKernelSessionStatus", READ) + _rows(AGAIN, "GetKernel", SHORT, when=AFTER)
    rows += _rows(AGAIN, "GetKernel", (500,), **LASTING)
    rows += _rows(AGAIN, "", ("late",), state="late") + _rows(AGAIN, "", ("never",), UNSURE, MAYBE, state="never")

    rows += _rows(CHAIN, "GetKernelSessionStatus GetKernel", READ)
    rows += _rows(CHAIN, "GetKernelSessionStatus GetKernel", (403, 404), REFUSED, "fold0")
    rows += _rows(CHAIN, "GetKernelSessionStatus", (403,), REFUSED, "fold0", times=99)
    rows += _rows(CHAIN, "SaveKernel", ("reset-after",)) + _rows(
        CHAIN, "SaveKernel", ("reset",), NOT_DONE, "nothing arrived|may have arrived"
    )
    rows += _rows(CHAIN, "GetKernel", (500,), when=AFTER) + _rows(CHAIN, "GetKernel", (500,), **LASTING)
    return rows


def _fetched():
    rows = _rows(STATUS, "GetKernelSessionStatus", READ)
    rows += _rows(STATUS, "GetKernelSessionStatus", (500,), REFUSED, "500 Server Error", times=99)
    rows += _rows(STATUS, "GetKernelSessionStatus", ("error",), REFUSED, "ended as ERROR: Your notebook tried to allocate more memory")
    log = {"state": "failed kernel", "times": 99}
    rows += _rows(STATUS, "ListKernelSessionOutput", (500, "reset"), REFUSED, "ended as ERROR.*the log cannot be had", **log)
    rows += _tokens(STATUS)

    rows += _rows(FETCH, "GetKernelSessionStatus ListKernelFiles", READ)
    rows += _rows(FETCH, "GetKernelSessionStatus", ("error",), REFUSED, "ended as ERROR")
    rows += _rows(FETCH, "ListKernelSessionOutput", READ) + _rows(FETCH, "output", (*READ, "wrong-size", "wrong-bytes"))
    rows += _rows(FETCH, "ListKernelSessionOutput", ("lost-file",), options={"name": "images/a.bin"})
    rows += _rows(FETCH, "ListKernelSessionOutput", ("lost-file",), REFUSED, "a.bin", times=99, options={"name": "images/a.bin"})
    rows += _rows(FETCH, "output", (500, "wrong-bytes"), REFUSED, "what came is not what the kernel left", times=99)
    rows += _tokens(FETCH)

    rows += _rows(SESSION, "GetKernel", READ) + _rows(SESSION, "GetKernel", (500,), REFUSED, "500", times=99)
    rows += _rows(SESSION, "GetKernel", (403, 404), REFUSED, "fold0")
    return rows


def _submitted():
    rows = []
    before = ("GetKernel", "GetKernelSessionStatus", "ListKernelFiles", "GetSubmissionLimits", "ListSubmissions")
    rows += _rows(SUBMIT, " ".join(before), (500,))
    for method, kind in zip(before, ("429", "reset", "truncated", "429", "reset"), strict=True):
        rows += _rows(SUBMIT, method, (kind,))
    rows += _rows(SUBMIT, "GetKernel", (403, 404), REFUSED, "not to be seen.*nothing was submitted")
    rows += _rows(SUBMIT, "GetKernelSessionStatus", ("error",), REFUSED, "is ERROR.*push it")
    rows += _rows(SUBMIT, "ListSubmissions GetSubmissionLimits", (500,), REFUSED, "500", times=99)
    for kind in (400, 429, 500):
        rows += _rows(SUBMIT, "CreateCodeSubmission", (kind,), NOT_DONE, f"(not submitted|is not confirmed): {kind}")
    rows += _rows(SUBMIT, "CreateCodeSubmission", ("reset",), NOT_DONE, "not submitted|may be spent")
    rows += _rows(SUBMIT, "CreateCodeSubmission", ("reset-after", "truncated"))
    rows += _rows(SUBMIT, "CreateCodeSubmission", ("failed",), GONE, "ended as an error")
    rows += _rows(SUBMIT, "ListSubmissions", READ, when=AFTER)
    # The first list after the act finds it; the ones after that are asked for its score.
    rows += _rows(SUBMIT, "ListSubmissions", READ, when=AFTER, state="waiting", options={"after": 1})
    rows += _rows(SUBMIT, "ListSubmissions", (500, "reset"), **LASTING)
    rows += _rows(SUBMIT, "ListSubmissions", (500,), state="waiting", options={"after": 1}, **LASTING)
    rows += _rows(SUBMIT, "CreateCodeSubmission", ("reset-after", "truncated"), UNSURE, MAYBE, then="ListSubmissions")
    rows += _rows(SUBMIT, "CreateCodeSubmission", ("truncated",), UNSURE, MAYBE, state="never")
    rows += _rows(SUBMIT, "", ("late",), state="late") + _rows(SUBMIT, "", ("never",), UNSURE, MAYBE, state="never")
    rows += [*_rows(SUBMIT, "", ("cut",), state="descriptions cut"), *_rows(SUBMIT, "", ("replaced",), state="descriptions replaced")]
    rows += _tokens(SUBMIT)
    rows += (
        _rows(NEWEST, "GetKernel", SHORT) + _rows(NEWEST, "ListSubmissions", SHORT) + _rows(NEWEST, "ListSubmissions", SHORT, when=AFTER)
    )
    rows += _rows(NEWEST, "CreateCodeSubmission", ("reset-after", "truncated"))
    return rows + _rows(NEWEST, "CreateCodeSubmission", (500, "reset"), NOT_DONE, "not submitted|may be spent")


def _planned():
    rows = _rows(PLAN, "GetAcceleratorQuotaStatistics", READ)
    return rows + _rows(PLAN, "GetAcceleratorQuotaStatistics", (500, 403), REFUSED, "kaggle quota", times=99) + _tokens(PLAN)


CASES = [*_published(NEW), *_published(VERSION), *_pushed(), *_fetched(), *_submitted(), *_planned()]
