"""The official command as a subprocess, against a made one that answers as a test says."""

import base64
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path

import pytest

from siim_kernel.delivery.client import Client, DatasetState, Quota, after_sending
from siim_kernel.delivery.command import TIMED_OUT, Answer
from siim_kernel.delivery.credentials import secrets_in
from siim_kernel.errors import DeliveryError

CHECKOUT = Path(__file__).resolve().parents[2]
KEY = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
FAKE = f"""#!{sys.executable}
import json, os, pathlib, sys, time
if sys.argv[1:] == ["--version"]:
    print("Kaggle CLI " + os.environ.get("MADE_VERSION", "2.2.4")); sys.exit()
place = pathlib.Path(os.environ["MADE_KAGGLE"])
calls = place / "calls"
with calls.open("a") as file:
    file.write(json.dumps({{"arguments": sys.argv[1:], "environment": dict(os.environ)}}) + "\\n")
number = len(calls.read_text().splitlines())
answers = json.loads((place / "answers").read_text())
answer = answers[min(number, len(answers)) - 1]
time.sleep(answer.get("seconds", 0))
for name, content in answer.get("files", {{}}).items():
    folder = sys.argv[sys.argv.index("-p") + 1]
    pathlib.Path(folder, name).write_text(content)
sys.stdout.write(answer.get("out", "")); sys.stderr.write(answer.get("err", ""))
sys.exit(answer.get("code", 0))
"""


class Made:
    """A made `kaggle`: `answers` come one after the other, the last one for good; `calls` are what was asked."""

    def __init__(self, folder):
        self.folder, self.slept, self.home = folder, [], folder / "home"
        self.program = folder / "kaggle"
        self.program.write_text(FAKE)
        self.program.chmod(0o755)
        self.home.mkdir()
        self.environment = {"PATH": os.defpath, "HOME": str(self.home), "MADE_KAGGLE": str(folder)}
        self.environment |= {"KAGGLE_USERNAME": "ada", "KAGGLE_KEY": KEY}

    def client(self, *answers, **environment):
        (self.folder / "answers").write_text(json.dumps(answers))
        return Client(self.environment | environment, str(self.program), sleep=self.slept.append)

    @property
    def calls(self):
        path = self.folder / "calls"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture
def made(tmp_path):
    return Made(tmp_path)


def test_runs_once_and_keeps_the_answer(made):
    answer = made.client({"code": 3, "out": "one\n", "err": "two\n"}).run(["kernels", "push", "-p", Path("a b")])
    assert answer == Answer(3, "one\n", "two\n")
    assert [call["arguments"] for call in made.calls] == [["-W", "kernels", "push", "-p", "a b"]]
    assert answer.reason == "one / two"


def test_each_run_has_a_temporary_folder_of_its_own_that_is_gone_after_it(made):
    client = made.client({})
    client.run(["a"])
    client.run(["a"])
    folders = {call["environment"]["TMPDIR"] for call in made.calls}
    assert len(folders) == 2
    assert not any(map(os.path.exists, folders))


def test_only_the_clients_own_variables_get_through(made):
    more = {"KAGGLE_COMPETITION": "other", "KAGGLE_PATH": "/x", "VERBOSE": "1", "LANG": "C"}
    made.client({}, **more).run(["a"])
    (environment,) = (call["environment"] for call in made.calls)
    assert environment["KAGGLE_KEY"] == KEY
    assert environment["LANG"] == "C"
    assert not {"KAGGLE_COMPETITION", "KAGGLE_PATH", "VERBOSE"} & set(environment)


@pytest.mark.parametrize("name", ["TEST", "localhost", "PROD"])
def test_an_environment_that_the_client_would_take_for_production_is_refused(made, name):
    with pytest.raises(DeliveryError, match="takes anything else for kaggle.com"):
        made.client({}, KAGGLE_API_ENVIRONMENT=name)


def test_another_version_is_refused_before_anything_is_run(made):
    with pytest.raises(DeliveryError, match=r"version 2\.2\.5, this was written for 2\.2\.4; pip install kaggle==2\.2\.4 six"):
        made.client({}, MADE_VERSION="2.2.5").run(["a"])
    assert made.calls == []


def test_a_command_that_is_not_there_says_how_to_get_it(made):
    with pytest.raises(DeliveryError, match="no-such-kaggle is not on the PATH.*pip install"):
        Client(made.environment, "no-such-kaggle")


def test_an_answer_that_does_not_come_is_ended(made):
    answer = made.client({"seconds": 30}).run(["a"], timeout=1)
    assert answer.code == TIMED_OUT
    assert "no answer within 1 s" in answer.reason


def test_the_token_is_in_no_answer_and_no_error(made):
    basic = base64.b64encode(f"ada:{KEY}".encode()).decode()
    client = made.client({"code": 1, "out": f"key {KEY}\n", "err": f"Authorization: Basic {basic}\n"})
    answer = client.run(["a"])
    assert answer == Answer(1, "key ***\n", "Authorization: Basic ***\n")
    try:
        client.ask(["a"], str)
    except DeliveryError:
        told = traceback.format_exc()
    assert KEY not in told + repr(client) + str(answer)
    assert basic not in told
    assert all(KEY not in word for call in made.calls for word in call["arguments"])


def test_the_query_of_a_signed_address_is_not_kept(made):
    answer = made.client({"err": "500 for url https://storage.example/upload/x?sig=abc&e=1 and (https://a.b/c?d)"}).run(["a"])
    assert answer.err == "500 for url https://storage.example/upload/x?*** and (https://a.b/c?***)"


def test_secrets_are_found_wherever_the_client_finds_them(tmp_path):
    (tmp_path / ".kaggle").mkdir()
    (tmp_path / ".kaggle" / "kaggle.json").write_text(json.dumps({"username": "ada", "key": KEY}))
    (tmp_path / ".kaggle" / "access_token").write_text("KGAT_from_the_file\n")
    (tmp_path / "elsewhere").write_text("KGAT_named_by_the_variable")
    found = secrets_in({"HOME": str(tmp_path), "KAGGLE_API_TOKEN": str(tmp_path / "elsewhere")})
    basic = base64.b64encode(f"ada:{KEY}".encode()).decode()
    assert {KEY, basic, "KGAT_from_the_file", "KGAT_named_by_the_variable"} <= set(found)
    assert "ada" not in found
    assert secrets_in({"HOME": str(tmp_path / "nobody"), "KAGGLE_KEY": "short"}) == ()


def test_a_question_is_asked_again_until_it_is_answered(made):
    lost = {"code": 1, "err": "500 Server Error: Internal Server Error for url: x"}
    client = made.client(lost, {"out": "not json"}, {"out": 'Warning: old\n{"status": "ready", "current_version_number": 4}'})
    assert client.dataset_status("ada/code") == DatasetState("ready", 4)
    assert made.slept == [1, 4]


def test_a_question_without_an_answer_tells_the_last_reason(made):
    client = made.client({"code": 1, "err": "500 Server Error"}, {"code": 1, "err": "503 Server Error"})
    with pytest.raises(DeliveryError, match="kaggle kernels status ada/x: 503 Server Error"):
        client.kernel_status("ada/x")
    assert len(made.calls) == 4


@pytest.mark.parametrize(
    "text", ["404 Client Error: Not Found for url: x", "403 Client Error: Forbidden", "Permission 'datasets.get' was denied"]
)
def test_what_is_not_there_is_not_an_error(made, text):
    assert made.client({"code": 1, "err": text}).dataset_status("ada/code") is None
    assert len(made.calls) == 1


def test_a_refusal_is_not_asked_again(made):
    with pytest.raises(DeliveryError, match="400 Client Error"):
        made.client({"code": 1, "err": "400 Client Error: Bad Request"}).quota()
    assert len(made.calls) == 1


def test_a_refused_token_is_said_and_not_asked_again(made):
    help_text = "Authentication required to call the Kaggle API.\n\nFirst, you will need a Kaggle account.\n"
    with pytest.raises(DeliveryError, match="Kaggle did not accept the token"):
        made.client({"code": 1, "out": help_text}).dataset_status("ada/code")
    assert len(made.calls) == 1


def test_files_of_all_pages_are_listed(made):
    pages = [[{"name": "a", "size": 1}], [{"name": "b/c", "size": 2}]]
    client = made.client({"out": "Next Page Token = two\n" + json.dumps(pages[0])}, {"out": json.dumps(pages[1])})
    assert client.dataset_files("ada/code") == {"a": 1, "b/c": 2}
    assert made.calls[1]["arguments"][-2:] == ["--page-token", "two"]


def test_kernel_status_is_read_with_its_failure(made):
    said = 'ada/x has status "KernelWorkerStatus.ERROR"\nFailure message: "two\nlines"\n'
    assert made.client({"out": said}).kernel_status("ada/x") == ("ERROR", "two\nlines")


def test_kernel_fields_come_with_the_source(made):
    fields = {"id": "ada/x", "code_file": "x.py", "enable_internet": False}
    client = made.client({"files": {"kernel-metadata.json": json.dumps(fields), "x.py": "print(1)"}})
    assert client.kernel_fields("ada/x") == fields | {"source": "print(1)"}
    assert made.calls[0]["arguments"][:4] == ["-W", "kernels", "pull", "ada/x"]


GONE = {"code": 1, "err": "403 Client Error: Forbidden for url: x"}
QUEUED = {"out": 'ada/x has status "KernelWorkerStatus.QUEUED"\n'}


def test_a_kernel_is_not_there_only_where_all_answers_say_so(made):
    files = {"files": {"kernel-metadata.json": '{"code_file": "x.py"}', "x.py": ""}}
    with pytest.raises(DeliveryError, match="does not tell its status just now; run the same command again later"):
        made.client(GONE, files).kernel_status("ada/x")
    (made.folder / "calls").unlink()
    with pytest.raises(DeliveryError, match="does not show it just now"):
        made.client(GONE, QUEUED).kernel_found("ada/x")
    assert made.client(GONE).kernel_found("ada/x") is None


@pytest.mark.parametrize(
    "text",
    [
        "ProxyError('Unable to connect to proxy', OSError('Tunnel connection failed: 404 Not Found'))",
        "ValueError: Metadata file not found: kernel-metadata.json",
        "ModuleNotFoundError: the module is Not Found",
        "500 Server Error: 404 things broke",
    ],
)
def test_only_an_answer_of_kaggle_says_that_something_is_not_there(made, text):
    with pytest.raises(DeliveryError, match="kaggle datasets status ada/code"):
        made.client({"code": 1, "err": text}).dataset_status("ada/code")


def test_the_tokens_owner_is_asked_once(made):
    client = made.client({"out": "Configuration values from /home/ada\n- username: ada\n- auth_method: LEGACY\n- path: None\n"})
    assert (client.owner, client.owner) == ("ada", "ada")
    assert [call["arguments"] for call in made.calls] == [["-W", "config", "view"]]
    assert made.client({"out": "Configuration values from /home/ada\n- username: None\n"}).owner is None


@pytest.mark.parametrize(
    ("answer", "seen"), [({"out": '[{"name": "a", "size": 1}]'}, True), ({"out": "No files found\n"}, False), (GONE, False)]
)
def test_a_dataset_of_others_is_looked_for_among_their_files(made, answer, seen):
    assert made.client(answer).dataset_seen("grace/open") is seen
    assert made.calls[0]["arguments"][1:4] == ["datasets", "files", "grace/open"]


def test_an_error_after_an_act_says_what_may_have_been_done():
    with pytest.raises(DeliveryError, match=r"^it was sent; look \(the question failed: no answer\)$"), after_sending("it was sent; look"):
        raise DeliveryError("no answer")


@pytest.mark.slow
def test_a_command_under_way_does_not_outlive_the_one_that_is_ended(made):
    made.client({"seconds": 60})
    program = [sys.executable, "-m", "siim_kernel.cli", "status", "images"]
    environment = made.environment | {"PATH": f"{made.folder}{os.pathsep}{os.defpath}", "PYTHONPATH": str(CHECKOUT)}
    # The command beside the interpreter would win over the one on the PATH.
    start = f"import sys, siim_kernel.delivery.command as c; c._find = lambda *_: {str(made.program)!r}; sys.argv = {program[2:]!r}; "
    start += "from siim_kernel import cli; cli.main()"
    process = subprocess.Popen([sys.executable, "-c", start], env=environment, cwd=CHECKOUT)
    until = time.monotonic() + 30
    while not made.calls and time.monotonic() < until:
        time.sleep(0.05)
    folder = Path(made.calls[0]["environment"]["TMPDIR"])
    assert folder.exists()
    process.terminate()
    assert process.wait(timeout=20) == 128 + signal.SIGTERM
    assert not folder.exists()
    assert not [path for path in Path("/proc").glob("[0-9]*/cmdline") if _arguments(path)[1:2] == [str(made.program)]]


def _arguments(path):
    try:
        return path.read_text().split("\0")
    except OSError:
        return []


def test_quota_is_in_hours(made):
    row = {"resource": "GPU", "used": "1.50h", "remaining": "28.50h", "total": "30.00h", "refreshAt": "2026-11-28T00:00:00"}
    quota = made.client({"out": json.dumps([row | {"resource": "TPU"}, row])}).quota()
    assert quota == Quota(1.5, 30.0, "2026-11-28T00:00:00")
    assert quota.left == 28.5
    assert made.client({"out": "No quota information available\n"}).quota() is None


@pytest.mark.parametrize(
    ("limits", "left"),
    [({"numToday": 2, "numTotal": 9, "numAllowedNow": 3}, 3), ({"numToday": 5, "numTotal": 9}, 0), ({}, None)],
)
def test_submissions_left_today(made, limits, left):
    assert made.client({"out": json.dumps(limits)}).submissions_left("siim") == left


def test_submissions_have_a_plain_status(made):
    rows = [{"ref": 7, "status": "SubmissionStatus.PENDING", "publicScore": ""}]
    assert made.client({"out": json.dumps(rows)}).submissions("siim") == [rows[0] | {"status": "PENDING"}]
    assert made.client({"out": "No submissions found\n"}).submissions("siim") == []
