"""The records of submissions."""

import json

import pytest

from siim_kernel.delivery.submissions import Record
from siim_kernel.errors import DeliveryError

ROW = {
    "ref": 7,
    "date": "2026-11-23",
    "description": "d",
    "status": "COMPLETE",
    "publicScore": "0.5",
    "privateScore": "0.4",
    "fileName": "x",
}


def test_an_attempt_becomes_the_submission_that_came_of_it(tmp_path):
    record = Record(tmp_path / "submissions", "siim", "ada/inference", 3)
    assert record.read() == {}
    record.attempt([{"ref": 5}, {"ref": 6}])
    assert record.read()["known"] == [5, 6]
    assert record.write(ROW) == tmp_path / "submissions" / "inference-v3.json"
    told = {"competition": "siim", "kernel": "ada/inference", "version": 3} | {name: ROW[name] for name in ROW if name != "fileName"}
    assert json.loads(record.path.read_text()) == told


def test_records_of_other_versions_tell_whose_a_submission_is(tmp_path):
    Record(tmp_path, "siim", "ada/inference", 3).write(ROW)
    Record(tmp_path, "siim", "ada/inference", 4).attempt([])
    assert Record(tmp_path, "siim", "ada/inference", 4).others() == {7}
    assert Record(tmp_path, "siim", "ada/inference", 3).others() == set()


def test_the_record_of_another_owner_is_not_this_ones(tmp_path):
    Record(tmp_path, "siim", "grace/inference", 3).write(ROW)
    assert Record(tmp_path, "siim", "ada/inference", 3).read() == {}


def test_a_refused_attempt_is_forgotten(tmp_path):
    record = Record(tmp_path, "siim", "ada/inference", 3)
    record.attempt([])
    record.remove()
    record.remove()
    assert not record.path.exists()


def test_a_damaged_record_is_said(tmp_path):
    (tmp_path / "inference-v3.json").write_text("{")
    with pytest.raises(DeliveryError, match="is no record of a submission"):
        Record(tmp_path, "siim", "ada/inference", 3).read()
