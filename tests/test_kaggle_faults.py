"""Every known fault at every step: content only with everything there, nothing sent twice; the page's table says the same."""

import pytest

from tests import kaggle_faults


@pytest.mark.slow
@pytest.mark.parametrize("case", kaggle_faults.CASES, ids=str)
def test_a_fault_is_mended_or_told(case, tmp_path):
    result = kaggle_faults.run(case, tmp_path)
    assert result.faults == [], "the fault did not hit"
    assert result.whole or not result.ok, f"content with {result.holds}"
    assert result.ok or result.reason
    if case.step in (kaggle_faults.PUSH, kaggle_faults.SUBMIT):
        assert result.sent <= 1, "sent twice"
    assert kaggle_faults.row(case, result) in kaggle_faults.table()


def test_the_page_has_each_case_once():
    rows = kaggle_faults.table()
    assert len(rows) == len(set(rows)) == len(kaggle_faults.CASES)
