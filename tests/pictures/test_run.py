"""Runs over many pictures: counts, failures, kills, full disks, bounded memory."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from runs import go, make, read, statuses

from facegen import FacegenError
from facegen.errors import DeviceFailure
from facegen.photos.photo import Photo
from facegen.pictures import run as run_module
from facegen.pictures.items import Item
from facegen.pictures.manifest import Manifest
from facegen.pictures.memory import PixelBudget
from facegen.pictures.report import Outcome, Report
from facegen.pictures.results import FolderResults, OneResult
from facegen.pictures.run import run
from facegen.pictures.task import Made, Task
from files import negative, pixels, png


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


def test_links_and_pipes_do_not_end_the_run() -> None:
    items = make(4)
    for i in (0, 1, 2):
        Path(f"p{i}.png").unlink()
    Path("p0.png").symlink_to("nowhere.png")
    Path("p1.png").symlink_to("p1.png")
    os.mkfifo("p2.png")
    report = go(items)
    assert statuses(report) == "fffd"
    assert [outcome.error for outcome in report.outcomes[:3]] == [
        os.strerror(errno.ENOENT),
        os.strerror(errno.ELOOP),
        "expected a file, found a pipe ('-' reads standard input)",
    ]


def test_a_shells_pipe_is_read() -> None:
    read_end, write_end = os.pipe()
    with os.fdopen(write_end, "wb") as file:
        file.write(png(5, 7))
    try:
        item = Item(f"/dev/fd/{read_end}", ("out/a.png",))
        assert statuses(go([item])) == "d" and read("out/a.png").shape == (5, 7, 3)
    finally:
        os.close(read_end)


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


@pytest.mark.parametrize("part", ["pixels", "decode", "prepare", "compute", "finish"])
@pytest.mark.parametrize("error", [ZeroDivisionError("no\nluck"), AssertionError(), KeyError("x")])
def test_whatever_is_raised_fails_one_picture(part: str, error: Exception) -> None:
    """In a batch as well: the others of it are computed without the bad one."""
    bad = Path("p4.png")
    whole, items = negative(batch=4), make(11)
    data, shape = bad.read_bytes(), pixels(9, 7).shape

    def raise_for(value: object) -> None:
        values = value if isinstance(value, list) else [value]
        if any(v == data if isinstance(v, bytes) else v.shape == shape for v in values):
            raise error

    def guarded(function: Callable[..., object]) -> Callable[..., object]:
        def call(value: object, *rest: object) -> object:
            raise_for(value.pixels if isinstance(value, Photo) else value)
            return function(value, *rest)

        return call

    task = replace(whole, **{part: guarded(getattr(whole, part))})
    before = threading.active_count()
    report = go(items, task)
    assert statuses(report) == "ddddfdddddd" and report.exit_code == 1
    reason = report.outcomes[4].error
    assert reason is not None and reason.startswith(type(error).__name__)
    assert len(reason.splitlines()) == 1
    for i in (3, 5):  # of its batch
        np.testing.assert_array_equal(read(f"out/p{i}.png"), 255 - pixels(5 + i, 7, seed=i))
    assert not Path("out/p4.png").exists() and threading.active_count() == before
    assert statuses(go(items)) == "ssss" + "d" + "ssssss"  # the rerun does what is missing


def test_too_few_results_of_a_batch_fail_its_pictures() -> None:
    whole = negative(batch=4)
    report = go(make(3), replace(whole, compute=lambda values: []))
    assert statuses(report) == "fff"


@pytest.mark.parametrize(
    "error", [DeviceFailure("the device failed"), OSError(errno.ENOSPC, "full"), SystemExit(3)]
)
@pytest.mark.parametrize("part", ["prepare", "compute", "finish"])
def test_a_device_or_a_machine_that_fails_ends_the_run(part: str, error: BaseException) -> None:
    def fail(*values: object) -> object:
        raise error

    before = threading.active_count()
    with pytest.raises(type(error)):
        go(make(9), replace(negative(), **{part: fail}))
    assert threading.active_count() == before


def test_a_device_that_fails_where_a_batch_is_done_again_ends_the_run() -> None:
    def compute(values: list[np.ndarray]) -> list[np.ndarray]:
        if len(values) > 1:
            raise ValueError
        raise DeviceFailure("the device failed")

    task = replace(negative(batch=9), compute=compute)
    with pytest.raises(DeviceFailure, match="the device failed"):
        go(make(40), task)


def test_who_is_told_may_fail() -> None:
    def tell(outcome: Outcome) -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        run(make(9), negative(), FolderResults("out", False), tell)


def test_facts_without_results() -> None:
    Path("a.png").write_bytes(png())
    task = Task({}, lambda photo: photo, lambda v: v, lambda p, v, o: Made(facts={"class": 3}))
    report = run([Item("a.png", ())], task, OneResult(None, overwrite=False))
    assert statuses(report) == "d" and report.outcomes[0].facts == {"class": 3}


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
        ("d.heic", "e.txt"),
    )
    assert report.as_json({"command": "negative"}) == {
        "command": "negative",
        "counts": {"in": 3, "done": 1, "failed": 1, "skipped": 1, "passed_over": 2},
        "seconds": 1.5,
        "items": [
            {"source": "a", "status": "done", "outputs": ["o/a"], "size": [1, 2]},
            {"source": "b", "status": "failed", "error": "no"},
            {"source": "c", "status": "skipped", "outputs": ["o/c"]},
        ],
        "passed_over": ["d.heic", "e.txt"],
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
