"""Runs over many pictures: counts, failures, resume, kills, full disks, bounded memory."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facegen import FacegenError
from facegen.media.photo import Photo
from facegen.pictures import run as run_module
from facegen.pictures.items import Item
from facegen.pictures.manifest import Manifest
from facegen.pictures.memory import PixelBudget
from facegen.pictures.report import Outcome, Report
from facegen.pictures.results import FolderResults, OneResult
from facegen.pictures.run import run
from facegen.pictures.task import Made, Task
from files import negative, one, pixels, png


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make(count: int) -> list[Item]:
    """Pictures p0.png ... of different sizes and the items for out/."""
    for i in range(count):
        Path(f"p{i}.png").write_bytes(png(5 + i, 7, seed=i))
    return [one(f"p{i}.png", f"out/p{i}.png") for i in range(count)]


def go(items: list[Item], task: Task | None = None, overwrite: bool = False) -> Report:
    results = FolderResults("out", overwrite)
    try:
        return run(items, task or negative(), results)
    finally:
        results.close()


def statuses(report: Report) -> str:
    """One letter an item."""
    return "".join(outcome.status[0] for outcome in report.outcomes)


def read(path: str) -> np.ndarray:
    return np.asarray(Image.open(path))


@pytest.mark.parametrize("count", [0, 1, 2, 20])
@pytest.mark.parametrize("batch", [1, 3, 50])
def test_every_picture_is_done(count: int, batch: int) -> None:
    seen: list[Outcome] = []
    items = make(count)
    report = run(items, negative(batch), FolderResults("out", False), seen.append)
    assert statuses(report) == "d" * count and report.exit_code == 0
    assert [outcome.source for outcome in report.outcomes] == [item.source for item in items]
    assert sorted(o.source for o in seen) == sorted(item.source for item in items)
    for i, outcome in enumerate(report.outcomes):
        np.testing.assert_array_equal(read(f"out/p{i}.png"), 255 - pixels(5 + i, 7, seed=i))
        assert outcome.facts == {"size": [5 + i, 7]}


def test_batches_are_no_larger_than_asked_for() -> None:
    sizes: list[int] = []

    def compute(values: list[np.ndarray]) -> list[np.ndarray]:
        sizes.append(len(values))
        time.sleep(0.01)  # so that more get ready meanwhile
        return values

    task = negative(batch=4)
    go(make(30), Task(task.settings, task.prepare, compute, task.finish, batch=4))
    assert sum(sizes) == 30 and max(sizes) == 4


def test_bad_pictures_do_not_end_the_run() -> None:
    items = make(9)
    Path("p2.png").write_bytes(Path("p2.png").read_bytes()[:60])
    Path("p4.png").write_bytes(b"")
    Path("p5.png").unlink()
    Path("p7.png").unlink()
    Path("p7.png").mkdir()
    report = go(items)
    assert statuses(report) == "ddfdffdfd" and report.exit_code == 1
    errors = [outcome.error for outcome in report.outcomes if outcome.status == "failed"]
    assert errors[0] is not None and errors[0].startswith("cannot be decoded")
    assert errors[1:] == [
        "not a picture, or of a format that is not read",
        os.strerror(errno.ENOENT),
        os.strerror(errno.EISDIR),
    ]
    assert sorted(path.name for path in Path("out").glob("*.png")) == [
        "p0.png", "p1.png", "p3.png", "p6.png", "p8.png",
    ]  # fmt: skip


def test_what_fails_when_it_finishes() -> None:
    task = negative()

    def finish(photo: Photo, value: np.ndarray, outputs: tuple[str, ...]) -> Made:
        if len(value) == 7:
            raise FacegenError("no\nluck")
        return task.finish(photo, value, outputs)

    report = go(make(4), Task(task.settings, task.prepare, task.compute, finish))
    assert statuses(report) == "ddfd" and report.outcomes[2].error == "no luck"


def test_one_name_taken_by_a_folder() -> None:
    items = make(3)
    Path("out/p1.png").mkdir(parents=True)
    report = go(items, overwrite=True)
    assert statuses(report) == "dfd"
    assert report.outcomes[1].error == f"out/p1.png: {os.strerror(errno.EISDIR)}"


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
    assert len(lines) == 4 and lines[0] == b""
    manifest.write_bytes(b"\n".join([b"[]", b'{"outputs": 3}', *lines[1:3], lines[3][:50]]))
    Path("out", os.path.basename(items[2].outputs[0])).unlink()
    lost = json.loads(lines[3])["outputs"].keys()
    for name in lost:
        Path("out", name).unlink(missing_ok=True)
    assert statuses(go(items)).count("d") == len(lost | {"p2.png"})
    assert statuses(go(items)) == "sss"


def test_a_full_disk_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    items = make(20)
    written = 0
    write = Manifest.write

    def fail(self: Manifest, *arguments: object) -> None:
        nonlocal written
        written += 1
        if written > 5:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "out/p9.png")
        write(self, *arguments)  # type: ignore[arg-type]

    before = threading.active_count()
    seen: list[Outcome] = []
    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left"):
        patch.setattr(Manifest, "write", fail)
        run(items, negative(), FolderResults("out", False), seen.append)
    assert {outcome.status for outcome in seen} == {"done"}  # it is nobody's fault
    assert threading.active_count() == before
    report = go(items)
    assert report.count("skipped") == 5 and report.count("done") == 15


def test_a_device_that_fails_ends_the_run() -> None:
    task = negative()

    def compute(values: list[np.ndarray]) -> list[np.ndarray]:
        raise RuntimeError("the device failed")

    before = threading.active_count()
    with pytest.raises(RuntimeError, match="the device failed"):
        go(make(9), Task(task.settings, task.prepare, compute, task.finish))
    assert threading.active_count() == before


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
        return Made({path: b"content" for path in (*outputs, f"out/a-{len(value)}.txt")})

    item = Item("a.png", ("out/a.json",))
    task = Task({}, lambda photo: photo.pixels, lambda values: values, finish)
    for height in (3, 4):
        Path("a.png").write_bytes(png(height))
        assert statuses(go([item], task)) == "d"
        assert sorted(p.name for p in Path("out").glob("a*")) == [f"a-{height}.txt", "a.json"]
    Path("out/a-5.txt").write_text("precious")
    Path("a.png").write_bytes(png(5))
    report = go([item], task)
    assert statuses(report) == "f" and "a-5.txt: exists" in str(report.outcomes[0].error)
    assert Path("out/a-5.txt").read_text() == "precious"
    assert sorted(p.name for p in Path("out").glob("a*")) == ["a-4.txt", "a-5.txt", "a.json"]
    assert statuses(go([item], task, overwrite=True)) == "d"
    assert sorted(p.name for p in Path("out").glob("a*")) == ["a-5.txt", "a.json"]


def test_a_finished_picture_that_is_gone_fails_alone() -> None:
    items = make(3)
    go(items)
    Path("p1.png").unlink()
    report = go(items)
    assert statuses(report) == "sfs" and Path("out/p1.png").exists()


def test_facts_without_results() -> None:
    Path("a.png").write_bytes(png())
    task = Task({}, lambda photo: photo, lambda v: v, lambda p, v, o: Made(facts={"class": 3}))
    report = run([Item("a.png", ())], task, OneResult(False))
    assert statuses(report) == "d" and report.outcomes[0].facts == {"class": 3}


def test_one_result(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    Path("a.png").write_bytes(png())
    run([one("a.png", "b.png")], negative(), OneResult(False))
    with pytest.raises(FacegenError, match="b.png: exists"):
        run([one("a.png", "b.png")], negative(), OneResult(False))
    run([one("a.png", "b.png")], negative(), OneResult(True))
    with pytest.raises(FacegenError, match="there is no folder no"):
        run([one("a.png", "no/b.png")], negative(), OneResult(False))
    run([one("a.png", "-")], negative(), OneResult(False))
    assert capfdbinary.readouterr().out == Path("b.png").read_bytes()
    assert sorted(os.listdir()) == ["a.png", "b.png"]


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures between decoding and the end of writing, counted while the writer is slow."""
    items = make(40)
    inside = most = 0
    lock = threading.Lock()
    task = negative(batch=2)

    def prepare(photo: Photo) -> np.ndarray:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        return photo.pixels

    def finish(photo: Photo, value: np.ndarray, outputs: tuple[str, ...]) -> Made:
        nonlocal inside
        time.sleep(0.002)
        with lock:
            inside -= 1
        return task.finish(photo, value, outputs)

    monkeypatch.setattr(run_module, "MAX_PIXELS", 5 * run_module.MIN_PIXELS)
    report = go(items, Task(task.settings, prepare, task.compute, finish, batch=2))
    assert report.count("done") == 40 and most <= 5


def test_a_picture_larger_than_the_budget_goes_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "MAX_PIXELS", 1)
    assert statuses(go(make(8))) == "dddddddd"


def test_pixel_budget() -> None:
    budget = PixelBudget(10)
    assert budget.take(7) and budget.take(3)
    answers: list[bool] = []
    waiting = threading.Thread(target=lambda: answers.append(budget.take(4)))
    waiting.start()
    budget.give_back(3)
    assert not answers
    budget.give_back(7)
    waiting.join(10)
    assert answers == [True]
    waiting = threading.Thread(target=lambda: answers.append(budget.take(100)))
    waiting.start()
    budget.close()
    waiting.join(10)
    assert answers == [True, False]


def test_report() -> None:
    report = Report(
        (
            Outcome("a", "done", ("o/a",), facts={"size": [1, 2]}),
            Outcome("b", "failed", error="no"),
            Outcome("c", "skipped", ("o/c",)),
        ),
        1.5,
    )
    assert report.as_json({"command": "negative"}) == {
        "command": "negative",
        "counts": {"in": 3, "done": 1, "failed": 1, "skipped": 1},
        "seconds": 1.5,
        "items": [
            {"source": "a", "status": "done", "outputs": ["o/a"], "size": [1, 2]},
            {"source": "b", "status": "failed", "error": "no"},
            {"source": "c", "status": "skipped", "outputs": ["o/c"]},
        ],
    }


SLOW_RUN = """
import sys, time
sys.path[:0] = {paths!r}
from files import negative, one
from facegen.pictures.results import FolderResults
from facegen.pictures.run import run
from facegen.pictures.task import Task
task = negative(batch=1)
def compute(values):
    time.sleep(0.02)
    return task.compute(values)
print("begun", flush=True)
run([one(f"p{{i}}.png", f"out/p{{i}}.png") for i in range(30)],
    Task(task.settings, task.prepare, compute, task.finish, batch=1), FolderResults("out", False))
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
@pytest.mark.parametrize("after", [1, 7])
def test_a_run_that_is_killed_is_completed_by_the_next(number: int, after: int) -> None:
    items = make(30)
    code = SLOW_RUN.format(paths=[str(Path(__file__).parent), *sys.path])
    with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        while len(list(Path("out").glob("*.png"))) < after and time.monotonic() < deadline:
            time.sleep(0.005)
        process.send_signal(number)
    there = sorted(Path("out").glob("*.png"))
    assert after <= len(there) < 30
    for path in there:
        i = int(path.stem[1:])
        np.testing.assert_array_equal(read(str(path)), 255 - pixels(5 + i, 7, seed=i))
    report = go(items)
    assert report.count("skipped") == len(there) and report.exit_code == 0
    interrupted = {path.name: path.read_bytes() for path in Path("out").glob("*.png")}
    go(items, overwrite=True)
    assert interrupted == {path.name: path.read_bytes() for path in Path("out").glob("*.png")}
    assert len(interrupted) == 30
