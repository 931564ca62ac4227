"""Runs over documents and animations: one file of all, or a file each."""

from __future__ import annotations

import os
import weakref
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from runs import go, read, statuses

from facegen.cli.main import main
from facegen.photos.frames import frames
from facegen.photos.joined import Picture
from facegen.photos.photo import Photo
from facegen.pictures import pages
from facegen.pictures.pages import ALL, Pages, finish_one
from facegen.pictures.results import FolderResults, OneResult
from facegen.pictures.run import run
from facegen.pictures.task import Task
from files import encoded, negative, one, pixels

SHOWN = [40, 70, 200]


def picture(photo: Photo, value: np.ndarray, output: str) -> Picture:
    return Picture(value, photo.alpha, photo.profile, photo.metadata)


def task(of: Pages = ALL, batch: int = 3) -> Task:
    work = negative(batch, **of.settings)
    return of.of_task(replace(work, picture=picture, finish=partial(finish_one, picture)))


def document(name: str = "scan.tif", count: int = 3, **options: object) -> list[np.ndarray]:
    made = [pixels(9, 7, seed=i) for i in range(count)]
    first, *others = [Image.fromarray(values) for values in made]
    kind = Image.registered_extensions()[os.path.splitext(name)[1]]
    Path(name).write_bytes(encoded(first, kind, save_all=True, append_images=others, **options))
    return made


@pytest.mark.parametrize("batch", [1, 2, 50])
@pytest.mark.parametrize("output", ["out/scan.tif", "out/scan.tiff"])
def test_a_document_becomes_a_document(batch: int, output: str) -> None:
    made = document(count=5)
    report = go([one("scan.tif", output)], task(batch=batch))
    assert statuses(report) == "d"
    assert report.outcomes[0].outputs == (output,) and report.outcomes[0].facts == {"pages": 5}
    found = frames(Path(output).read_bytes())
    assert found is not None and found.count == 5
    for frame, values in zip(found, made, strict=True):
        np.testing.assert_array_equal(frame.photo.pixels, 255 - values)
    assert statuses(go([one("scan.tif", output)], task())) == "s"


def test_groups_are_small_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "_GROUP_PIXELS", 9 * 7 * 2)
    sizes: list[int] = []
    work = task(batch=50)

    def compute(values: list[np.ndarray]) -> list[np.ndarray]:
        sizes.append(len(values))
        return work.compute(values)

    document(count=5)
    go([one("scan.tif", "out/scan.tif")], replace(work, compute=compute))
    assert sizes == [2, 2, 1]


def test_few_pages_are_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "_GROUP_PIXELS", 1)
    photos: list[weakref.ref[Photo]] = []
    alive: list[int] = []
    work = task()

    def prepare(photo: Photo) -> np.ndarray:
        photos.append(weakref.ref(photo))
        alive.append(sum(photo() is not None for photo in photos))
        return photo.pixels

    document(count=12)
    go([one("scan.tif", "out/scan.tif")], replace(work, prepare=prepare))
    assert len(alive) == 12 and max(alive) <= 2


@pytest.mark.parametrize("extension", [".gif", ".png", ".webp"])
def test_an_animation_becomes_one(extension: str) -> None:
    document("walk.png", duration=SHOWN, loop=2)
    output = f"out/walk{extension}"
    report = go([one("walk.png", output)], task())
    assert statuses(report) == "d" and report.outcomes[0].facts == {"frames": 3}
    found = frames(Path(output).read_bytes())
    assert found is not None and found.plays == 2
    assert [frame.milliseconds for frame in found] == SHOWN


def test_pages_become_files_where_the_format_holds_one() -> None:
    made = document()
    report = go([one("scan.tif", "out/scan.png")], task())
    names = [f"out/scan{mark}.png" for mark in ("", "_page2", "_page3")]
    assert report.outcomes[0].outputs == tuple(names)
    assert report.outcomes[0].facts == {
        "pages": [{"outputs": [name]} for name in names],
    }
    for name, values in zip(names, made, strict=True):
        np.testing.assert_array_equal(read(name), 255 - values)
    assert statuses(go([one("scan.tif", "out/scan.png")], task())) == "s"
    Path(names[1]).unlink()
    assert statuses(go([one("scan.tif", "out/scan.png")], task())) == "d"
    assert Path(names[1]).exists()


def test_pages_that_are_gone_go() -> None:
    """As a mask that is not made any more."""
    document()
    go([one("scan.tif", "out/scan.png")], task())
    document(count=2)
    assert statuses(go([one("scan.tif", "out/scan.png")], task())) == "d"
    there = sorted(path.name for path in Path("out").glob("*.png"))
    assert there == ["scan.png", "scan_page2.png"]
    assert statuses(go([one("scan.tif", "out/scan.png")], task(Pages(first=True)))) == "d"
    assert [path.name for path in Path("out").glob("*.png")] == ["scan.png"]


def test_the_first_alone() -> None:
    made = document()
    report = go([one("scan.tif", "out/scan.tif")], task(Pages(first=True)))
    assert statuses(report) == "d" and frames(Path("out/scan.tif").read_bytes()) is None
    np.testing.assert_array_equal(read("out/scan.tif"), 255 - made[0])


@pytest.mark.parametrize(
    ("name", "output", "message"),
    [
        ("scan.tif", "a.jpg", "3 pages, and a .jpg file holds one: a folder takes a file each, "),
        ("walk.gif", "a.jpg", "3 frames, and a .jpg file holds one: a folder takes a file each"),
        ("scan.tif", "a.png", ".tif holds all, and --frames first takes the first"),
        ("walk.gif", "a.bmp", ".tif, .png, .webp or .gif holds all, and --frames first"),
    ],
)
def test_one_file_for_what_it_cannot_hold(name: str, output: str, message: str) -> None:
    document(name)
    report = run([one(name, output)], task(Pages(numbered=False)), OneResult(output, False))
    error = report.outcomes[0].error
    assert statuses(report) == "f" and error is not None and message in error
    assert not Path(output).exists()


def test_a_bad_page_fails_its_document_alone() -> None:
    """And leaves nothing of it."""
    document("good.tif")
    document("bad.tif")
    data = bytearray(Path("bad.tif").read_bytes())
    found = frames(bytes(data))
    assert found is not None
    at = found._pages[1]
    data[at + 2 + 8 : at + 2 + 12] = bytes(4)  # its width, the first entry, is 0
    Path("bad.tif").write_bytes(data)
    report = go([one(f"{name}.tif", f"out/{name}.tif") for name in ("bad", "good")], task())
    assert statuses(report) == "fd"
    error = report.outcomes[0].error
    assert error is not None and error.startswith("page 2 of 3: ")
    assert [path.name for path in Path("out").glob("*.tif")] == ["good.tif"]


def test_too_many_for_a_file_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "_MOST_NUMBERED", 2)
    document()
    report = go([one("scan.tif", "out/scan.png")], task())
    assert report.outcomes[0].error == "3 pages, of which 2 at most become a file each"


def test_what_is_larger_than_memory_should_hold_goes_through_a_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pages, "_SPOOLED_BYTES", 10)
    made = document()
    assert statuses(go([one("scan.tif", "out/scan.tif")], task())) == "d"
    found = frames(Path("out/scan.tif").read_bytes())
    assert found is not None
    for frame, values in zip(found, made, strict=True):
        np.testing.assert_array_equal(frame.photo.pixels, 255 - values)
    assert run([one("scan.tif", "a.tif")], task(), OneResult("a.tif", False)).exit_code == 0
    assert Path("a.tif").read_bytes() == Path("out/scan.tif").read_bytes()


def test_documents_beside_pictures() -> None:
    document()
    items = [one("scan.tif", "out/scan.tif")]
    for i in range(6):
        Image.fromarray(pixels(9, 7, seed=i)).save(f"p{i}.png")
        items.insert(i % 2, one(f"p{i}.png", f"out/p{i}.png"))
    results = FolderResults("out", overwrite=False)
    report = run(items, task(), results)
    results.close()
    assert statuses(report) == "d" * 7


def test_a_page_does_not_take_anothers_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """scan.tif's second page is scan_page2.png, which a picture of that name is made to as well."""
    folder = tmp_path / "in"
    folder.mkdir()
    pages = [Image.new("RGB", (32, 32), colour) for colour in ("red", "green")]
    pages[0].save(folder / "scan.tif", save_all=True, append_images=pages[1:])
    pages[0].save(folder / "scan_page2.png")
    where = ["segment", str(folder), "-n", "parts", "-o", str(tmp_path / "out"), "--device", "cpu"]
    assert main(where) == 1
    first, second = folder / "scan.tif", folder / "scan_page2.png"
    words = f"scan_page2.png: would be a result of {second} and of {first}"
    assert words in capsys.readouterr().err
    assert main([*where, "--overwrite"]) == 1
    assert words in capsys.readouterr().err
