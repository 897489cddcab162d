"""A Kaggle on the loopback address, for the real `kaggle` command: it takes, keeps, runs and scores what arrives.

    with Service(folder) as service:
        service.add_competition("siim-covid19-detection", data, solution)
        subprocess.run(["kaggle", "kernels", "push", "-p", kernel], env=service.environment)
        service.run_kernels()

Nothing here reaches another host, and the client cannot either: it is given this service as its proxy for everything.
"""

import contextlib
import hashlib
import http.server
import math
import os
import sys
import threading
import urllib.parse
import zipfile
from pathlib import Path

from tests.loopback import faults, kernels, running, warm, wire
from tests.loopback.competitions import Competition
from tests.loopback.store import Store, files_below

USER = "ada-example"
KEY = "0123loopback0key0that0nobody0else0has0456"
TOKEN = "KGAT_0123loopback0token0that0nobody0else0has"
LONGEST_SLEEP = 0.02  # seconds that the warm client pauses at most before it tries again
POLL = 0.1  # seconds between two looks for queued kernels


class _Server(http.server.ThreadingHTTPServer):
    """The HTTP server, which keeps what goes wrong in its threads; a client may go away when it likes."""

    def __init__(self, service):
        super().__init__(("127.0.0.1", 0), wire.Handler)
        self.service = service

    def handle_error(self, request, client_address):
        error = sys.exc_info()[1]
        if not isinstance(error, ConnectionError):
            self.service.errors.append(error)


class Service:
    """The service, as a context manager.

    Its state (`Store`) lies in `folder`; these attributes may be set at any time:

    polls_until_ready     questions for a data set's status that are answered "not yet" after each version
    polls_until_scored    lists of submissions in which a new one is still pending
    polls_until_listed    questions that are answered as if a kernel's version, a data set's version or a submission had not come:
                          GetKernel, GetDataset (of a new data set: GetDatasetStatus) and ListSubmissions
    descriptions          how submissions' descriptions are told: verbatim, cut, or replaced by words of the service's own
    tells_machine         whether GetKernel tells of enable_gpu and machine_shape
    tokens                {access token: its owner}
    gpu_sessions          how many GPU sessions may be queued or running at once
    gpu_hours             the week's GPU hours
    gpu_hours_before      those of them used before
    own_output_as_source  whether a kernel may mount its own earlier output
    quota_refresh         when the week ends
    """

    def __init__(self, folder, user=USER, key=KEY, token=TOKEN):
        self.store = Store(folder)
        self.store.folder.mkdir(parents=True, exist_ok=True)
        self.user, self.key, self.token = user, key, token
        self.polls_until_ready = self.polls_until_scored = self.polls_until_listed = 0
        self.descriptions, self.tells_machine = "verbatim", True
        self.tokens, self.acting = {token: user}, user
        self.gpu_sessions, self.gpu_hours, self.gpu_hours_before = 2, 30.0, 0.0
        self.own_output_as_source = False
        self.quota_refresh = "2030-01-05T00:00:00.000Z"
        self.faults, self.log, self.competitions = faults.Faults(), [], {}
        self.dataset_polls, self.unlisted, self.downloads, self.errors = {}, {}, {}, []
        self.lock = threading.RLock()
        self._server = None

    def __enter__(self):
        self._server = _Server(self)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, kind, *_):
        self._server.shutdown()
        self._server.server_close()
        if self.errors and kind is None:
            raise self.errors[0]

    # --- for the client

    @property
    def port(self):
        """The port on 127.0.0.1."""
        return self._server.server_port

    @property
    def environment(self):
        """The whole environment of a client process: a home of its own, this user's key, and nobody to talk to but us."""
        home = self.store.folder / "home"
        temporary = self.store.folder / "tmp"
        for folder in (home, temporary):
            folder.mkdir(exist_ok=True)
        us = f"http://127.0.0.1:{self.port}"
        places = [str(warm.folder())] if warm.folder() else []
        proxies = {"http_proxy": us, "https_proxy": us, "all_proxy": us, "no_proxy": ""}
        return {
            "PATH": os.pathsep.join([*places, str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
            **{"HOME": str(home), "TMPDIR": str(temporary), "LANG": "C.UTF-8"},
            **proxies,
            # requests looks at the names in capitals where those in small letters are empty.
            **{name.upper(): value for name, value in proxies.items()},
            **{"KAGGLE_API_ENVIRONMENT": "LOCALHOST", "KAGGLE_CONFIG_DIR": str(home / ".kaggle")},
            **{"KAGGLE_USERNAME": self.user, "KAGGLE_KEY": self.key, warm.LONGEST_SLEEP: str(LONGEST_SLEEP)},
        }

    def url(self, *parts):
        """An address of ours."""
        return f"http://127.0.0.1:{self.port}/" + "/".join(urllib.parse.quote(str(part)) for part in parts)

    # --- for tests

    def add_competition(self, slug, folder, solution=None, **options):
        """Serves a competition; `options` as in `Competition`."""
        self.competitions[slug] = Competition(slug, Path(folder), solution and Path(solution), **options)

    def give_dataset(self, ref, files):
        """Lays a data set, or its next version, of `files` (name -> text or bytes) where a client would have put it."""
        owner, slug = ref.split("/")
        tokens = []
        for name, content in files.items():
            content = content.encode() if isinstance(content, str) else content
            tokens.append(self.store.start_upload(name, len(content)))
            self.store.upload(tokens[-1]).write_bytes(content)
            self.store.finish_upload(tokens[-1])
        facts = {"title": slug, "subtitle": None, "licenseName": "other", "isPrivate": True}
        return self.store.save_dataset_version(owner, slug, facts, tokens)

    def give_kernel(self, ref, output=None, text="", status=None, **fields):
        """Lays a kernel, or its next version, as if pushed; with `output` (name -> text or bytes) also as if run.

        status  what its session is said to be, whatever it left. No GPU session or hour is asked for
        """
        kind = {"language": "python", "kernelType": "script", "enableInternet": False}
        body = kind | {"slug": ref, "newTitle": ref.split("/")[1], "text": text} | fields
        owner = ref.split("/")[0]
        before = self.acting, self.gpu_sessions, self.gpu_hours
        self.acting, self.gpu_sessions, self.gpu_hours = owner, math.inf, math.inf
        try:
            number = kernels.save_kernel(self, body, None)["versionNumber"]
        finally:
            self.acting, self.gpu_sessions, self.gpu_hours = before
        self.unlisted.pop(("kernel", *ref.split("/")), None)
        if output is not None:
            self.finish_kernel(ref, output)
        if status is not None:
            running.mark(self, *ref.split("/"), number, status=status)
        return number

    def inject(self, method, kind, times=1, **options):
        """The next `times` requests of `method` meet a fault: see `faults`, which names methods, kinds and options."""
        self.faults.add((*wire.METHODS, wire.INTROSPECT, *faults.TRANSFERS), method, kind, times, **options)

    def requests(self, method):
        """The requests of one method, or kind of transfer, that came."""
        with self.lock:
            return [request for request in self.log if request.method == method]

    @property
    def strangers(self):
        """Hosts that a client wanted to reach through us, and was refused."""
        return [request.label for request in self.log if request.status == wire.STRANGER]

    def kernel(self, ref):
        """The document of the kernel "owner/slug", None where there is none; `versions` holds status and sources of each."""
        return self.store.kernel(*ref.split("/"))

    def dataset(self, ref):
        """The document of the data set "owner/slug", None where there is none."""
        return self.store.dataset(*ref.split("/"))

    def dataset_files(self, ref):
        """{name: Path} of the files of a data set's latest version."""
        folder = self.store.dataset_folder(*ref.split("/"))
        return dict(files_below(folder / str(len(self.dataset(ref)["versions"]))))

    def submissions(self, competition=None):
        """Documents of the submissions, the latest first."""
        return self.store.submissions(competition)

    def submission_text(self, ref):
        """The file that was scored for a submission."""
        return self.store.submission_file(ref).read_text(encoding="utf-8")

    def run_kernels(self, runner=None, layout="new", only=None):
        """Runs what is queued, by default rehearsed offline; see `running.run_queued`."""
        return running.run_queued(self, runner, layout, only)

    def finish_kernel(self, ref, files=None, **outcome):
        """Ends the queued versions of the kernel `ref` without running them: they leave `files`, or fail (`running.pretend`)."""
        return self.run_kernels(running.pretend(files, **outcome), only=ref)

    @contextlib.contextmanager
    def kernels_running(self, runner=None, layout="new"):
        """Runs kernels as they come, in a thread, until the context ends and none is queued."""
        stop, errors = threading.Event(), []

        def work():
            try:
                while not stop.is_set():
                    self.run_kernels(runner, layout)
                    stop.wait(POLL)
                self.run_kernels(runner, layout)
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
        if errors:
            raise errors[0]

    # --- for the answers

    def still_unlisted(self, kind, owner, slug, ask=True):
        """Whether the latest version of a kernel or data set is not told of yet; `ask`: this question counts."""
        left = self.unlisted.get((kind, owner, slug), 0)
        if left and ask:
            self.unlisted[kind, owner, slug] = left - 1
        return left > 0

    def list_all(self):
        """From now on everything that has come is told of."""
        with self.lock:
            self.polls_until_listed = 0
            self.unlisted.clear()
            for document in self.submissions():
                self.store.save_submission(document | {"unlisted": 0})

    def note(self, request):
        """Keeps a request in the log."""
        with self.lock:
            self.log.append(request)

    def gpu_seconds_used(self):
        """GPU seconds of the week."""
        versions = [version for _, _, document in self.store.kernels() for version in document["versions"]]
        return self.gpu_hours_before * 3600 + sum(version["seconds"] for version in versions if version["gpu"])

    def redirect_to(self, path):
        """An answer that sends the client to a file."""
        token = hashlib.sha256(str(path).encode()).hexdigest()[:16]
        self.downloads[token] = path
        return wire.Redirect(self.url(faults.DOWNLOAD, token, Path(path).name))

    def redirect_to_zip(self, folder):
        """An answer that sends the client to a zip of a folder."""
        path = self.store.folder / "zips" / f"{hashlib.sha256(str(folder).encode()).hexdigest()[:16]}.zip"
        path.parent.mkdir(exist_ok=True)
        with zipfile.ZipFile(path, "w") as archive:
            for name, file in files_below(folder):
                archive.write(file, name)
        return self.redirect_to(path)
