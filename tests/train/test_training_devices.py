"""What each command trains on a GPU: a played one, where arrays grow stale, and a real one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from device_cases import NAMES, Case, Weights, all_cases, random_pixels

from facegen.errors import DeviceError, DeviceFailure
from facegen.files import state
from facegen.train import Reports
from facegen.train.faces.adversaries import Adversaries
from facegen.train.faces.settings import FaceSettings
from facegen.train.order import Order
from played_gpu import DEVICE, LOST, played_gpu

# In which step of all trainers the GPU is lost, from 0; of players, several make one of the loop.
LOST_AT = dict.fromkeys(NAMES, 2) | {"faces": 7, "pix2pix": 4}
LOSSES = {"loss", "discriminator", "penalised", "generator", "l1", "gan"}


@dataclass
class Ended:
    """A run that came to its end."""

    weights: Weights
    found: object
    entries: list[dict[str, Any]]  # of the log, but for its times
    pictures: dict[str, bytes]


def run(
    case: Case, device: str, folder: Path, resume: bool = False, save_seconds: float = 300.0
) -> Ended:
    weights, found = case(device, Reports(folder, log_every=1, save_seconds=save_seconds), resume)
    entries = list(state.read_lines(folder / "log.jsonl"))
    for entry in entries:
        for name in ("seconds", "images_per_second", "left"):
            entry.pop(name, None)
    pictures = {path.name: path.read_bytes() for path in folder.glob("*.png")}
    return Ended(weights, found, entries, pictures)


def assert_same(a: Ended, b: Ended) -> None:
    assert a.entries == b.entries
    assert a.weights.keys() == b.weights.keys()
    for name, array in a.weights.items():
        np.testing.assert_array_equal(array, b.weights[name], err_msg=name)
    assert a.found == b.found and a.pictures == b.pictures


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Case]:
    return all_cases(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def on_the_cpu(
    cases: dict[str, Case], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Ended]:
    """Each case's run, when it is asked for."""

    class Runs(dict[str, Ended]):
        def __missing__(self, name: str) -> Ended:
            return self.setdefault(name, run(cases[name], "cpu", tmp_path_factory.mktemp("run")))

    return Runs()


def test_all_cases_are_named(cases: dict[str, Case]) -> None:
    assert tuple(cases) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_no_array_is_read_that_is_stale(
    cases: dict[str, Case], on_the_cpu: dict[str, Ended], name: str, tmp_path: Path
) -> None:
    """Of weights, samples, measurements and logs: all have the bits of the CPU's run.

    A checkpoint brings arrays up to date, too: the second run writes none.
    """
    with played_gpu() as gpu:
        found = run(cases[name], DEVICE, tmp_path)
    assert gpu.steps >= found.entries[-1]["step"] > 2
    assert gpu.programs or name == "colorizer", "what is measured was not computed there"
    assert_same(found, on_the_cpu[name])
    with played_gpu():
        weights, measured = cases[name](DEVICE, Reports(), False)
    assert_same(Ended(weights, measured, found.entries, found.pictures), found)


@pytest.mark.parametrize("name", NAMES)
def test_a_lost_gpu_leaves_the_checkpoint(
    cases: dict[str, Case], on_the_cpu: dict[str, Ended], name: str, tmp_path: Path
) -> None:
    """The run goes on from there on another device; here that has the same bits."""
    kept = r"; the state of step \d is kept; --resume goes on from there$"
    with played_gpu(lost_at=LOST_AT[name]), pytest.raises(DeviceFailure, match=kept) as raised:
        run(cases[name], DEVICE, tmp_path, save_seconds=0)
    assert str(raised.value).startswith(LOST) and "\n" not in str(raised.value)
    assert_same(run(cases[name], "cpu", tmp_path, resume=True), on_the_cpu[name])


@pytest.mark.parametrize("name", NAMES)
def test_a_gpu_goes_on_with_a_run_of_the_cpu(
    cases: dict[str, Case], on_the_cpu: dict[str, Ended], name: str, tmp_path: Path
) -> None:
    class Stop(Exception):
        pass

    def stop(entry: object) -> None:
        if entry["step"] == 2:  # type: ignore[index]
            raise Stop

    with pytest.raises(Stop):
        cases[name]("cpu", Reports(tmp_path, log_every=1, save_seconds=0, entry=stop), False)
    with played_gpu():
        found = run(cases[name], DEVICE, tmp_path, resume=True)
    assert_same(found, on_the_cpu[name])


def test_two_gpus_are_one_too_many(cases: dict[str, Case], tmp_path: Path) -> None:
    with played_gpu(gpus=2), pytest.raises(DeviceError, match="takes one GPU, not cuda:0,1"):
        run(cases["digits"], "cuda:0,1", tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.cuda
@pytest.mark.parametrize("name", NAMES)
def test_losses_on_a_gpu_are_near_the_cpus(
    cases: dict[str, Case], on_the_cpu: dict[str, Ended], name: str, tmp_path: Path
) -> None:
    """Of the first step: products there are 2^-16 off; later ones part where a ReLU does.

    A penalty of differences of scores is of squares of 1e-2: so much larger is what is off.
    """
    found = run(cases[name], "cuda", tmp_path)
    expected = on_the_cpu[name].entries
    assert [entry["step"] for entry in found.entries] == [entry["step"] for entry in expected]
    numbers = [value for entry in found.entries for value in entry.values()]
    assert np.isfinite(numbers).all()
    assert all(np.isfinite(array).all() for array in found.weights.values())
    first, near = (next(e for e in each if e["step"] == 1) for each in (found.entries, expected))
    assert LOSSES & near.keys()
    for loss in LOSSES & near.keys():
        assert abs(first[loss] - near[loss]) <= 0.02 * abs(near[loss]), loss


@pytest.mark.cuda
def test_faces_in_sixteen_bits_begin_as_in_float32() -> None:
    """Steps of both kinds share weights; rounding to bfloat16 moves the first losses by little."""
    pixels = random_pixels(32, 64, 64, 3)
    order = Order(32, 16, 0)
    found = {}
    for precision in ("float32", "bfloat16"):
        settings = FaceSettings(batch=16, width=32, penalty_every=2, precision=precision)
        adversaries = Adversaries(pixels, settings, device="cuda")
        # Steps 0 and 2 have penalties, which are float32's.
        losses = [adversaries.step(adversaries.read(order(step))) for step in range(3)]
        assert all(np.isfinite(each).all() for step in losses for each in step.values())
        found[precision] = losses
    exact, rounded = found["float32"], found["bfloat16"]
    for name in ("generator", "penalised"):
        near, got = np.mean(exact[0][name]), np.mean(rounded[0][name])
        assert got != near
        assert abs(got - near) <= 0.05 * abs(near), name
