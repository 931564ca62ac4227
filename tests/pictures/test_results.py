"""Results that are there: what is skipped, what is made anew, and what is left alone."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from runs import go, make, read, statuses

from facegen import FacegenError
from facegen.photos.photo import Photo
from facegen.pictures.items import Item
from facegen.pictures.results import OneResult
from facegen.pictures.run import run
from facegen.pictures.task import Made, Task
from files import negative, one, png


def test_finished_pictures_are_skipped() -> None:
    items = make(4)
    go(items[:2])
    before = {path: path.stat().st_mtime_ns for path in Path("out").glob("*.png")}
    assert statuses(go(items)) == "ssdd"
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    report = go(items)
    assert statuses(report) == "ssss"
    assert [outcome.facts["size"] for outcome in report.outcomes] == [[5 + i, 7] for i in range(4)]
    assert statuses(go(items, overwrite=True)) == "dddd"
    assert statuses(go(items)) == "ssss"


def test_changes_are_done_again() -> None:
    items = make(5)
    go(items)
    Path("p0.png").write_bytes(png(30, 30))  # another picture
    os.utime("p1.png")  # the same, newly copied
    Path("out/p2.png").unlink()
    with open("out/p3.png", "r+b") as file:
        file.truncate(20)  # as power that fails may leave it
    assert statuses(go(items)) == "dsdds"
    assert read("out/p0.png").shape == (30, 30, 3) and read("out/p3.png").shape == (8, 7, 3)
    assert statuses(go(items, negative(strength=2))) == "ddddd"
    assert statuses(go(items)) == "ddddd"  # back again: the manifest's last word counts
    assert statuses(go(items)) == "sssss"


def test_a_folder_that_was_moved_is_known_by_content() -> None:
    items = make(2)
    go(items)
    for i in range(2):
        Path("moved").mkdir(exist_ok=True)
        Path(f"p{i}.png").rename(f"moved/p{i}.png")
    moved = [one(f"moved/p{i}.png", f"out/p{i}.png") for i in range(2)]
    assert statuses(go(moved)) == "ss"


def test_results_of_others_are_not_replaced() -> None:
    items = make(3)
    Path("out").mkdir()
    Path("out/p1.png").write_text("precious")
    with pytest.raises(FacegenError, match="out/p1.png: exists, and no run is known"):
        go(items)
    assert os.listdir("out") == ["p1.png"] and Path("out/p1.png").read_text() == "precious"
    assert statuses(go(items, overwrite=True)) == "ddd"
    Path("elsewhere").mkdir()
    Path("elsewhere/p1.png").write_bytes(png(3, 3))
    with pytest.raises(FacegenError, match="out/p1.png: was made of .*p1.png, not of elsewhere"):
        go([one("elsewhere/p1.png", "out/p1.png")])
    assert read("out/p1.png").shape == (6, 7, 3)


def test_a_manifest_that_is_damaged() -> None:
    items = make(3)
    go(items)
    (manifest,) = Path("out/.facegen").iterdir()
    lines = manifest.read_bytes().splitlines()
    assert len(lines) == 3 and all(lines)
    manifest.write_bytes(b"\n".join([b"[]", b'{"outputs": 3}', *lines[:2], lines[2][:50]]))
    Path("out", os.path.basename(items[2].outputs[0])).unlink()
    lost = json.loads(lines[2])["outputs"].keys()
    for name in lost:
        Path("out", name).unlink(missing_ok=True)
    assert statuses(go(items)).count("d") == len(lost | {"p2.png"})
    assert statuses(go(items)) == "sss"


def test_several_results_of_a_picture_come_together() -> None:
    Path("a.png").write_bytes(png())
    item = Item("a.png", ("out/a.png", "out/a.txt"))

    def finish(photo: Photo, value: np.ndarray, outputs: tuple[str, ...]) -> Made:
        return Made({path: b"content" for path in (*outputs, "out/a-cat.txt")})

    task = Task({}, lambda photo: photo.pixels, lambda values: values, finish)
    assert go([item], task).outcomes[0].outputs == ("out/a.png", "out/a.txt", "out/a-cat.txt")
    assert statuses(go([item], task)) == "s"
    for name in ("a.txt", "a-cat.txt"):  # also the one that is not announced
        Path("out", name).unlink()
        assert statuses(go([item], task)) == "d"


def test_results_that_are_named_by_content() -> None:
    """What a changed picture has no more goes; what others made stays."""

    def finish(photo: Photo, value: np.ndarray, outputs: tuple[str, ...]) -> Made:
        return Made({path: b"content" for path in (*outputs, f"out/a-{len(value)}.png")})

    item = Item("a.png", ("out/a.json",))
    task = Task({}, lambda photo: photo.pixels, lambda values: values, finish)
    for height in (3, 4):
        Path("a.png").write_bytes(png(height))
        assert statuses(go([item], task)) == "d"
        assert sorted(p.name for p in Path("out").glob("a*")) == [f"a-{height}.png", "a.json"]
    Path("out/a-5.png").write_text("precious")
    Path("a.png").write_bytes(png(5))
    report = go([item], task)
    assert statuses(report) == "f" and "a-5.png: exists" in str(report.outcomes[0].error)
    assert Path("out/a-5.png").read_text() == "precious"
    assert sorted(p.name for p in Path("out").glob("a*")) == ["a-4.png", "a-5.png", "a.json"]
    assert statuses(go([item], task, overwrite=True)) == "d"
    assert sorted(p.name for p in Path("out").glob("a*")) == ["a-5.png", "a.json"]


def test_a_folder_of_results_goes_with_the_last_of_them() -> None:
    """As that of masks, where they are not asked for any more; one with other files stays."""
    Path("a.png").write_bytes(png())
    item = Item("a.png", ("out/a.json",))

    def task(*more: str) -> Task:
        def finish(photo: Photo, value: np.ndarray, outputs: tuple[str, ...]) -> Made:
            return Made({path: b"content" for path in (*outputs, *more)})

        settings = {"more": more}
        return Task(settings, lambda photo: photo.pixels, lambda values: values, finish)

    for precious in (False, True):
        assert statuses(go([item], task("out/a_masks/cat.png", "out/a_masks/dog.png"))) == "d"
        if precious:
            Path("out/a_masks/notes.txt").write_text("precious")
        assert statuses(go([item], task())) == "d"
        assert [p.name for p in Path("out").glob("a_masks/*")] == ["notes.txt"] * precious
        assert Path("out/a_masks").exists() == precious
    assert statuses(go([item], task())) == "s"


def test_a_finished_picture_that_is_gone_fails_alone() -> None:
    items = make(3)
    go(items)
    Path("p1.png").unlink()
    report = go(items)
    assert statuses(report) == "sfs" and Path("out/p1.png").exists()


def test_one_result(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    Path("a.png").write_bytes(png())
    run([one("a.png", "b.png")], negative(), OneResult("b.png", False))
    with pytest.raises(FacegenError, match="b.png: exists"):
        run([one("a.png", "b.png")], negative(), OneResult("b.png", False))
    run([one("a.png", "b.png")], negative(), OneResult("b.png", True))
    with pytest.raises(FacegenError, match="there is no folder no"):
        run([one("a.png", "no/b.png")], negative(), OneResult("no/b.png", False))
    run([one("a.png", "-.png")], negative(), OneResult("-", False))
    assert capfdbinary.readouterr().out == Path("b.png").read_bytes()
    assert sorted(os.listdir()) == ["a.png", "b.png"]
