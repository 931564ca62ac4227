"""Files, folders, globs; names of results, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from facegen import FacegenError
from facegen.pictures.items import Item, is_folder, items
from facegen.pictures.passed_over import lines
from facegen.pictures.sources import Source, find


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Find looks at names alone."""
    monkeypatch.chdir(tmp_path)
    for name in (
        "photos/b.JPG", "photos/a.png", "photos/notes.txt", "photos/.hidden.png",
        "photos/sub/c.webp", "photos/sub/deep/d.tif", "photos/.cache/e.png", "other/a.png",
        "odd [1].png",
    ):  # fmt: skip
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(b"x")


def names(inputs: list[str], recursive: bool = False, skip: str | None = None) -> list[str]:
    return [source.name for source in find(inputs, recursive, skip).pictures]


def test_folders(photos: None) -> None:
    assert find(["photos"]).pictures == [
        Source("photos/a.png", "a.png"),
        Source("photos/b.JPG", "b.JPG"),
    ]
    everything = ["a.png", "b.JPG", "sub/c.webp", "sub/deep/d.tif"]
    assert names(["photos"], recursive=True) == everything
    assert names(["photos/"], recursive=True) == everything
    assert names(["photos"], True, skip="photos/sub") == ["a.png", "b.JPG"]
    assert names(["photos"], True, skip="photos") == everything


def test_files_whatever_they_are(photos: None) -> None:
    assert names(["photos/notes.txt", "photos/sub/c.webp", "odd [1].png"]) == [
        "notes.txt", "c.webp", "odd [1].png",
    ]  # fmt: skip


def test_globs(photos: None) -> None:
    assert names(["photos/*.png"]) == ["a.png"]
    assert names(["photos/**/*"]) == ["a.png", "b.JPG", "sub/c.webp", "sub/deep/d.tif"]
    assert names(["*/a.png"]) == ["other/a.png", "photos/a.png"]
    assert names(["*/a.png"], skip="other") == ["photos/a.png"]


def test_globs_below_folders_with_names_of_globs(photos: None) -> None:
    for name in ("[2020]/a.png", "[2020]/[x]*/b.png", "2/a.png", "2/z.png"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(b"x")
    here = os.getcwd()
    for pattern, path, name in (
        ("[2020]/*.png", "[2020]/a.png", "a.png"),
        (f"{here}/[2020]/*.png", f"{here}/[2020]/a.png", "a.png"),
        ("[2020]/[x]*/*.png", "[2020]/[x]*/b.png", "b.png"),
        ("*/[x]*/*.png", "[2020]/[x]*/b.png", "[2020]/[x]*/b.png"),
        ("[23]/z*", "2/z.png", "2/z.png"),  # nothing has this very name: it is a pattern
        ("**/[x]*/b*", "[2020]/[x]*/b.png", "[2020]/[x]*/b.png"),
    ):
        assert find([pattern]).pictures == [Source(path, name)]


def test_globs_across_folders(photos: None) -> None:
    every = ["odd [1].png", "other/a.png", "photos/a.png"]
    assert names(["**/*.png"]) == names(["**/**/*.png"]) == every
    assert names(["./**/*.png"]) == every and names(["photos/../**/a.png"])[0] == "other/a.png"
    assert names(["**/sub/*.webp"]) == ["photos/sub/c.webp"]


def test_what_is_passed_over(photos: None) -> None:
    """Files of folders and of globs, each once; those that are named are read as pictures."""
    Path("photos/sub/scan.PDF").write_bytes(b"x")
    Path("photos/sub/loose").write_bytes(b"x")
    assert find(["photos"]).passed_over == ["photos/notes.txt"]
    everything = ["photos/notes.txt", "photos/sub/loose", "photos/sub/scan.PDF"]
    assert find(["photos"], recursive=True).passed_over == everything
    assert find(["photos", "photos/**/*"], recursive=True).passed_over == everything
    assert find(["photos"], True, skip="photos/sub").passed_over == everything[:1]
    assert find(["photos/*.png"]).passed_over == []
    found = find(["photos", "./photos/notes.txt"])
    assert found.passed_over == [] and found.pictures[-1].name == "notes.txt"
    message = r"no pictures there; passed over: 1 \.pdf \(first photos/sub/scan\.PDF\): a document"
    with pytest.raises(FacegenError, match=message):
        find(["photos/sub/*.PDF"], recursive=True)


def test_what_is_said_of_it() -> None:
    paths = ["a/1.HEIC", "a/x.txt", "a/2.heic", "a/3.nef", "a/y.txt", "a/z", "a/4.pdf"]
    assert lines(paths) == [
        "1 .nef (first a/3.nef): raw of a camera, to be developed",
        "1 .pdf (first a/4.pdf): a document; pdftoppm makes pictures of its pages",
        "2 .heic (first a/1.HEIC): HEIC, to be read after pip install 'pillow-heif>=1'",
        "2 .txt, 1 without extension (first a/x.txt)",
    ]
    assert lines([]) == []


def test_each_once(photos: None) -> None:
    assert names(["photos/b.JPG", "./photos/b.JPG", "photos"]) == ["b.JPG", "a.png"]


def test_standard_input() -> None:
    assert find(["-"]).pictures == [Source("-", "stdin")]
    with pytest.raises(FacegenError, match="goes alone"):
        find(["-", "a.png"])


def test_nothing_there(photos: None) -> None:
    for name, message in (("empty", "no pictures there .-r"), ("*.gif", "no pictures")):
        Path("empty").mkdir(exist_ok=True)
        with pytest.raises(FacegenError, match=message):
            find([name])
    with pytest.raises(FileNotFoundError, match="missing"):
        find(["photos", "missing.png"])


def test_loops_of_links(photos: None) -> None:
    Path("photos/sub/loop").symlink_to("..")
    assert len(names(["photos"], recursive=True)) == 4


@pytest.mark.parametrize("inputs", ["photos", "photos/*"])
def test_what_cannot_be_read_is_among_them(photos: None, inputs: str) -> None:
    """Whoever reads them says so; nothing here opens a file."""
    Path("photos/gone.png").symlink_to("nowhere.png")
    Path("photos/loop.png").symlink_to("loop.png")
    os.mkfifo("photos/pipe.png")
    Path("photos/folder.png").mkdir()
    assert names([inputs]) == ["a.png", "b.JPG", "gone.png", "loop.png", "pipe.png"]


SOURCES = [Source("photos/sub/cat.jpg", "sub/cat.jpg"), Source("photos/dog.xyz", "dog.xyz")]


def test_names_are_mirrored() -> None:
    outputs = [item.outputs for item in items(SOURCES, "out", ["", "_areas.json"])]
    assert outputs == [
        ("out/sub/cat.png", "out/sub/cat_areas.json"),
        ("out/dog.png", "out/dog_areas.json"),
    ]
    same = [item.outputs for item in items(SOURCES, "out", [""], "same")]
    assert same == [("out/sub/cat.jpg",), ("out/dog.png",)]


def test_one_file() -> None:
    assert items(SOURCES[:1], "cat.webp", [""]) == [Item("photos/sub/cat.jpg", ("cat.webp",))]
    stdin = Source("-", "stdin")
    for extension, output in ((".png", "-.png"), (".webp", "-.webp"), ("same", "-.png")):
        assert items([stdin], "-", [""], extension) == [Item("-", (output,))]
    assert items(SOURCES[:1], "/dev/stdout", [""], "same")[0].outputs == ("/dev/stdout.jpg",)
    assert items(SOURCES[:1], "-", [".npy"], ".webp")[0].outputs == ("-.npy",)
    assert items([Source("-", "stdin")], "out/", [""])[0].outputs == ("out/stdin.png",)
    with pytest.raises(FacegenError, match="several pictures; name a folder"):
        items(SOURCES, "cat.png", [""])
    with pytest.raises(FacegenError, match=r"a\.jp2: pictures are written as \.png, "):
        items(SOURCES[:1], "a.jp2", [""])
    with pytest.raises(FacegenError, match="several results"):
        items(SOURCES[:1], "-", ["", "_mask.png"])


def test_what_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("old.png").mkdir()
    assert all(is_folder(name) for name in ("out", "out.d", "new.png/", "old.png", "."))
    assert all(is_folder(name) for name in ("v1.0", "photos.old", "x.heic/", ".hidden", "2020.12"))
    assert not any(is_folder(name) for name in ("-", "a.png", "a.JPG", "x/a.tiff", "a.gif"))
    for name in ("a.heic", "a.HEIF", "a.jxl", "a.psd", "a.pdf", "a.cr2", "a.mp4", "a.json"):
        assert not is_folder(name)
        with pytest.raises(FacegenError, match=f"{name}: pictures are written .* be {name}/"):
            items(SOURCES[:1], name, [""])


def test_collisions_are_refused() -> None:
    twice = [Source("a/cat.jpg", "cat.jpg"), Source("b/cat.png", "cat.png")]
    with pytest.raises(FacegenError, match="out/cat.png: would be .* a/cat.jpg and b/cat.png"):
        items(twice, "out", [""])
    assert len(items(twice, "out", [""], "same")) == 2
    for suffixes, extension, sources, cure in (
        ([""], ".png", twice, "--format same keeps them apart"),
        (["_mask.png"], ".png", twice, "use a folder for each"),
        ([""], ".png", [twice[0], Source("c/cat.jpg", "cat.jpg")], "use a folder for each"),
        ([""], "same", [twice[1], Source("c/cat.jp2", "cat.jp2")], "use a folder for each"),
    ):
        with pytest.raises(FacegenError, match=rf"of both .* \({cure}\)"):
            items(sources, "out", suffixes, extension)
    with pytest.raises(FacegenError, match="would replace a picture that is to be read"):
        items([Source("a/cat.png", "cat.png")], "a", [""])
    with pytest.raises(FacegenError, match="would be the result of both"):
        items([Source("x", "a.png"), Source("y", "a_mask.png")], "out", ["", "_mask.png"])
