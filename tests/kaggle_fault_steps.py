"""The steps on which `kaggle_faults` tries faults.

Each takes a desk and a case, and gives what to do and a look at what came of it: (what is there in words, whether it is as it should
be, how many versions or submissions there are).
"""

import json
import shutil
import subprocess
import sys

from siim_kernel import hashes
from siim_kernel.delivery import fetching, quota, steps
from siim_kernel.delivery.pushes import PLACE, Push, Pushes
from siim_kernel.errors import DeliveryError
from tests.delivery.made_kaggle import CHECKOUT, COMPETITION, SOLUTION, USER
from tests.kaggle_fault_rows import AGAIN, CHAIN, FETCH, FILE, NEW, NEWEST, PLAN, PUSH, SESSION, STATUS, SUBMIT, VERSION

SESSION_REF = f"{USER}/siim-kernel-train-tiny-fold0"
INFERENCE = f"{USER}/siim-kernel-inference"


def _publish(desk, case, before=None):
    files = {FILE: b"one" * 40, "sub/b.txt": b"two"}
    folder = desk.files(a_h5=files[FILE], sub__b_txt=files["sub/b.txt"])
    ref = f"{USER}/siim-kernel-imagenet-weights"

    def look():
        document = desk.service.dataset(ref)
        count = len(document["versions"]) if document else 0
        there = {name: path.read_bytes() for name, path in desk.service.dataset_files(ref).items()} if document else {}
        whole, old = there.pop(hashes.HASHES, None) is not None and there == files, before and count == 1
        holds = "nothing" if not count else "the old version" if old else f"version {count}, {'whole' if whole else 'not as sent'}"
        return holds, whole, count

    return lambda: steps.publish(desk.client, desk.manifest, "imagenet-weights", folder, say=desk.said.append), look


def _version(desk, case):
    desk.have_dataset("siim-kernel-imagenet-weights", a_h5=b"old")
    return _publish(desk, case, before=True)


def _push(desk, case):
    desk.have_sources()
    wish = steps.Wish()
    if case.state == "failed source":
        desk.have_kernel("siim-kernel-images", status="ERROR")
        wish = steps.Wish(kernels=("siim-kernel-images",))
    return _pushed(desk, wish, 0)


def _push_again(desk, case):
    """Another version of a kernel that was pushed before."""
    _inference(desk)
    return _pushed(desk, steps.Wish(), 1)


def _inference(desk):
    """The inference kernel was pushed from this desk, and is done."""
    desk.have_sources()
    push = Push(INFERENCE, "0" * 32, "2026-01-01 10:00:00.000000", version=1)
    Pushes(desk.manifest.checkout / PLACE, INFERENCE).keep(push)
    source = json.dumps({"cells": [], "metadata": {}, "pushed": f"# pushed {push.when} UTC, {push.stamp}"})
    desk.service.give_kernel(INFERENCE, {"submission.csv": SOLUTION}, source, kernelType="notebook")


def forget(desk):
    """What went before is no part of the step."""
    desk.said.clear()
    desk.service.log.clear()


def _pushed(desk, wish, before):
    def look():
        document = desk.service.kernel(INFERENCE)
        versions = document["versions"] if document else []
        new = versions[before:]
        whole = bool(new) and new[-1]["enableInternet"] is False and len(new[-1]["sources"]["dataset"]) == 3
        holds = "nothing new" if not new else f"version {len(versions)}, {'as pushed' if whole else 'not as pushed'}"
        return holds, whole, len(versions)

    return lambda: steps.push(desk.client, desk.manifest, "inference", wish, desk.said.append), look


def _go_on(desk, case):
    desk.have_sources()
    wish = steps.Wish(recipe="tiny", fold=0, max_hours=1.0)
    steps.push(None, desk.manifest, "train", wish, desk.said.append)
    (code,) = (desk.checkout / "build" / "staged" / "train-tiny-fold0").glob("*.py")
    stamped = f"{code.read_text()}\n# pushed 2026-01-01 10:00:00.000000 UTC, {1:032x}\n"
    desk.service.give_kernel(SESSION_REF, {"runs/fold-0/state.npz": "state"}, stamped)
    forget(desk)

    def look():
        first, second = (desk.service.kernel(f"{SESSION_REF}{suffix}") for suffix in ("", "-b"))
        new = second["versions"] if second else []
        whole = len(new) == len(first["versions"]) == 1 and SESSION_REF in new[0]["sources"]["kernel"]
        holds = "the second session, going on" if whole else "nothing new" if len(first["versions"]) == 1 and not new else "a new beginning"
        return holds, whole, len(new) + len(first["versions"])

    return lambda: steps.push(desk.client, desk.manifest, "train", wish, desk.said.append), look


def _status(desk, case):
    ref = desk.have_kernel("siim-kernel-images", "ERROR" if case.state else "COMPLETE", images__a_txt="a")
    return lambda: fetching.wait(desk.client, ref, desk.said.append), lambda: ("no change", True, 0)


def _fetch(desk, case):
    made = desk.files(images__a_bin=b"a" * 3000)
    hashes.write_hashes(made)  # as the kernels do
    ref = desk.have_kernel("siim-kernel-images", images__a_bin=b"a" * 3000, files_sha256_json=(made / hashes.HASHES).read_bytes())
    out = desk.folder / "out"
    out.mkdir()
    (out / "siim-kernel-images.log").write_text("old")

    def look():
        there = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())
        whole = there == [hashes.HASHES, "images/a.bin"] and (out / "images" / "a.bin").read_bytes() == b"a" * 3000
        assert whole or there == ["siim-kernel-images.log"], "something half is left"
        return "no change", whole, 0

    return lambda: fetching.fetch(desk.client, ref, out, desk.said.append), look


def _fetch_session(desk, case):
    """The later session of a training is fetched, and not the earlier one."""
    for suffix, day in (("", 1), ("-b", 2)):
        stamp = f"# pushed 2026-01-0{day} 10:00:00.000000 UTC, {day:032x}\n"
        desk.have_kernel(SESSION_REF.split("/")[1] + suffix, source=stamp, runs__state=f"session {day}")
    out = desk.folder / "out"

    def act():
        ref = steps.ref_of(desk.manifest, "train", "-tiny-fold0", desk.client)
        steps.fetch(desk.client, ref, out, desk.said.append)

    def look():
        there = [path.read_text() for path in out.rglob("*") if path.is_file()]
        return "no change", there == ["session 2"], 0

    return act, look


def _submit(desk, case):
    _inference(desk)

    def look():
        there = desk.service.submissions(COMPETITION)
        return f"{len(there) or 'no'} submission{'' if len(there) == 1 else 's'}", bool(there), len(there)

    return lambda: submit(desk, 1), look


def submit(desk, version, folder="scored", **options):
    """Submits a version of the inference kernel; what is kept of it lies in `folder`."""
    return steps.submit(desk.client, desk.manifest, INFERENCE, version, folder=desk.folder / folder, say=desk.said.append, **options)


def _submit_newest(desk, case):
    """The newest version, which was submitted before, once more."""
    _inference(desk)
    submit(desk, 1, "before")
    forget(desk)

    def look():
        there = desk.service.submissions(COMPETITION)
        return f"{len(there)} submission{'' if len(there) == 1 else 's'}", len(there) == 2, len(there)

    return lambda: submit(desk, None, again=True), look


def _plan(desk, case):
    return lambda: quota.of_kaggle(quota.Limits(), desk.client.quota()), lambda: ("no change", True, 0)


STEPS = {NEW: _publish, VERSION: _version, PUSH: _push, AGAIN: _push_again, CHAIN: _go_on, STATUS: _status}
STEPS |= {FETCH: _fetch, SESSION: _fetch_session, SUBMIT: _submit, NEWEST: _submit_newest, PLAN: _plan}


TYPED = {
    NEW: ("publish", "imagenet-weights", "--folder", "../files-0"),
    VERSION: ("publish", "imagenet-weights", "--folder", "../files-0"),
    PUSH: ("push", "inference"),
    STATUS: ("status", "images"),
    FETCH: ("fetch", "images", "--folder", "../out"),
    SUBMIT: ("submit", "1", "--folder", "../scored"),
    PLAN: ("plan", "tiny", "--ask-kaggle"),
}


def command(desk, step):
    """Types the command of a step, in a checkout of its own, with the client as it is installed; DeliveryError where its code is 1."""
    shutil.copytree(CHECKOUT / "siim_kernel", desk.checkout / "siim_kernel")

    def act():
        words = [sys.executable, "-m", "siim_kernel.cli", *TYPED[step]]
        done = subprocess.run(words, cwd=desk.checkout, env=desk.service.environment, capture_output=True, text=True, timeout=120)
        if done.returncode == 1 and "Traceback" not in done.stderr:
            raise DeliveryError(done.stderr)
        assert done.returncode == 0, done.stderr

    return act
