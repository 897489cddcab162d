"""What a folder holds, and what has changed in it."""

import os

from siim_kernel.delivery import listing


def test_size_counts_links_as_links(tmp_path):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "outside").write_bytes(bytes(1000))
    (tmp_path / "in" / "a").write_bytes(bytes(7))
    (tmp_path / "in" / "deep" / "b").write_bytes(bytes(5))
    link = tmp_path / "in" / "link"
    link.symlink_to("../outside")
    assert listing.folder_bytes(tmp_path / "in") == 12 + len("../outside")


def test_changes_are_seen_through_links_and_circles_end(tmp_path):
    folder, elsewhere = tmp_path / "in", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    for name in ("circle", "circle2"):
        (folder / name).symlink_to(folder)
    (folder / "source").symlink_to(elsewhere)
    (folder / "broken").symlink_to("nowhere")
    (elsewhere / "small").write_text("a")
    (elsewhere / "large").write_bytes(bytes(listing.SMALL + 1))
    (elsewhere / "gone").write_text("")
    before = listing.list_files(folder)
    assert sorted(before) == ["source/gone", "source/large", "source/small"]
    assert listing.changes(before, listing.list_files(folder)) == ()

    times = (elsewhere / "small").stat()
    (elsewhere / "small").write_text("b")
    os.utime(elsewhere / "small", ns=(times.st_atime_ns, times.st_mtime_ns))
    os.utime(elsewhere / "large", ns=(1, 1))
    (elsewhere / "gone").unlink()
    (elsewhere / "new").write_text("")
    assert listing.changes(before, listing.list_files(folder)) == ("source/gone", "source/large", "source/new", "source/small")
