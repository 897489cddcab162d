"""The benchmarks' pieces run and their table comes out; no speed is asserted."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import time

import numpy as np
import pydicom
import pytest

from benchmarks import films, growth, measure, networks, reading, settings, start, table


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """Settings with which a part takes seconds."""
    return settings.Settings(
        folder=tmp_path_factory.mktemp("bench"),
        rounds=1,
        shape=(120, 96),
        scenes=4,
        read=2,
        built=(2, 4),
        build_rounds=1,
        predict_rounds=1,
        memory_rounds=1,
        sizes=(32,),
        size=32,
        network="cnn9",
        batch=2,
        inputs=2,
        predicted=4,
        small=8,
        memory=(4, 8),
        growth=(4, 8),
        workers=1,
    )


def test_the_bounds_of_a_line():
    assert table.line("a", measure.Spread(4.5, 4, 5), wanted=">= 4.5").reached
    assert not table.line("a", measure.Spread(4.49, 4, 5), wanted=">= 4.5").reached
    assert table.line("a", measure.Spread(1.1, 1, 2), wanted="<= 1.1").reached
    assert not table.line("a", measure.Spread(0.5, 0, 1), wanted="< 0.5").reached
    assert table.line("a", measure.Spread(1, 1, 1)).reached is None


def test_a_table_is_stored_and_printed(tmp_path):
    lines = [table.line("fast", measure.Spread(5.123, 4, 6), wanted=">= 4.5"), table.line("slow", measure.Spread(200.4, 1, 2), unit="s")]
    table.store(tmp_path / "bench.json", "first", lines[:1], {"minutes": 1})
    table.store(tmp_path / "bench.json", "second", lines[1:], {})
    stored = table.load(tmp_path / "bench.json")
    assert stored["first"]["lines"][0]["reached"] is True
    assert stored["first"]["minutes"] == 1
    assert [each for part in stored.values() for each in table.lines_of(part)] == lines
    assert table.markdown(lines).splitlines()[2:] == [
        "| fast | 5.12 x (4–6) | >= 4.5 x | yes |  |",
        "| slow | 200 s (1–2) |  |  |  |",
    ]


def test_text_goes_between_markers_and_nowhere_else():
    page = "before\n<!-- table -->\nold\n<!-- /table -->\nafter\n"
    once = table.between_markers(page, "table", r"new \1")
    assert once == "before\n<!-- table -->\n\nnew \\1\n\n<!-- /table -->\nafter\n"
    assert table.between_markers(once, "table", r"new \1") == once
    with pytest.raises(ValueError, match="no markers <!-- growth -->"):
        table.between_markers(page, "growth", "new")


def test_variants_take_turns_and_the_first_round_does_not_count():
    order = []
    times = measure.take_turns({"a": lambda: order.append("a"), "b": lambda: order.append("b") or 2.0}, rounds=2)
    assert order == ["b", "a", "a", "b", "b", "a"]
    assert len(times["a"]) == 2
    assert times["b"] == [2.0, 2.0]


def test_a_ratio_is_formed_round_by_round():
    assert measure.ratio({"a": [2.0, 9.0, 8.0], "b": [1.0, 3.0, 2.0]}, "a", "b") == measure.Spread(3.0, 2.0, 4.0)


def test_memory_of_a_tree_counts_the_children():
    hold = "import sys; data = bytearray(60_000_000); print(flush=True); sys.stdin.read()"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {hold!r}])"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        assert 60e6 < measure.tree_memory(process.pid) < 200e6
        process.stdin.close()
    assert measure.tree_memory(process.pid) == 0


def test_films_are_one_scene_in_two_syntaxes(tiny):
    paths = films.full_size(tiny)
    pairs = [[pydicom.dcmread(path) for path in pair] for pair in zip(*paths.values(), strict=True)]
    for raw, lossless in pairs:
        assert np.array_equal(raw.pixel_array, lossless.pixel_array)
        assert (raw.Rows, raw.Columns, raw.BitsStored, raw.BitsAllocated) == (120, 96, 12, 16)
        assert lossless.file_meta.TransferSyntaxUID == films.SYNTAXES[films.LOSSLESS]
    assert {raw.PhotometricInterpretation for raw, _ in pairs} == {"MONOCHROME1", "MONOCHROME2"}
    made = [os.stat(path).st_mtime_ns for path in paths[films.RAW]]
    assert [os.stat(path).st_mtime_ns for path in films.full_size(tiny)[films.RAW]] == made


def test_links_are_a_competition(tiny):
    from siim_kernel.competition import submission, tables

    folder = films.linked(tiny.folder / "some", films.full_size(tiny)[films.RAW], 6)
    found = tables.films(folder, "test")
    assert len(found) == 6
    studies, images = submission.bare_ids(submission.read_sample(folder / "sample_submission.csv")[1])
    assert set(images) == set(found["image"])
    assert set(studies) == set(found["study"])


def test_peers_and_we_write_the_same_film(tiny):
    import cv2

    path = films.full_size(tiny)[films.RAW][0]
    for way, name in ((reading.peers_way, "theirs"), (reading.ours, "ours")):
        (tiny.folder / name).mkdir()
        way((32,), tiny.folder / name, path)
    theirs, ours = (cv2.imread(str(tiny.folder / name / f"{path.stem}-32.png"), cv2.IMREAD_UNCHANGED) for name in ("theirs", "ours"))
    assert theirs.shape == ours.shape == (32, 32)
    assert np.corrcoef(theirs.ravel(), ours.ravel())[0, 1] > 0.9


def test_reading_and_start(tiny):
    lines, facts = reading.run(tiny)
    assert [line.wanted for line in lines] == [">= 6.5", ">= 4.5", ">= 4.5", ">= 4.5", "<= 1.5"]
    assert facts["pydicom_decodes_by"]
    assert all(line.median > 0 for line in lines)
    assert [line.unit for line in start.run(tiny)[0]] == ["s", "modules"]


def test_training_and_prediction(tiny):
    from benchmarks import prediction, training

    (line,), facts = training.run(tiny)
    assert line.wanted == ">= 15"
    assert set(facts["films_a_second"]["32"]) == {"input", "plain", "step"}
    lines, facts = prediction.run(tiny)
    assert [line.wanted for line in lines] == ["<= 1.1", "<= 1.15"]
    assert facts["films"] == 4


def test_sleeping_prediction_sleeps(tiny):
    from benchmarks import prediction
    from siim_kernel import runs

    stored = [runs.load(networks.stored_run(tiny.folder / "run", networks.recipe("cnn9", 32, batch=2)))]
    started = time.perf_counter()
    assert prediction._asleep(films.mixed(films.full_size(tiny), 4), stored, 1, 0.1) >= 0.4
    assert time.perf_counter() - started >= 0.4


@pytest.mark.slow
def test_building_memory_and_growth(tiny, tmp_path):
    from benchmarks import building, memory

    tiny = dataclasses.replace(tiny, workers=2)
    assert [line.wanted for line in building.run(tiny)[0]] == [">= 1.8", ""]
    assert [line.wanted for line in memory.run(tiny)[0]] == ["<= 1.1", "<= 50"]
    lines, facts = growth.run(tiny)
    assert len(lines) == 4
    facts = json.loads(json.dumps(facts))
    assert "| 8 |" in growth.page(facts)
    growth.draw(facts, tmp_path / "growth.png")
    assert (tmp_path / "growth.png").read_bytes().startswith(b"\x89PNG")


def test_a_straight_line_is_found():
    points = [{"films": count, "seconds": 3 + 0.01 * count} for count in (100, 200, 400)]
    assert growth.fit(points) == pytest.approx((0.01, 3, 0))


def test_the_estimate_is_the_arithmetic_it_shows():
    rows = {row["what"]: row for row in growth.estimate({films.RAW: 2.0, films.LOSSLESS: 6.0})}
    assert rows["decode and resize, all uncompressed"]["minutes"] == pytest.approx(6500 * 9.04 * 2 / 1000 / 4 / 60)
    assert rows["decode and resize, 9 of 10 uncompressed"]["minutes"] == pytest.approx(6500 * 9.04 * 2.4 / 1000 / 4 / 60)
    assert rows["network on a T4, 512 px, 5 networks, film and mirror"]["minutes"] == pytest.approx(6500 * 10 / 50 / 60)
    assert rows["read from the mount, uncompressed"]["minutes"] == pytest.approx(6500 * 18.08 / 150 / 60)


def test_the_verdict_names_what_binds():
    rows = growth.estimate({films.RAW: 2.0, films.LOSSLESS: 6.0})
    worst = 6500 * (9.04 * 6 / 4000 + 18.08 / 150 + 10 / 50) / 60
    least = 6500 * (9.04 * 2 / 4000 + 18.08 / 150 + 1 / 150) / 60
    found = growth.verdict(rows)
    assert f"= {growth.number(worst)} of 540 minutes, and the network binds" in found
    assert f"at the least of each {growth.number(least)} minutes, and the mount binds" in found


def test_the_page_takes_the_results(tmp_path):
    from benchmarks.__main__ import CHECKOUT, machine, write_docs

    about = {"minutes": 1.2, "date": "2021-08-09", "load_before": 0.3, "machine": machine()}
    fast = table.line("what is fast", measure.Spread(5.0, 4, 6), wanted=">= 4.5")
    points = [{"films": count, "seconds": count / 100, "peak": 500.0} for count in (100, 200)]
    facts = {"curve": dict.fromkeys(growth.STAGES, points), "reading": {films.RAW: 2.0, films.LOSSLESS: 6.0}}
    table.store(tmp_path / "bench.json", "reading", [fast], about)
    table.store(tmp_path / "bench.json", "growth", [], about | facts)
    shutil.copy(CHECKOUT / "docs" / "speed.md", tmp_path)
    write_docs(tmp_path / "bench.json", tmp_path)
    page = (tmp_path / "speed.md").read_text()
    assert "| what is fast | 5 x (4–6) | >= 4.5 x | yes |" in page
    assert "| 200 | 2.0 | 500 | 2.0 | 500 |" in page
    assert "2021-08-09, 2 minutes" in page
    assert (tmp_path / "growth.png").read_bytes().startswith(b"\x89PNG")


def test_an_unknown_part_is_named(capsys, tmp_path):
    from benchmarks.__main__ import main

    with pytest.raises(SystemExit):
        main(["readin", "--folder", str(tmp_path)])
    assert "there is no part readin" in capsys.readouterr().err
