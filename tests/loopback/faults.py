"""Faults to order: each is put on one method, for so many of its next requests, and used up by them.

Kinds that go with every method:

400 401 403 404 409 429 500 502 503 ...    that HTTP error, nothing done (429 with Retry-After)
reset           the connection is cut, nothing done
reset-after     the request is acted on, then the connection is cut instead of an answer
truncated       the request is acted on, the answer breaks off half way

and those of single methods, in `SPECIAL`.
"""

import threading
from dataclasses import dataclass, field

# The three kinds of plain transfer beside the service's named methods: a PUT of a file, a GET of a kernel's output, and one of
# a data set's or a competition's file.
UPLOAD, OUTPUT, DOWNLOAD = TRANSFERS = ("upload", "output", "download")
RESET, RESET_AFTER, TRUNCATED = GENERAL = ("reset", "reset-after", "truncated")
ERROR, UNKNOWN_SOURCES, INTERNET_ON = "error", "unknown-sources", "internet-on"
LOST_FILE, FAILED, WRONG_SIZE, WRONG_BYTES = "lost-file", "failed", "wrong-size", "wrong-bytes"
SPECIAL = {
    "SaveKernel": {
        ERROR: "answered 200 with `error` (detail `message`), no version made",
        INTERNET_ON: "the version is made, with the internet on",
        UNKNOWN_SOURCES: "the sources (detail `sources`, else all) are reported as invalid and not attached; the version is made",
    },
    "CreateDataset": {ERROR: "answered 200 with status error (detail `message`)", LOST_FILE: "one file (detail `name`) is not there later"},
    "CreateDatasetVersion": {ERROR: "as for CreateDataset", LOST_FILE: "as for CreateDataset"},
    "GetDatasetStatus": {FAILED: "the data set's processing is said to have failed"},
    "GetKernelSessionStatus": {ERROR: "status ERROR with a failureMessage (detail `message`)"},
    "CreateSubmission": {FAILED: "as for CreateCodeSubmission"},
    "CreateCodeSubmission": {FAILED: "taken, and later told as an ERROR (detail `message`)"},
    "ListKernelSessionOutput": {LOST_FILE: "the file (detail `name`) is not listed"},
    OUTPUT: {WRONG_SIZE: "the first half, as if that were all, answered 200", WRONG_BYTES: "one byte is another, answered 200"},
    UPLOAD: {WRONG_SIZE: "stored short, answered 200", WRONG_BYTES: "stored with one byte changed, answered 200"},
}


@dataclass
class Fault:
    """`kind` at the next `times` requests of `method` whose label holds `only`, after the first `after` of these.

    since  a method: the fault sleeps until a request of it has come
    """

    method: str
    kind: str
    times: int = 1
    after: int = 0
    only: str = ""
    since: str = ""
    details: dict = field(default_factory=dict)

    @property
    def status(self):
        """The HTTP error's number, or None."""
        return int(self.kind) if self.kind.isdigit() else None


class Faults:
    """The faults that are still to come."""

    def __init__(self):
        self._lock = threading.Lock()
        self._faults = []

    def add(self, methods, method, kind, times=1, after=0, only="", since="", **details):
        """Puts a fault on one of `methods`; ValueError for a method or kind that there is not."""
        kind = str(kind)
        for name in filter(None, (method, since)):
            if name not in methods:
                raise ValueError(f"no method {name!r}; there is {', '.join(sorted(methods))}")
        if not kind.isdigit() and kind not in GENERAL and kind not in SPECIAL.get(method, {}):
            known = ", ".join(("an HTTP error", *GENERAL, *SPECIAL.get(method, {})))
            raise ValueError(f"no fault {kind!r} for {method}; there is {known}")
        with self._lock:
            self._faults.append(Fault(method, kind, times, after, only, since, details))

    def take(self, method, label):
        """The fault that hits this request, or None; `label` says what the request is about (a file's or kernel's name)."""
        with self._lock:
            hit = None
            for fault in self._faults:
                if hit is None and fault.method == method and not fault.since and fault.only in label and fault.times:
                    if fault.after:
                        fault.after -= 1
                        continue
                    fault.times -= 1
                    hit = fault
            for fault in self._faults:
                if fault.since == method:
                    fault.since = ""
            return hit

    def pending(self):
        """The faults that no request has used up: a test that expects one to hit looks here that it did."""
        with self._lock:
            return [fault for fault in self._faults if fault.times]

    def clear(self):
        """No more faults."""
        with self._lock:
            self._faults.clear()
