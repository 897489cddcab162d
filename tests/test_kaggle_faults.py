"""Every known fault at every step: content only with everything there, nothing sent twice; the page's table says the same."""

import re

import pytest

from tests import kaggle_faults
from tests.kaggle_fault_rows import (
    ACTS,
    AFTER,
    FIRST,
    GONE,
    MENDED,
    NEW,
    NOT_AS_SENT,
    NOT_DONE,
    PUSH,
    REFUSED,
    SUBMIT,
    UNSURE,
    VERSION,
)

# What must be so: (content, acts sent, versions or submissions made, all as it should be); None for either.
FACTS = {
    MENDED: (True, 1, 1, True),
    REFUSED: (False, 0, 0, None),
    NOT_DONE: (False, 1, 0, None),
    NOT_AS_SENT: (False, 1, 1, False),
    UNSURE: (False, 1, 1, True),
    GONE: (False, 1, 1, True),
}


def check(case, result):
    """Asserts what must be so of a case."""
    ok, sent, there, whole = FACTS[case.want]
    if case.step not in ACTS:
        sent = there = 0
    assert result.hit, "the fault did not hit"
    assert result.ok is ok, result.reason
    assert result.sent == (sent if case.sent is None else case.sent), "sent too often, or too seldom"
    assert result.there == (there if case.there is None else case.there), "made too often, or too seldom"
    assert whole is None or result.whole is whole, f"there is {result.holds}"
    assert re.search(case.why, result.reason, re.DOTALL), f"no {case.why} in: {result.reason}"
    assert ok or result.reason
    assert result.when == case.place
    if result.ok and case.step.startswith("submit"):
        assert (result.record["publicScore"], result.record["status"]) == ("1.00000", "COMPLETE")
    if case.want == UNSURE:
        _check_again(case, result.again)


def _check_again(case, again):
    """The same command once more, without the fault: nothing is sent, and what is there is verified, or said to be running."""
    assert (again.sent, again.there, again.whole) == (0, 1, True), "sent again"
    if ACTS[case.step] == "SaveKernel":
        assert again.ok or "is running" in again.reason, again.reason
    else:
        assert again.ok, again.reason
    if case.step == SUBMIT:
        assert again.record["publicScore"] == "1.00000"


@pytest.mark.slow
@pytest.mark.parametrize("case", kaggle_faults.CASES, ids=str)
def test_a_fault_is_mended_or_told(case, tmp_path):
    result = kaggle_faults.run(case, tmp_path)
    check(case, result)
    assert kaggle_faults.row(case, result) in kaggle_faults.table()


# A failing and a mended case of each command that do not wait long.
COMMANDS = (
    "publish-new-upload-wrong-size",
    "publish-new-upload-reset",
    "publish-version-CreateDatasetVersion-lost-file",
    "publish-version-ListDatasetFiles-500-after",
    "push-SaveKernel-error",
    "push-SaveKernel-truncated",
    "status-GetKernelSessionStatus-error",
    "status-GetKernelSessionStatus-500",
    "fetch-GetKernelSessionStatus-error",
    "fetch-ListKernelFiles-500",
    "submit-GetKernelSessionStatus-error",
    "submit-CreateCodeSubmission-reset-after",
    "plan---ask-kaggle-GetAcceleratorQuotaStatistics-403-for-good",
    "plan---ask-kaggle-GetAcceleratorQuotaStatistics-500",
)


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_the_command_as_it_is_typed_ends_with_that_code(name, tmp_path):
    (case,) = [case for case in kaggle_faults.CASES if str(case) == name]
    check(case, kaggle_faults.run(case, tmp_path, typed=True))


def test_the_page_has_each_case_once():
    rows = kaggle_faults.table()
    assert len(rows) == len(set(rows)) == len(kaggle_faults.CASES)
    assert len(set(map(str, kaggle_faults.CASES))) == len(rows)


def test_each_kind_of_fault_is_tried_before_and_after_the_act():
    for step in (NEW, VERSION, PUSH, SUBMIT):
        for kind in ("500", "429", "reset", "truncated"):
            hit = {case.when for case in kaggle_faults.CASES if (case.step, case.kind) == (step, kind) and case.method != ACTS[step]}
            assert hit == {FIRST, AFTER}, f"{step}: {kind} {hit}"
