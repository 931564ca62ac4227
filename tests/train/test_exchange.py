"""Asynchronous ranks: what they learn, which batches they see, and what is left when one ends."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from exchange_job import examples
from ranks_job import discriminator

from facegen import train
from facegen.errors import FacegenError
from facegen.networks import lenet
from facegen.train import ranks as train_ranks
from parallel.launchers import WHY_NO_MPI, run_ranks

JOB = Path(__file__).parent / "exchange_job.py"
STEPS, LATE = 60, 40  # the job's
needs_mpi = pytest.mark.skipif(bool(WHY_NO_MPI), reason=WHY_NO_MPI)


def run(ranks: int, mode: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return run_ranks("mpirun", ranks, [JOB, mode, folder], folder)


def entries(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("network", ["lenet", "discriminator"])
@pytest.mark.parametrize("clip_norm", [None, 0.01])
def test_what_was_found_is_applied_as_a_step_is(network: str, clip_norm: float | None) -> None:
    """By another trainer, which has seen no batch, to the bit: statistics of norms too."""
    graph = lenet.graph() if network == "lenet" else discriminator()
    loss = "cross_entropy" if network == "lenet" else "binary_cross_entropy"
    adam = train.Adam(rate=lambda step: 1e-3 / (1 + step), average=0.9, clip_norm=clip_norm)
    one, finder, applier = (train.Trainer(graph, loss, adam, threads=1, seed=3) for _ in range(3))
    random = np.random.default_rng(0)
    for step in range(3):
        x = random.standard_normal((11, *graph.inputs[0].shape)).astype(np.float32)
        y = random.integers(0, 10, 11) if network == "lenet" else random.random(11)
        finder.load_state_dict(applier.state_dict())
        losses, found = finder.find(x, y)
        assert found.shape == (applier.found_floats,)
        applier.apply(found, len(x))
        np.testing.assert_array_equal(losses, one.step(x, y))
        assert applier.gradient_length == one.gradient_length and applier.steps == step + 1
        for name, array in one.state_dict().items():
            assert applier.state_dict()[name].tobytes() == array.tobytes(), name


@pytest.mark.parametrize("place", [0, -1])
def test_what_is_applied_must_fit_and_be_finite(place: int) -> None:
    trainer = train.Trainer(discriminator(), "binary_cross_entropy", train.Adam(rate=1e-3))
    before = trainer.state_dict()
    found = np.zeros(trainer.found_floats, np.float32)
    with pytest.raises(ValueError, match=f"found must have {len(found)} values"):
        trainer.apply(found[1:], 8)
    with pytest.raises(TypeError, match="float32"):
        trainer.apply(found.astype(np.float64), 8)
    with pytest.raises(ValueError, match="at least 1 image"):
        trainer.apply(found, 0)
    found[place] = np.nan
    with pytest.raises(train.Diverged, match="step 0 of discriminator"):
        trainer.apply(found, 8)
    for name, array in before.items():
        np.testing.assert_array_equal(trainer.state_dict()[name], array)


@needs_mpi
@pytest.mark.parametrize(("ranks", "mode"), [(2, "plain"), (4, "plain"), (3, "norms")])
def test_it_converges_on_every_batch_once(tmp_path: Path, ranks: int, mode: str) -> None:
    result = run(ranks, mode, tmp_path)
    assert result.returncode == 0, result.stderr
    log = entries(tmp_path)
    assert [entry["step"] for entry in log] == list(range(10, STEPS + 1, 10))
    assert log[-1]["loss"] < 0.5 * log[0]["loss"]
    assert 0 <= log[-1]["staleness"] < 2 * ranks
    end = dict(np.load(tmp_path / "end.npz"))
    assert sorted(end.pop("numbers")) == list(range(STEPS))
    assert end[":steps"] == STEPS and all(np.isfinite(array).all() for array in end.values())
    for rank in range(1, ranks):  # all have what rank 0 has
        other = dict(np.load(tmp_path / f"rank-{rank}.npz"))
        for name, array in end.items():
            assert other[name].tobytes() == array.tobytes(), name


@needs_mpi
def test_one_worker_is_one_process(tmp_path: Path) -> None:
    """Its gradients are of the newest weights: the same arithmetic in the same order."""
    assert run(2, "norms", tmp_path).returncode == 0
    one = train.Trainer(
        discriminator(), "binary_cross_entropy", train.Adam(rate=1e-3), threads=1, seed=3
    )
    order = train.Order(320, 16, seed=1)
    for step in range(STEPS):
        one.step(*examples(one.graph, order(step)))
    end = np.load(tmp_path / "end.npz")
    for name, array in one.state_dict().items():
        assert end[name].tobytes() == array.tobytes(), name


@needs_mpi
@pytest.mark.parametrize(
    ("mode", "says"),
    [
        ("fail 1", "facegen: error: rank 1: the disk is full\n"),
        ("nan 1", "facegen: error: rank 1: training diverged: step"),
        ("stop 1", "interrupted\n"),
        ("kill 1", ""),
    ],
)
def test_a_rank_that_ends_ends_the_run_and_fewer_go_on(
    tmp_path: Path, mode: str, says: str
) -> None:
    result = run(3, mode, tmp_path)
    assert result.returncode != 0 and result.stderr.count(says) >= 1
    assert "Traceback" not in result.stderr or mode in ("fail 1", "nan 1")
    arrays = safetensors.numpy.load_file(tmp_path / "checkpoint.safetensors")
    steps = int(arrays["network/:steps"])
    assert LATE - 5 < steps < STEPS  # saved after every step
    result = run(2, "resume", tmp_path)
    assert result.returncode == 0, result.stderr
    end = np.load(tmp_path / "end.npz")
    assert end[":steps"] == STEPS and sorted(end["numbers"]) == list(range(steps, STEPS))
    assert [entry["step"] for entry in entries(tmp_path)][-2:] == [STEPS - 10, STEPS]


def test_one_process_has_nobody_to_ask() -> None:
    with (
        pytest.raises(FacegenError, match="asynchronous training takes at least 2 ranks"),
        train_ranks.join({}, asynchronous=True),
    ):
        pass
