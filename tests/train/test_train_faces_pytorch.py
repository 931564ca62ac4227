"""Faces trained by PyTorch: the networks there, their export, and training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facegen.files import state

torch = pytest.importorskip("torch", reason="PyTorch (extra [torch]) is not installed")

from facegen import FacegenError, FormatError  # noqa: E402
from facegen.engine import Runner  # noqa: E402
from facegen.networks import dcgan as table  # noqa: E402
from facegen.nn import lower  # noqa: E402
from facegen.train import Reports  # noqa: E402
from facegen.train.faces import discriminator  # noqa: E402
from facegen.train.faces.data import to_values  # noqa: E402
from facegen.train.faces.pytorch import export  # noqa: E402
from facegen.train.faces.pytorch.adversaries import TorchAdversaries  # noqa: E402
from facegen.train.faces.pytorch.batches import Batches  # noqa: E402
from facegen.train.faces.pytorch.dcgan import Discriminator, Generator  # noqa: E402
from facegen.train.faces.pytorch.ranks import Ranks, join_ranks  # noqa: E402
from facegen.train.faces.run import train  # noqa: E402
from facegen.train.faces.settings import FaceSettings  # noqa: E402
from facegen.train.order import Order  # noqa: E402

torch.set_num_threads(1)
ALONE = Ranks(0, 1, torch.device("cpu"))
TINY = FaceSettings(
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


def run(
    settings: FaceSettings = TINY,
    folder: Path | None = None,
    pixels: np.ndarray = PIXELS,
    init: dict[str, np.ndarray] | None = None,
    **options: object,
) -> dict[str, np.ndarray]:
    adversaries = TorchAdversaries(pixels, settings, ALONE, init)
    choices = {"sample_every": 4, "quality_pictures": 8, "threads": 1, **options}
    return train(adversaries, pixels, settings, Reports(folder, log_every=2), **choices)


@pytest.fixture(scope="module")
def run_of_four_steps(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    folder = tmp_path_factory.mktemp("run")
    return folder, run(folder=folder)


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


def test_the_discriminator_is_that_of_the_package() -> None:
    """But for what it sees of the batch, and for a factor of what is added."""
    network = Discriminator(4)
    weights = discriminator.initial_weights(4, 0)
    names = {"first": network.first, "mix": network.mix, "hidden": network.hidden}
    for i, block in enumerate(network.blocks, 1):
        for part in ("keep", "halve", "shortcut"):
            names[f"block{i}.{part}"] = getattr(block, part)
    with torch.no_grad():
        for name, layer in {**names, "score": network.score}.items():
            values = torch.from_numpy(weights[f"{name}.weight"])
            values = values.permute(0, 3, 1, 2) if values.ndim == 4 else values
            if name == "mix":
                layer.weight[:, -1] = 0
                layer.weight[:, :-1] = values
            else:
                factor = 2**0.5 if name.endswith(("halve", "shortcut")) else 1
                layer.weight.copy_(values * factor)
            if layer.bias is not None:
                layer.bias.zero_()
        theirs = network(torch.from_numpy(to_values(PIXELS)).permute(0, 3, 1, 2))
    runner = Runner(lower(discriminator.graph(4), weights), "cpu", 1)
    ours = runner(to_values(PIXELS)).ravel()
    np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-4, atol=1e-5)


def test_a_run(run_of_four_steps: tuple[Path, dict]) -> None:
    folder, weights = run_of_four_steps
    entries = list(state.read_lines(folder / "log.jsonl"))
    assert [entry["step"] for entry in entries] == [2, 4]
    assert {"discriminator", "generator", "penalty"} <= entries[1].keys()
    assert {"swd", "diversity", "nearest"} <= entries[1].keys()
    assert Image.open(folder / "samples-000004.png").size == (512, 512)
    faces = table.Generator(weights, device="cpu").generate([0, 1])
    assert np.isfinite(faces).all() and np.abs(faces[0] - faces[1]).max() > 1e-4


def test_a_run_is_a_function_of_its_seed(run_of_four_steps: tuple[Path, dict]) -> None:
    assert_same(run(), run_of_four_steps[1])


def test_resuming_changes_nothing(run_of_four_steps: tuple[Path, dict]) -> None:
    first, second = (TorchAdversaries(PIXELS, TINY, ALONE) for _ in range(2))
    order = Order(len(PIXELS), TINY.batch, TINY.seed)
    for part in second.parts.values():
        part.load_state_dict(part.state_dict())  # before the first step
    for step in range(2):
        first.step(order(step))
    for name, part in second.parts.items():
        state = first.parts[name].state_dict()
        part.load_state_dict(state)
        with pytest.raises(ValueError, match="missing"):
            part.load_state_dict({**state, "other": np.zeros(1)})
    for step in range(2, 4):
        second.step(order(step))
    assert_same(second.weights(TINY.statistics), run_of_four_steps[1])


def test_resuming_something_else(tmp_path: Path, run_of_four_steps: tuple[Path, dict]) -> None:
    folder, weights = run_of_four_steps
    assert_same(run(folder=folder, resume=True), weights)  # nothing is left to do
    with pytest.raises(FormatError, match="was trained with batch 4, not 2"):
        run(replace(TINY, batch=2), folder, resume=True)
    with pytest.raises(FormatError, match="was trained with data"):
        run(folder=folder, pixels=PIXELS[:8], resume=True)
    with pytest.raises(FacegenError, match="no run to resume"):
        run(folder=tmp_path, resume=True)


@pytest.mark.parametrize("layers", [0, 2, 4])
def test_frozen_layers_stay(layers: int) -> None:
    init = table.initial_weights(2)
    trained = run(replace(TINY, freeze=layers, steps=2), init=init)
    parts = [("proj", "bn0")] + [(f"tconv{i}", f"bn{i}") for i in range(1, 4)]
    frozen = tuple(f"{name}." for part in parts[:layers] for name in part)
    for name, values in trained.items():
        assert np.array_equal(values, init[name]) == name.startswith(frozen), name


def test_divergence_ends_the_run() -> None:
    adversaries = TorchAdversaries(PIXELS, TINY, ALONE)
    with torch.no_grad():
        adversaries.discriminator.score.weight.fill_(torch.nan)
    with pytest.raises(FacegenError, match="training diverged"):
        train(adversaries, PIXELS, TINY)


@pytest.mark.parametrize("count", [7, 8])
def test_ranks_share_a_batch(count: int) -> None:
    pixels = np.arange(count, dtype=np.uint8)[:, None, None, None].repeat(3, axis=3)
    parts = [Batches(pixels, torch.device("cpu"), rank, 4) for rank in range(4)]
    found = [part(np.arange(count))[:, 0, 0, 0].tolist() for part in parts]
    assert {len(part) for part in found} == {2}
    whole = to_values(pixels)[:, 0, 0, 0].tolist()
    assert sorted(set(sum(found, []))) == whole


def test_settings_are_checked() -> None:
    with pytest.raises(FacegenError, match="batch: expected a multiple of the 3 ranks"):
        TorchAdversaries(PIXELS, TINY, Ranks(0, 3, torch.device("cpu")))
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
        trainer = TorchAdversaries(PIXELS, replace(TINY, steps=2), ranks)
        order = Order(len(PIXELS), TINY.batch, TINY.seed)
        trainer.step(order(0))
        trainer.step(order(1))
        torch.save(trainer.generator.proj.weight.detach(), f"{folder}/{rank}.pt")


def test_ranks_train_one_network(tmp_path: Path) -> None:
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(_train_as_rank, (2, port, str(tmp_path)), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, TorchAdversaries(PIXELS, TINY, ALONE).generator.proj.weight)
