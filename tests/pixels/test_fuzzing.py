import os
import signal
import time
from collections import Counter
from functools import partial

import pytest

from siim_kernel.pixels import reading
from tests import fuzzing, fuzzing_runner
from tests.fuzzing_mutants import Source, mutant, sources
from tests.fuzzing_runner import FAULTS, MutantReader, run
from tests.pixels import made


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return sources(tmp_path_factory.mktemp("sources"))


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    path = made.write(tmp_path_factory.mktemp("few") / "a", made.smooth())
    return [Source("made", "a", path.read_bytes())]


# --- mutants


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_mutant_is_made_again_from_seed_and_index(found, tmp_path):
    again = sources(tmp_path)
    assert again == found
    for index in range(60):
        assert mutant(again, 5, index) == mutant(found, 5, index)
    assert len({mutant(found, seed, index).data for seed in (5, 6) for index in range(60)}) > 110


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_each_kind_of_mutation_occurs(found):
    done = " ".join(mutant(found, 0, index).what for index in range(1500))
    byte = ("flip", "byte", "zeros", "ones", "insert", "delete", "cut", "double", "splice", "integer", "swap")
    regions = ("anywhere", "stream", "meta", "header", "items", "item", "marker")
    elements = ("remove", "empty", "any", "vr", "photometric", "syntax", "charset", "class", "lut", "many")
    order = ("double", "exchange", "to the end", "left out")
    for words in (
        *(f"{word} in" for word in byte),
        *(f" in {word} " for word in regions),
        *(f" {word} " for word in elements),
        *(f" {word} (" for word in order),
        *("nested 4000 deep", "deflated: ", " IS ", " DS nan", " FD inf", " US 60000"),
    ):
        assert words in done


# --- the runner reports what goes wrong


def planted(path, fault):
    """In place of a MutantReader: reads nothing, and ends badly on every third file by size."""
    if path.stat().st_size % 3:
        return "read", ""
    if fault == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if fault == "exit":
        os._exit(0)
    if fault == "hang":
        time.sleep(600)
    return MutantReader({"exception": raise_error, "memory": ask_for_much, "lie": lie}[fault])(path)


def raise_error(path, recipes):
    raise ValueError("planted")


def ask_for_much(path, recipes):
    return bytearray(2**33)


def lie(path, recipes):
    squares, facts = reading.read_squares(path, recipes)
    return squares, facts | {"rows": facts["rows"] + 1}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "outcome", "detail"),
    [
        ("exception", "exception", "ValueError: planted (test_fuzzing.py:"),
        ("crash", "crash", "ended by SIGSEGV"),
        ("exit", "crash", "ended with exit code 0"),
        ("hang", "hang", "took more than 0.5 seconds"),
        ("memory", "memory", "MemoryError"),
    ],
)
def test_a_planted_fault_is_named_and_kept(few, tmp_path, fault, outcome, detail):
    bad = next(index for index in range(100) if len(mutant(few, 3, index).data) % 3 == 0)
    good = [index for index in range(100) if len(mutant(few, 3, index).data) % 3][:4]
    results = list(run(few, 3, [*good[:2], bad, *good[2:]], keep=tmp_path, reader=partial(planted, fault=fault), seconds=0.5))
    assert [result.index for result in results] == [*good[:2], bad, *good[2:]]
    assert [result.outcome for result in results] == ["read", "read", outcome, "read", "read"]
    found = results[2]
    assert detail in found.detail
    assert found.kept.read_bytes() == mutant(few, 3, bad).data
    assert list(tmp_path.iterdir()) == [found.kept]


def test_a_film_that_is_read_otherwise_than_promised_is_a_fault(few, tmp_path):
    path = tmp_path / "a"
    path.write_bytes(few[0].data)
    assert MutantReader()(path) == ("read", "")
    outcome, detail = MutantReader(lie)(path)
    assert (outcome, detail) == ("nonsense", "not kept: one Rows and Columns")


def test_a_crash_that_the_guard_turns_into_a_reason_is_told_apart(tmp_path, monkeypatch):
    compressed = made.write(tmp_path / "a", made.smooth(), made.uid.JPEGLSLossless, frame=made.jpegls(made.smooth(), 12))
    plain = made.write(tmp_path / "b", made.smooth())
    reason = "its decoder crashed"
    monkeypatch.setattr(reading, "stream", lambda films, recipes: [reading.Read(*films[0], reason=reason)])
    assert fuzzing_runner.guarded(compressed, "SIGSEGV") == ("guarded", "SIGSEGV; its decoder crashed")
    assert fuzzing_runner.guarded(plain, "SIGSEGV") == ("crash", "SIGSEGV")
    reason = ""
    assert fuzzing_runner.guarded(compressed, "SIGSEGV") == ("crash", "SIGSEGV, and not when read again")


@pytest.mark.slow
def test_the_command_says_what_it_found(tmp_path, monkeypatch, capsys):
    keep = tmp_path / "keep"
    assert fuzzing.main(["--mutants", "60", "--minutes", "10", "--keep", str(keep), "--workers", "1"]) == 0
    out = capsys.readouterr().out
    assert "no fault" in out
    assert "phantom" in out
    assert not keep.exists()
    monkeypatch.setattr(fuzzing, "run", partial(run, reader=partial(planted, fault="exception")))
    assert fuzzing.main(["--mutants", "60", "--minutes", "10", "--keep", str(keep), "--workers", "1"]) == 1
    out = capsys.readouterr().out
    assert "exception: seed 0, index" in out
    assert any(keep.iterdir())


# --- the run


@pytest.mark.slow
def test_a_short_run_finds_no_fault(found, tmp_path):
    counts, faults = Counter(), []
    for result in run(found, seed=20, indices=range(1500), keep=tmp_path / "keep", workers=2):
        counts[result.outcome] += 1
        if result.outcome in FAULTS:
            faults.append(result)
    assert faults == []
    assert counts.total() == 1500
    assert counts["read"] > 300
    assert counts["refused"] > 500
    assert counts["guarded"] < 15


@pytest.mark.slow
@pytest.mark.real
def test_a_short_run_on_real_films_finds_no_fault(real_data, tmp_path):
    results = list(run(sources(tmp_path, real_data), seed=21, indices=range(800), keep=tmp_path / "keep", workers=2))
    assert [result for result in results if result.outcome in FAULTS] == []
    assert {result.kind for result in results} == {"real", "damaged", "made", "phantom"}
    assert sum(result.outcome == "read" for result in results) > 150
