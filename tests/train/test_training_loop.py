"""The loop: runs that stop and go on, and what may go wrong on the way."""

from __future__ import annotations

import doctest
import errno
import hashlib
import itertools
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from facegen import nn, train
from facegen.errors import FacegenError, FormatError
from facegen.nn import Shape
from facegen.train import checkpoint, order, pace
from facegen.train.ahead import read_ahead
from facegen.train.log import Means

RANDOM = np.random.default_rng(0)
CHILD = Path(__file__).parent / "loop_job.py"


def small_graph(name: str = "small") -> nn.Graph:
    graph = nn.Graph(name)
    x = graph.add("a", nn.Linear(3, 8), graph.input("x", Shape(1, 1, 3)))
    graph.output(graph.add("b", nn.Linear(8, 2), graph.add("relu", nn.ReLU(), x)))
    return graph


def make(
    reports: train.Reports, *, steps: int = 10, two: bool = False, **options
) -> tuple[train.Loop, dict[str, train.Trainer]]:
    """A run of one trainer, or of two that take turns."""
    cycle = train.Order(samples=12, batch=5, seed=3)
    names = ["a", "b"] if two else ["a"]
    trainers = {
        name: train.Trainer(
            small_graph(name), "l2", train.Adam(rate=1e-2, average=0.9), threads=1,
            dropout={"relu": 0.3}, seed=i,
        )
        for i, name in enumerate(names)
    }  # fmt: skip

    def read(step: int) -> np.ndarray:
        batch = cycle(step)
        return batch.samples[:, None, None, None] / 12 + batch.random.random((1, 1, 1, 3))

    def step(x: np.ndarray) -> Mapping[str, np.ndarray]:
        return {name: trainer.step(x, 1.0) for name, trainer in trainers.items()}

    loop = train.Loop(read, step, trainers, steps, 5, reports=reports, epoch=3, **options)
    return loop, trainers


def states(trainers: Mapping[str, train.Trainer]) -> dict[str, np.ndarray]:
    return {
        f"{name}/{key}": array
        for name, trainer in trainers.items()
        for key, array in trainer.state_dict().items()
    }


def digest(trainers: Mapping[str, train.Trainer]) -> str:
    bits = hashlib.sha256()
    for name, array in sorted(states(trainers).items()):
        bits.update(name.encode() + array.tobytes())
    return bits.hexdigest()


def assert_same(found: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> None:
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


def lines(folder: Path) -> list[dict]:
    """The log, without what depends on time."""
    entries = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    timing = {"seconds", "images_per_second", "left"}
    return [{k: v for k, v in entry.items() if k not in timing} for entry in entries]


def test_examples() -> None:
    for module in (order, pace):
        found = doctest.testmod(module)
        assert found.attempted > 0 and found.failed == 0


@pytest.mark.parametrize("stop", [1, 4, 9, 10])
def test_a_run_that_was_stopped_is_the_one_that_was_not(tmp_path: Path, stop: int) -> None:
    """Weights, moments and log, whenever it stops: here by an error in the step after."""
    whole, expected = make(train.Reports(tmp_path / "whole", log_every=4), two=True)
    whole.run()

    reports = train.Reports(tmp_path / "stopped", log_every=4, save_seconds=0)
    first, _ = make(reports, two=True)
    do, done = first.step, []

    def fail(x: np.ndarray) -> Mapping[str, np.ndarray]:
        if len(done) == stop:
            raise FacegenError("enough")
        done.append(x)
        return do(x)

    first.step = fail
    if stop < 10:
        with pytest.raises(FacegenError, match="enough"):
            first.run()
    else:
        first.run()
    with pytest.raises(FacegenError, match="exists .--resume goes on from there"):
        make(reports, two=True)[0].run()
    second, trainers = make(reports, two=True)
    second.run(resume=True)
    assert second.place.step == 10
    assert_same(states(trainers), states(expected))
    assert lines(tmp_path / "stopped") == lines(tmp_path / "whole")
    assert [entry["step"] for entry in lines(tmp_path / "whole")] == [4, 8, 10]
    make(reports, two=True)[0].run(overwrite=True)
    assert lines(tmp_path / "stopped") == lines(tmp_path / "whole")
    train.finished(reports)
    with pytest.raises(FacegenError, match="there is no run to resume"):
        make(reports, two=True)[0].run(resume=True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_the_state(tmp_path: Path, number: signal.Signals) -> None:
    whole, expected = make(train.Reports(), steps=40)
    whole.run()
    child = subprocess.Popen(
        [sys.executable, str(CHILD), str(tmp_path / "run"), "0.05"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert child.stdout is not None
    child.stdout.readline()  # the first entry of the log
    child.send_signal(number)
    _, said = child.communicate(timeout=60)
    assert child.returncode == (130 if number == signal.SIGINT else 143)
    assert "stopping after this step" in said and "--resume goes on from there" in said
    assert "Traceback" not in said
    step = int(said.split("the state after step ")[1].split(":")[0])
    assert 2 <= step < 40
    again = subprocess.run(
        [sys.executable, str(CHILD), str(tmp_path / "run"), "0", "--resume"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert again.returncode == 0, again.stderr
    assert again.stdout.splitlines()[-1] == digest(expected)


def test_numbers_that_are_not_finite_stop_it(tmp_path: Path) -> None:
    loop, trainers = make(train.Reports(tmp_path, save_seconds=0))
    read = loop.read
    loop.read = lambda step: read(step) * (np.nan if step == 6 else 1)
    with pytest.raises(FacegenError, match="step 6 of a: input 0.*state of step 6 is kept"):
        loop.run()
    before = states(trainers)
    again, resumed = make(train.Reports(tmp_path), steps=6)
    again.run(resume=True)
    assert_same(states(resumed), before)


def test_a_full_disk_leaves_the_last_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, expected = make(train.Reports())
    whole.run()
    said: list[str] = []
    loop, trainers = make(train.Reports(tmp_path, save_seconds=0, warn=said.append))
    do = loop.step

    def step(x: np.ndarray) -> Mapping[str, np.ndarray]:
        if trainers["a"].steps == 4:
            monkeypatch.setattr(checkpoint.AtomicFile, "synchronize", full)
        return do(x)

    def full(file: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(tmp_path))

    loop.step = step
    loop.run()
    assert len(said) == 6 and all("No space left on device" in line for line in said)
    assert_same(states(trainers), states(expected))
    assert sorted(os.listdir(tmp_path)) == ["checkpoint.safetensors", "log.jsonl"]
    monkeypatch.undo()
    again, resumed = make(train.Reports(tmp_path))
    again.run(resume=True)
    assert_same(states(resumed), states(expected))


@pytest.mark.parametrize("room", [1, 100, 2000])
def test_a_checkpoint_that_is_cut_short(tmp_path: Path, room: int) -> None:
    """The system's own limit of a file's size, met in the middle of it."""
    said: list[str] = []
    loop, trainers = make(train.Reports(tmp_path, save_seconds=0, log_every=99, warn=said.append))
    do, limits = loop.step, resource.getrlimit(resource.RLIMIT_FSIZE)

    def step(x: np.ndarray) -> Mapping[str, np.ndarray]:
        if trainers["a"].steps == 4:
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
        return do(x)

    loop.step = step
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        loop.run()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert sum("checkpoint.safetensors: File too large" in line for line in said) == 6
    assert sorted(os.listdir(tmp_path)) == ["checkpoint.safetensors", "log.jsonl"]
    again, resumed = make(train.Reports(tmp_path))
    again.run(resume=True)
    assert_same(states(resumed), states(trainers))


def test_memory_that_is_really_short() -> None:
    """A process that may take a quarter of what a batch needs."""
    done = subprocess.run(
        [sys.executable, "-c", _SHORT_OF_MEMORY], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    *said, parts = done.stdout.split("\n")[:-1]
    assert 2 <= int(parts) <= 64 and said[-1] == (
        f"memory is short: batches of 2,048 in {parts} parts"
    )


_SHORT_OF_MEMORY = """
import os, resource
import numpy as np
from facegen import train
from facegen.networks import lenet
trainer = train.Trainer(lenet.graph(), "cross_entropy", train.SGD(rate=0.1), threads=2)
images, labels = np.zeros((2048, 28, 28, 1), np.float32), np.zeros(2048, int)
trainer.step(images[:8], labels[:8])
need = 256 * (trainer.memory_bytes - 4 * trainer.graph.parameter_count)
here = int(open("/proc/self/statm").read().split()[0]) * os.sysconf("SC_PAGESIZE")
resource.setrlimit(resource.RLIMIT_AS, (here + need // 4, -1))
step = train.StepInParts(trainer, print)
step(images, labels)
print(step.parts)
"""


def test_hooks(tmp_path: Path) -> None:
    """They come after their steps and after the last; what they return is in the log."""
    done: list[int] = []
    entries: list[Mapping] = []

    def measure(step: int) -> dict[str, int]:
        done.append(step)
        return {"quality": step}

    def spoiled(step: int) -> None:
        raise OSError(errno.ENOSPC, "no room", "picture.png")

    said: list[str] = []
    reports = train.Reports(tmp_path, log_every=5, entry=entries.append, warn=said.append)
    loop, _ = make(reports, hooks=[train.Every(3, measure), train.Every(7, spoiled)])
    loop.run()
    assert done == [3, 6, 9, 10] and [entry["step"] for entry in entries] == [3, 5, 6, 7, 9, 10]
    assert [entry.get("quality") for entry in entries] == [3, None, 6, None, 9, 10]
    assert said == ["picture.png: no room; training goes on"] * 2
    assert entries[-1]["epoch"] == 3.333 and entries[-1]["a"] > 0


def test_several_steps_a_call_are_the_same_run(tmp_path: Path) -> None:
    """Calls end where something is due: a hook, the log, the last step; the files are the same."""
    states_of, calls = {}, []
    for name in ("one", "several"):
        reports = train.Reports(tmp_path / name, log_every=6)
        loop, trainers = make(reports, steps=20, hooks=[train.Every(8, lambda step: {"at": step})])
        step = train.StepInParts(trainers["a"])

        def several(items: Sequence[np.ndarray], step=step) -> list[dict[str, np.ndarray]]:
            calls.append([len(x) for x in items])
            found: list[np.ndarray] = []
            for size, group in itertools.groupby(items, len):
                x = np.concatenate(list(group))
                held = partial(step.trainer.hold, x, np.ones((len(x), 1, 1, 2)))
                found += step.several(held, np.arange(len(x)).reshape(-1, size), lambda i: 1 / 0)
            return [{"a": losses} for losses in found]

        if name == "several":
            loop.several = several
        loop.run()
        states_of[name] = states(trainers)
    assert_same(states_of["several"], states_of["one"])
    assert lines(tmp_path / "several") == lines(tmp_path / "one")
    # Of 12 samples the third batch of a pass has 2.
    sizes = [5, 5, 2] * 7
    ends = [0, 6, 8, 12, 16, 18, 20]
    assert calls == [sizes[a:b] for a, b in itertools.pairwise(ends)]
    files = [(tmp_path / name / "checkpoint.safetensors") for name in ("one", "several")]
    arrays = [safetensors.numpy.load_file(file) for file in files]
    assert_same(arrays[1], arrays[0])


def test_several_steps_where_memory_is_short() -> None:
    whole, short = (make(train.SILENT)[1]["a"] for _ in range(2))
    x, y = RANDOM.random((12, 1, 1, 3)), np.ones((12, 1, 1, 2))
    run = short.run

    def refused(held: train.Held, rows: np.ndarray, parts: int) -> np.ndarray:
        if len(rows) > 1:
            raise MemoryError
        return run(held, rows, parts)

    short.run = refused  # type: ignore[method-assign]
    rows, step = np.arange(12).reshape(3, 4), train.StepInParts(short)
    found = step.several(lambda: short.hold(x, y), rows, lambda i: step(x[rows[i]], y[rows[i]]))
    for some, losses in zip(rows, found, strict=True):
        np.testing.assert_array_equal(losses, whole.step(x[some], y[some]))
    short.ranks = object()  # which may have had the memory
    with pytest.raises(MemoryError):
        step.several(lambda: short.hold(x, y), rows, lambda i: 1 / 0)


def test_a_hook_ends_the_run(tmp_path: Path) -> None:
    notes: list[str] = []

    def judge(step: int) -> None:
        if step == 6:
            raise train.Enough("good enough", {"good": 1.0})

    reports = train.Reports(tmp_path, note=notes.append)
    loop, trainers = make(reports, hooks=[train.Every(2, judge)])
    loop.run()
    assert loop.place.step == 6 and "good enough" in notes
    assert lines(tmp_path)[-1]["good"] == 1.0
    again, resumed = make(reports, hooks=[train.Every(2, judge)])
    again.run(resume=True)  # there is nothing left to do
    assert_same(states(resumed), states(trainers))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-9]), "checkpoint.safetensors: "),
        (lambda path: path.write_bytes(b""), "checkpoint.safetensors: "),
        (lambda path: make(train.Reports(path.parent))[1]["a"].save(path), "expected format"),
    ],
)
def test_checkpoints_that_do_not_fit(tmp_path: Path, change, message: str) -> None:
    make(train.Reports(tmp_path), settings={"rate": 0.1})[0].run()
    for settings, said in (({"rate": 0.2}, "rate 0.1, not 0.2"), ({}, "rate 0.1, not None")):
        with pytest.raises(FormatError, match=f"was trained with {said}"):
            make(train.Reports(tmp_path), settings=settings)[0].run(resume=True)
    with pytest.raises(FormatError, match="b: the state of b lacks"):
        make(train.Reports(tmp_path), settings={"rate": 0.1}, two=True)[0].run(resume=True)
    change(tmp_path / "checkpoint.safetensors")
    with pytest.raises(FormatError, match=message):
        make(train.Reports(tmp_path), settings={"rate": 0.1})[0].run(resume=True)


def test_a_checkpoint_behind_the_last_step(tmp_path: Path) -> None:
    """What an edited one says, or one of a run of other steps that its settings do not tell."""
    make(train.Reports(tmp_path), steps=10)[0].run()
    with pytest.raises(FormatError, match="its step is 10, of a run of 9$"):
        make(train.Reports(tmp_path), steps=9)[0].run(resume=True)


def test_more_steps_than_can_be_counted() -> None:
    with pytest.raises(FacegenError, match="expected at most .* steps, not 1,000,000,000,0"):
        make(train.SILENT, steps=10**21)


def test_memory_that_is_short() -> None:
    trainer = train.Trainer(small_graph(), "l2", train.SGD(rate=0.1), threads=1)
    whole = train.Trainer(small_graph(), "l2", train.SGD(rate=0.1), threads=1)
    x = np.random.default_rng(0).random((40, 1, 1, 3))
    asked, do, said = [], trainer.step, []

    def step(x: np.ndarray, y: np.ndarray, parts: int = 1) -> np.ndarray:
        asked.append(parts)
        if parts < 3:
            raise MemoryError
        return do(x, y, parts)

    trainer.step = step  # type: ignore[method-assign]
    in_parts = train.StepInParts(trainer, said.append)
    for _ in range(2):
        np.testing.assert_array_equal(in_parts(x, np.ones(40)), whole.step(x, 1.0))
    assert asked == [1, 2, 4, 4] and said[-1] == "memory is short: batches of 40 in 4 parts"
    with pytest.raises(MemoryError):
        in_parts(x[:16], np.ones(16))


def test_reading_ahead_is_bounded_and_in_order() -> None:
    lock, running, given = threading.Lock(), [0], [0]

    def read(step: int) -> int:
        with lock:
            running[0] += 1
            assert running[0] - given[0] <= 4
        time.sleep(0.001 * (step % 3))
        return step

    for expected, found in enumerate(read_ahead(read, range(30), ahead=3, workers=3)):
        assert found == expected
        with lock:
            given[0] += 1
    items = read_ahead(read, range(30, 40), ahead=3)
    next(items)
    items.close()
    time.sleep(0.02)
    assert running[0] <= 34
    with pytest.raises(ZeroDivisionError):
        list(read_ahead(lambda step: 1 // (3 - step), range(9)))


def test_estimates() -> None:
    now = [0.0]
    clock = pace.Pace(10, 110, 8, 50.0, lambda: now[0])
    assert clock.estimate(10) is None
    now[0] = 2.0
    assert clock.estimate(11) == pytest.approx(198.0) and clock.estimate(11) is None
    entry = clock.entry(11)
    assert entry == {"seconds": 52.0, "images_per_second": 4.0, "left": 198.0}
    assert pace.is_long(90_000) and not pace.is_long(80_000)


def test_a_run_of_days_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    loop, _ = make(train.Reports(warn=said.append), steps=3)
    monkeypatch.setattr(pace, "_ENOUGH_SECONDS", 0.0)
    monkeypatch.setattr(pace.Pace, "left", lambda self, step: 3e5)
    loop.run()
    assert said == ["2 steps more take about 3.5 days; Ctrl-C saves the state, --resume goes on"]


def test_means_weigh_images_alike() -> None:
    means = Means()
    means.add({"loss": np.array([1.0, 2.0, 3.0])})
    means.add({"loss": np.array([10.0]), "other": 5})
    assert means.take() == {"loss": 4.0, "other": 5.0} and means.take() == {}
    with pytest.raises(ValueError, match="the sum and the number of 'loss'"):
        means.load_state_dict({"loss": np.zeros(3)})


def test_shapes_of_a_checkpoint_are_checked_before_its_arrays_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reports = train.Reports(tmp_path)
    loop, _ = make(reports)
    loop.run()
    path = tmp_path / "checkpoint.safetensors"
    header, arrays = _parts_of(path)
    for name, expected in {
        "a/a.weight": r"'a/a.weight' must have shape \(8, 3\), not \(4000, 8, 1, 1, 3\)",
        "log/noise": r"'log/noise' has shape \(4000, 8, 1, 1, 3\), and nothing of this run is so",
    }.items():
        large = np.zeros((4000, 8, 1, 1, 3), np.float32)
        path.write_bytes(safetensors.numpy.save({**arrays, name: large}, header))
        again, trainers = make(reports)
        before = states(trainers)
        monkeypatch.setattr("facegen.weights.safetensors._read_stored", _read_nothing)
        with pytest.raises(FormatError, match=expected):
            again.run(resume=True)
        assert_same(states(trainers), before)


def _parts_of(path: Path) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    with safetensors.safe_open(path, "np") as file:
        return file.metadata(), safetensors.numpy.load_file(path)


def _read_nothing(*arguments: object) -> None:
    raise AssertionError("an array was read")
