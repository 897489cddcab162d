"""Waiting for a kernel and fetching what it left, with the real Kaggle client against the loopback Kaggle."""

import json

import pytest

from siim_kernel import hashes
from siim_kernel.delivery import fetching
from siim_kernel.errors import DeliveryError
from tests.delivery.made_kaggle import at_a_desk

CLI = pytest.mark.slow


@pytest.fixture
def desk(tmp_path):
    with at_a_desk(tmp_path) as desk:
        yield desk


def fetch(desk, ref):
    return fetching.fetch(desk.client, ref, desk.folder / "out", desk.said.append)


def found(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@CLI
def test_output_comes_with_its_folders_in_place_of_the_old_one(desk):
    ref = desk.have_kernel("some-kernel", runs__a_csv="a", b_txt=b"b" * 70_000)
    (desk.folder / "out").mkdir()
    (desk.folder / "out" / "some-kernel.log").write_text("old")
    paths = fetch(desk, ref)
    assert found(desk.folder / "out") == {"runs/a.csv": b"a", "b.txt": b"b" * 70_000}
    assert paths == [desk.folder / "out" / "b.txt", desk.folder / "out" / "runs" / "a.csv"]


@CLI
@pytest.mark.parametrize(
    ("method", "kind"), [("output", 500), ("output", "truncated"), ("output", "reset"), ("ListKernelSessionOutput", 500)]
)
def test_a_download_that_fails_once_is_made_again(desk, method, kind):
    ref = desk.have_kernel("some-kernel", a_bin=b"x" * 5000)
    desk.service.inject(method, kind)
    fetch(desk, ref)
    assert found(desk.folder / "out") == {"a.bin": b"x" * 5000}
    assert desk.service.faults.pending() == []


@CLI
def test_a_download_that_fails_for_good_leaves_the_old_one_and_nothing_else(desk):
    ref = desk.have_kernel("some-kernel", a_bin=b"x" * 5000)
    (desk.folder / "out").mkdir()
    (desk.folder / "out" / "some-kernel.log").write_text("old")
    desk.service.inject("output", 500, times=9)
    with pytest.raises(DeliveryError, match=r"a\.bin is Kaggle's error answer"):
        fetch(desk, ref)
    assert found(desk.folder / "out") == {"some-kernel.log": b"old"}
    assert [path.name for path in desk.folder.glob(".out*")] == []


@CLI
def test_a_folder_that_is_no_output_is_not_replaced(desk):
    ref = desk.have_kernel("some-kernel", a_bin=b"x")
    (desk.folder / "out").mkdir()
    (desk.folder / "out" / "thesis.doc").write_text("mine")
    with pytest.raises(DeliveryError, match="out would be replaced, and does not look like a kernel's output"):
        fetch(desk, ref)
    assert found(desk.folder / "out") == {"thesis.doc": b"mine"}


@CLI
def test_hashes_are_compared_where_the_kernel_left_them(desk, tmp_path):
    folder = desk.files(runs__a_csv="a")
    hashes.write_hashes(folder)
    ref = desk.have_kernel("some-kernel", runs__a_csv="b", files_sha256_json=(folder / "files.sha256.json").read_bytes())
    with pytest.raises(DeliveryError, match=r"changed: runs/a\.csv"):
        fetch(desk, ref)


@CLI
@pytest.mark.parametrize(
    ("status", "reason"), [("RUNNING", "wait for it"), ("ERROR", "ended as ERROR"), ("CANCEL_ACKNOWLEDGED", "ended as CANCEL")]
)
def test_only_a_complete_kernel_is_fetched(desk, status, reason):
    ref = desk.have_kernel("some-kernel", status=status, a_txt="a")
    with pytest.raises(DeliveryError, match=reason):
        fetch(desk, ref)


@CLI
def test_waits_until_complete_and_tells_each_change_once(desk):
    desk.have_sources()
    ref = desk.have_kernel("some-kernel", status="QUEUED")
    desk.client.sleep = lambda _: desk.service.finish_kernel(ref, {"a.txt": "a"})
    fetching.wait(desk.client, ref, desk.said.append)
    assert desk.said == [f"{ref}: QUEUED", f"{ref}: COMPLETE"]


@CLI
def test_an_error_is_told_with_its_failure_and_the_end_of_the_log(desk):
    ref = desk.have_kernel("some-kernel", status="QUEUED")
    desk.service.finish_kernel(ref, failure="out of memory", lines=[f"line {number}" for number in range(40)])
    with pytest.raises(DeliveryError) as caught:
        fetching.wait(desk.client, ref, desk.said.append)
    assert "ended as ERROR: out of memory" in str(caught.value)
    assert "line 39" in str(caught.value)
    assert "line 24" not in str(caught.value)


@CLI
def test_a_kernel_that_is_not_there_and_patience_that_ends(desk):
    with pytest.raises(DeliveryError, match="not on Kaggle"):
        fetching.wait(desk.client, "ada-example/nowhere", desk.said.append)
    ref = desk.have_kernel("some-kernel", status="RUNNING")
    with pytest.raises(DeliveryError, match="is still RUNNING after"):
        fetching.wait(desk.client, ref, desk.said.append, patience=30)
    assert desk.slept == [10, 15.0, 22.5]


def test_the_last_words_are_the_last_lines_and_what_is_unfinished():
    class Told:
        def kernel_log(self, ref):
            return "one is unfinished\n" + "".join(f"{number}\n\n" for number in range(9)) + "[NbConvertApp] Converting\n"

    assert fetching.last_words(Told(), "ada/x") == ["one is unfinished", *"45678"]

    class Silent:
        def kernel_log(self, ref):
            raise DeliveryError("no answer")

    assert fetching.last_words(Silent(), "ada/x") == ["(the log cannot be had: no answer)"]


def test_logs_are_read_in_both_forms():
    entries = [{"stream_name": "stdout", "time": 1, "data": "a\n"}, {"stream_name": "stderr", "time": 2, "data": "b\n"}]
    assert fetching.log_lines(json.dumps(entries)) == ["a", "b"]
    assert fetching.log_lines("a\nb\n") == ["a", "b"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.npy", '{"error":{"code":500,"message":"m","status":"INTERNAL"}}', "Kaggle's error answer"),
        ("a.json", '{"code":403,"message":"denied"}', "Kaggle's error answer"),
        ("a.npy", "<!DOCTYPE html><html>", "an HTML page"),
        ("a.npy", "<?xml version='1.0'?><Error><Code>AccessDenied</Code>", "a storage server's error answer"),
        ("report.html", "<!DOCTYPE html><html>", ""),
        ("a.json", '{"error": null, "mAP": 0.5}', ""),
        ("a.json", "{}", ""),
        ("a.csv", "id,PredictionString\n", ""),
        ("a.npy", "", ""),
    ],
)
def test_error_pages_are_told_from_files(tmp_path, name, content, said):
    (tmp_path / name).write_text(content)
    assert fetching.error_page(tmp_path / name)[: len(said)] == said
    assert bool(fetching.error_page(tmp_path / name)) == bool(said)


def test_names_and_sizes_are_compared_with_the_list(tmp_path):
    (tmp_path / "a.txt").write_text("abc")
    assert fetching.faults(tmp_path, {"a.txt": 3}, "k.log") == []
    assert fetching.faults(tmp_path, {"a.txt": 4, "b.txt": 1}, "k.log") == ["b.txt did not come", "a.txt has 3 bytes instead of 4"]
    assert fetching.faults(tmp_path, None, "a.txt") == ["no file came"]
