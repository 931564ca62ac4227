"""The networks in PyTorch, their export, and training."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch", reason="PyTorch (extra [train]) is not installed")

from facegen import FacegenError, FormatError  # noqa: E402
from facegen.networks import dcgan as table  # noqa: E402
from facegen.train.data_parallel import Ranks, join_ranks  # noqa: E402
from facegen.train.faces import export, quality  # noqa: E402
from facegen.train.faces.dcgan import Discriminator, Generator  # noqa: E402
from facegen.train.faces.log import Reports  # noqa: E402
from facegen.train.faces.train import train  # noqa: E402
from facegen.train.faces.trainer import DcganSettings, Trainer  # noqa: E402

torch.set_num_threads(1)
ALONE = Ranks(0, 1, torch.device("cpu"))
TINY = DcganSettings(
    steps=4, batch=4, seed=1, width=2, penalty_every=2, augmentation="small", statistics=8
)


def discs(count: int) -> np.ndarray:
    """Discs of some colours on others: pictures that are quickly learnt, (n, 64, 64, 3) uint8."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[:64, :64]
    inside = ((y - 32) ** 2 + (x - 32) ** 2 < 20**2)[None, :, :, None]
    light = random.integers(150, 256, (count, 1, 1, 3))
    dark = random.integers(0, 90, (count, 1, 1, 3))
    return np.where(inside, light, dark).astype(np.uint8)


PIXELS = discs(10)


def reports(folder: Path, **options: object) -> Reports:
    small = {"log_every": 2, "sample_every": 4, "save_every": 2, "quality_pictures": 8}
    return Reports(folder, **(small | options))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def run_of_four_steps(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    folder = tmp_path_factory.mktemp("run")
    return folder, train(Trainer(PIXELS, TINY, ALONE), reports(folder))


def assert_same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> None:
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def test_the_generator_is_the_engines() -> None:
    weights = table.initial_weights(4)
    network = Generator().eval()
    network.load_canonical(weights)
    assert_same(network.canonical(), weights)
    assert list(network.canonical()) == list(table.DCGAN.shapes)
    assert export.check_against_engine(network, weights) <= 1e-5


def test_an_export_that_differs_is_noticed() -> None:
    weights = table.initial_weights(4)
    network = Generator()
    network.load_canonical(weights)
    changed = weights | {"tconv4.bias": weights["tconv4.bias"] + np.float32(1e-3)}
    with pytest.raises(FacegenError, match="differs from PyTorch's"):
        export.check_against_engine(network, changed)


def test_statistics_are_those_of_the_maps() -> None:
    network = Generator()
    network.norms[0].running_mean.fill_(7.0)
    export.refresh_statistics(network, 512, seed=3, batch=256)
    inputs = export.latents(512, torch.Generator().manual_seed(9))
    maps = network.proj(inputs).reshape(-1, 512)  # pixels, channels
    spread = maps.std(dim=0)
    error = (network.norms[0].running_mean - maps.mean(dim=0)).abs() / spread
    assert error.max() < 0.3  # of two samples of 8192 correlated pixels
    torch.testing.assert_close(network.norms[0].running_var, spread**2, rtol=0.2, atol=0)
    assert network.norms[0].momentum == 0.1


def test_the_discriminator_sees_a_batch_that_is_all_alike() -> None:
    torch.manual_seed(0)
    network = Discriminator(2)
    pictures = torch.rand(8, 3, 64, 64) * 2 - 1
    scores = network(pictures)
    assert scores.shape == (8,) and torch.isfinite(scores).all()
    alone = network(pictures[:1].expand(8, 3, 64, 64))
    torch.testing.assert_close(alone, alone[:1].expand(8))
    assert (alone[0] - scores[0]).abs() > 1e-6


def test_a_run(run_of_four_steps: tuple[Path, dict]) -> None:
    folder, weights = run_of_four_steps
    entries = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert [entry["step"] for entry in entries] == [2, 4]
    assert {"discriminator", "generator", "penalty", "pictures_per_second"} <= entries[0].keys()
    assert {"swd", "diversity", "nearest"} <= entries[1].keys()
    assert Image.open(folder / "samples-000004.png").size == (512, 512)
    faces = table.Generator(weights, device="cpu").generate([0, 1])
    assert np.isfinite(faces).all() and np.abs(faces[0] - faces[1]).max() > 1e-4


def test_a_run_is_a_function_of_its_seed(
    tmp_path: Path, run_of_four_steps: tuple[Path, dict]
) -> None:
    seldom = reports(tmp_path, log_every=3, sample_every=9, save_every=9)
    assert_same(train(Trainer(PIXELS, TINY, ALONE), seldom), run_of_four_steps[1])


def test_resuming_changes_nothing(tmp_path: Path, run_of_four_steps: tuple[Path, dict]) -> None:
    trainer = Trainer(PIXELS, TINY, ALONE)
    for _ in range(2):
        trainer.train_step()
    torch.save(trainer.state(), tmp_path / "checkpoint.pt")
    with pytest.raises(FacegenError, match="exists"):
        train(Trainer(PIXELS, TINY, ALONE), reports(tmp_path))
    resumed = train(Trainer(PIXELS, TINY, ALONE), reports(tmp_path), resume=True)
    assert_same(resumed, run_of_four_steps[1])
    steps = [json.loads(line)["step"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert steps == [4]


def test_resuming_something_else(tmp_path: Path, run_of_four_steps: tuple[Path, dict]) -> None:
    folder, _ = run_of_four_steps
    other = Trainer(PIXELS, replace(TINY, batch=2), ALONE)
    with pytest.raises(FormatError, match="was trained with batch 4, not 2"):
        train(other, reports(folder), resume=True)
    with pytest.raises(FormatError, match="was trained on 10 pictures, not 8"):
        train(Trainer(PIXELS[:8], TINY, ALONE), reports(folder), resume=True)
    with pytest.raises(FacegenError, match="no run to resume"):
        train(other, reports(tmp_path), resume=True)
    data = (folder / "checkpoint.pt").read_bytes()
    (tmp_path / "checkpoint.pt").write_bytes(data[: len(data) // 2])
    with pytest.raises(FormatError, match="not a valid checkpoint"):
        train(other, reports(tmp_path), resume=True)


@pytest.mark.parametrize("layers", [0, 2, 4])
def test_frozen_layers_stay(tmp_path: Path, layers: int) -> None:
    init = table.initial_weights(2)
    settings = replace(TINY, freeze=layers, steps=2)
    trained = train(Trainer(PIXELS, settings, ALONE, init), reports(tmp_path))
    parts = [("proj", "bn0")] + [(f"tconv{i}", f"bn{i}") for i in range(1, 4)]
    frozen = tuple(f"{name}." for part in parts[:layers] for name in part)
    for name, values in trained.items():
        assert np.array_equal(values, init[name]) == name.startswith(frozen), name


def test_divergence_ends_the_run(tmp_path: Path) -> None:
    trainer = Trainer(PIXELS, TINY, ALONE)
    with torch.no_grad():
        trainer.discriminator.score.weight.fill_(torch.nan)
    with pytest.raises(FacegenError, match="training diverged before step 2"):
        train(trainer, reports(tmp_path))


def test_settings_are_checked() -> None:
    with pytest.raises(FacegenError, match="augmentation: expected none, small"):
        DcganSettings(augmentation="strong")
    with pytest.raises(FacegenError, match="batch: expected a multiple of the 3 ranks"):
        Trainer(PIXELS, TINY, Ranks(0, 3, torch.device("cpu")))
    with pytest.raises(FacegenError, match="expected auto, cpu"), join_ranks("tpu"):
        pass


def test_ranks_that_cannot_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a scheduler's pod; PyTorch would wait there, or raise what says nothing to a user."""
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(FacegenError, match="FACEGEN_RANKS=off"), join_ranks("cpu"):
        pass
    monkeypatch.setenv("FACEGEN_RANKS", "off")
    with join_ranks("cpu") as ranks:
        assert (ranks.rank, ranks.count) == (0, 1)


def _train_as_rank(rank: int, count: int, port: int, folder: str) -> None:
    import os

    torch.set_num_threads(1)
    os.environ |= {
        "RANK": str(rank), "WORLD_SIZE": str(count), "LOCAL_RANK": str(rank),
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
    }
    with join_ranks("cpu") as ranks:
        trainer = Trainer(PIXELS, replace(TINY, steps=2), ranks)
        trainer.train_step()
        trainer.train_step()
        torch.save(trainer.generator.proj.weight.detach(), f"{folder}/{rank}.pt")


def test_ranks_train_one_network(tmp_path: Path) -> None:
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(_train_as_rank, (2, port, str(tmp_path)), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, Trainer(PIXELS, TINY, ALONE).generator.proj.weight)


def test_quality_of_alike_and_of_other_pictures() -> None:
    random = torch.Generator().manual_seed(0)
    coarse = torch.rand(64, 3, 8, 8, generator=random) * 2 - 1
    pictures = torch.nn.functional.interpolate(coarse, size=64, mode="bicubic")
    one, two = pictures[:32], pictures[32:]
    alike = quality.measure(one, two)
    noisy = quality.measure(one, two + 0.3 * torch.randn(two.shape, generator=random))
    collapsed = quality.measure(one, two[:1].expand(32, 3, 64, 64))
    copied = quality.measure(one, one)
    assert alike["swd64"] < noisy["swd64"] / 3
    assert 0.9 < alike["diversity"] < 1.1 and collapsed["diversity"] < 1e-3
    assert 0.9 < alike["nearest"] < 1.1 and copied["nearest"] < 0.01


def test_nearest() -> None:
    rows = torch.rand(50, 8, generator=torch.Generator().manual_seed(0))
    distance, index = quality.nearest(rows[[7, 42]] + 1e-3, rows, chunk=16)
    assert index.tolist() == [7, 42] and distance.max() < 0.01


@pytest.mark.slow
def test_training_learns(tmp_path: Path) -> None:
    settings = replace(TINY, steps=150, batch=8, width=8, augmentation="none", statistics=64)
    trainer = Trainer(discs(64), settings, ALONE)
    rarely = reports(tmp_path, log_every=25, sample_every=75, quality_pictures=64)
    train(trainer, rarely)
    entries = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    measured = [entry["swd16"] for entry in entries if "swd16" in entry]
    untrained = Trainer(discs(64), settings, ALONE)
    fake = untrained.samples(export.latents(64, torch.Generator().manual_seed(1)))
    real = torch.from_numpy(discs(64)).permute(0, 3, 1, 2) / 127.5 - 1
    before = quality.measure(real, fake)["swd16"]
    assert measured[-1] < before / 3
