"""Stamps in pushed code, and the record of pushes."""

import json
from dataclasses import replace

import pytest

from siim_kernel.delivery.pushes import Push, Pushes, pushed_at, stamp_in, write_stamp
from siim_kernel.errors import DeliveryError

REF = "ada/some-kernel"


def push(number, **more):
    return Push(REF, f"{number:032x}", f"2026-11-23 20:40:0{number}.000000", number, **more)


def source(number):
    return f"print(1)\n# pushed 2026-11-23 20:40:00.000000 UTC, {number:032x}\n"


def test_two_stamps_within_a_second_have_an_order(tmp_path):
    told = []
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text("print(1)\n")
        written = write_stamp(tmp_path / name)
        told.append(stamp_in((tmp_path / name).read_text()))
        assert told[-1] == written
    assert told[0][0] < told[1][0]
    assert told[0][1] != told[1][1]
    assert pushed_at({"source": (tmp_path / "b.py").read_text()}) == told[1][0]
    assert pushed_at(None) == stamp_in("print(1)")[0] == ""


def test_a_notebook_has_its_stamp_in_the_last_code_cell(tmp_path):
    cells = [{"cell_type": "code", "source": ["a = 1\n"]}, {"cell_type": "markdown", "source": "words"}]
    (tmp_path / "a.ipynb").write_text(json.dumps({"cells": cells}))
    written = write_stamp(tmp_path / "a.ipynb")
    text = (tmp_path / "a.ipynb").read_text()
    assert stamp_in(text) == written
    assert written[1] in json.loads(text)["cells"][0]["source"]


def test_what_was_pushed_is_known_again_by_its_stamp(tmp_path):
    pushes = Pushes(tmp_path / "pushed", REF)
    pushes.keep(push(1, parameters={"RECIPES": ("main",)}))
    pushes.keep(replace(push(2), version=None, after=1))
    again = Pushes(tmp_path / "pushed", REF)
    assert (len(again), again.find(source(1)).number, again.find(source(2)).number) == (2, 1, 2)
    assert again.find(source(3)) is None
    assert again.find("print(1)\n") is None
    assert len(Pushes(tmp_path / "pushed", "grace/some-kernel")) == 0
    again.keep(push(2))
    assert [each["version"] for each in json.loads((tmp_path / "pushed" / "some-kernel.json").read_text())] == [1, 2]


def test_a_number_that_nobody_told_is_not_known():
    assert replace(push(1), version=None).number is None
    assert replace(push(1), version=None, after=0).number == 1


def test_a_damaged_record_is_said(tmp_path):
    (tmp_path / "some-kernel.json").write_text('[{"stamp": 1}]')
    with pytest.raises(DeliveryError, match=r"some-kernel\.json is no record of pushes"):
        Pushes(tmp_path, REF)
