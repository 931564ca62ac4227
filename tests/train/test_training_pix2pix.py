"""Training pix2pix: both networks' steps, and runs on pairs of files."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.pix2pix_training import torch_networks, torch_step
from facegen import FacegenError, FormatError, system
from facegen.engine import Runner
from facegen.errors import OutOfMemory
from facegen.networks import pix2pix
from facegen.nn import lower
from facegen.train import Reports
from facegen.train.pix2pix import pairs as pair_files
from facegen.train.pix2pix import train as training
from facegen.train.pix2pix.players import Pix2PixSettings, Players
from facegen.train.split import split

SMALL = Pix2PixSettings(width=1, epochs=1)


def discs(folder: Path, count: int) -> None:
    """Pairs of a disc's outline and the disc, blue on yellow."""
    folder.mkdir(exist_ok=True)
    y, x = np.mgrid[:64, :64]
    for i in range(count):
        far = np.hypot(x - 20 - 7 * (i % 4), y - 24 - 5 * (i % 3))
        outline = np.where(np.abs(far - 14) < 1.5, 0, 255)[..., np.newaxis].repeat(3, 2)
        disc = np.where(far[..., np.newaxis] < 14, (20, 40, 220), (240, 220, 30))
        both = np.concatenate([outline, disc], axis=1).astype(np.uint8)
        Image.fromarray(both).save(folder / f"{i:03d}.png")


def pictures(seed: int = 0, n: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (2, n, 256, 256, 3)).astype(np.float32)


def test_the_pictures_that_are_judged_are_those_of_the_step() -> None:
    settings = dataclasses.replace(SMALL, width=2, dropout=0.0)
    players = Players(settings, 10)
    source, target = pictures()
    before = {name: array.copy() for name, array in players.weights.items()}
    losses = players.step(source, target)
    made = players.generator.output(players.graph.outputs[0].name)
    expected = Runner(lower(players.graph, before), device="cpu")(source)
    np.testing.assert_allclose(made, expected, rtol=0, atol=1e-4)
    # Differences of float32 numbers up to 1, their mean in float64.
    np.testing.assert_allclose(losses["l1"], np.abs(made - target).mean(), rtol=1e-5)
    assert losses["discriminator"].shape == (2,)


def test_steps_are_pytorchs() -> None:
    """Ten steps of both networks from the same weights, beside PyTorch in float64."""
    torch = pytest.importorskip("torch")
    settings = dataclasses.replace(SMALL, width=2, dropout=0.0)
    players = Players(settings, 1_000_000)
    source, target = pictures()
    networks = [each.double() for each in torch_networks(2, 0.0)]
    ours = {**players.generator.weights}
    with torch.no_grad():
        for name, parameter in named_parameters(*networks):
            values = ours[name]
            if values.ndim == 4:  # (out, h, w, in)
                transposed = ".tconv." in name
                values = values.transpose((3, 0, 1, 2) if transposed else (0, 3, 1, 2))
            parameter.copy_(torch.from_numpy(np.ascontiguousarray(values)))
    planes = (torch.from_numpy(each).double().permute(0, 3, 1, 2) for each in (source, target))
    step = torch_step(*networks, *planes, fused=False)
    for count in range(10):
        expected = step()
        found = players.step(source, target)
        # Adam divides by the root of squares: where a gradient is about 0, so is what is right
        # of it, and the networks part by some rates of 2e-4 a step.
        tolerance = 1e-5 if count < 2 else 2e-2
        for name, value in zip(("l1", "gan", "discriminator"), expected, strict=True):
            assert found[name].mean() == pytest.approx(value, rel=tolerance), (count, name)


def named_parameters(generator, discriminator):
    """PyTorch's parameters by our names."""
    for i, conv in enumerate(generator.down, start=1):
        yield f"encoder_{i}.conv.weight", conv.weight
        yield f"encoder_{i}.conv.bias", conv.bias
    for i, norm in enumerate(generator.down_norms, start=2):
        yield f"encoder_{i}.norm.gamma", norm.weight
        yield f"encoder_{i}.norm.beta", norm.bias
    for i, tconv in enumerate(generator.up, start=1):
        yield f"decoder_{i}.tconv.weight", tconv.weight
        yield f"decoder_{i}.tconv.bias", tconv.bias
    for i, norm in enumerate(generator.up_norms, start=2):
        yield f"decoder_{i}.norm.gamma", norm.weight
        yield f"decoder_{i}.norm.beta", norm.bias
    convs = [module for module in discriminator if hasattr(module, "kernel_size")]
    norms = [module for module in discriminator if hasattr(module, "eps")]
    names = [*(f"d.conv{i}" for i in range(1, 5)), "score"]
    for name, conv in zip(names, convs, strict=True):
        yield f"{name}.weight", conv.weight
        yield f"{name}.bias", conv.bias
    for i, norm in enumerate(norms, start=2):
        yield f"d.norm{i}.gamma", norm.weight
        yield f"d.norm{i}.beta", norm.bias


@pytest.mark.cuda
def test_pictures_that_stay_on_the_gpu_are_those_of_the_host() -> None:
    here, there = (Players(SMALL, 10, device="cuda") for _ in range(2))
    output = here.generator.output
    here.generator.output = lambda name, *, on_device: output(name)
    for seed in range(3):
        expected, found = here.step(*pictures(seed, 2)), there.step(*pictures(seed, 2))
        for name, losses in expected.items():
            assert found[name].tobytes() == losses.tobytes(), (seed, name)
    for player in ("generator", "discriminator"):
        state = getattr(here, player).state_dict()
        for name, array in getattr(there, player).state_dict().items():
            assert array.tobytes() == state[name].tobytes(), name


def test_it_learns_by_heart() -> None:
    settings = dataclasses.replace(SMALL, width=4, dropout=0.0, learning_rate=2e-3)
    players = Players(settings, 100)
    ramp = np.linspace(-1, 1, 256, dtype=np.float32)
    source = np.broadcast_to(ramp[:, None, None], (1, 256, 256, 3))
    target = np.broadcast_to(ramp[:, None] * np.float32([0.9, -0.5, 0.2]), (1, 256, 256, 3))
    losses = [players.step(source, target)["l1"].mean() for _ in range(40)]
    assert losses[-1] < 0.4 * losses[0]


def test_a_run_and_what_it_writes(tmp_path: Path) -> None:
    discs(tmp_path / "pairs", 5)
    found = pair_files.find(tmp_path / "pairs")
    said: list[str] = []
    reports = Reports(tmp_path / "run", warn=said.append)
    weights, shown = training.train(found, SMALL, 2, None, 2, reports, sample_every=2)
    assert {name: a.shape for name, a in weights.items()} == pix2pix.graph(1).parameters
    assert shown.sources.shape == shown.targets.shape == (2, 256, 256, 3)
    samples = sorted(path.name for path in (tmp_path / "run").glob("*.png"))
    assert samples == ["samples-000002.png", "samples-000003.png"]
    with Image.open(tmp_path / "run" / samples[-1]) as picture:
        assert picture.size == (3 * 256, 2 * 256)
        right = np.asarray(picture)[:256, 512:]
    np.testing.assert_array_equal(right, shown.targets[0])
    made = training.paint(weights, shown.sources, SMALL, 1)
    assert 0 < shown.distance(made) < 255 and shown.distance(shown.targets) == 0
    assert not said


def test_stopped_and_resumed_is_the_same_to_the_bit(tmp_path: Path) -> None:
    """Both networks', whatever the threads."""
    discs(tmp_path / "pairs", 4)
    found = pair_files.find(tmp_path / "pairs")
    settings = dataclasses.replace(SMALL, epochs=2)
    whole, _ = training.train(found, settings, 1, threads=1)

    class Stop(Exception):
        pass

    def entry(_: object) -> None:
        raise Stop

    with pytest.raises(Stop):  # after the checkpoint of step 3, in step 4
        reports = Reports(tmp_path / "run", log_every=4, save_seconds=0, entry=entry)
        training.train(found, settings, 1, None, 2, reports)
    reports = Reports(tmp_path / "run")
    other = dataclasses.replace(settings, l1=10.0)
    with pytest.raises(FormatError, match=r"was trained with l1 100\.0, not 10\.0"):
        training.train(found, other, 1, None, 2, reports, resume=True)
    again, _ = training.train(found, settings, 1, None, 2, reports, resume=True)
    for name, values in whole.items():
        np.testing.assert_array_equal(again[name], values, err_msg=name)


def test_pairs_that_cannot_be_read(tmp_path: Path) -> None:
    folder = tmp_path / "pairs"
    discs(folder, 6)
    chosen, kept = split(6, 2)
    (folder / f"{chosen[0]:03d}.png").write_bytes(b"broken")
    Image.new("RGB", (65, 32)).save(folder / f"{kept[0]:03d}.png")
    found = pair_files.find(folder)
    said: list[str] = []
    settings = dataclasses.replace(SMALL, epochs=2)
    _, shown = training.train(found, settings, 2, reports=Reports(warn=said.append))
    assert len(shown.sources) == 1
    assert len(said) == 2 and f"{kept[0]:03d}.png: expected two pictures" in said[0]
    assert f"{chosen[0]:03d}.png: not a picture" in said[1]
    for path in folder.iterdir():
        path.write_bytes(b"broken")
    with pytest.raises(FormatError, match="not one of 2 pairs held out can be read"):
        training.train(found, settings, 2)


def test_a_network_is_trained_further(tmp_path: Path) -> None:
    discs(tmp_path / "pairs", 3)
    found = pair_files.find(tmp_path / "pairs")
    start = pix2pix.graph(1)
    weights = Players(SMALL, 1).weights
    before = {name: array.copy() for name, array in weights.items()}
    still = dataclasses.replace(SMALL, learning_rate=1e-30)
    result, _ = training.train(found, still, 1, weights)
    assert result.keys() == start.parameters.keys()
    for name, array in before.items():
        np.testing.assert_allclose(result[name], array, rtol=0, atol=1e-25)


def test_settings_that_are_refused(tmp_path: Path) -> None:
    for changes, message in (
        ({"side": 300}, "side: expected a multiple of 256, found 300"),
        ({"direction": "CtoD"}, "direction: expected AtoB or BtoA, found 'CtoD'"),
        ({"width": 8}, "width: the network to train further has 1, not 8"),
    ):
        with pytest.raises(ValueError, match=message):
            training.check(dataclasses.replace(SMALL, **changes), 1)
    discs(tmp_path / "pairs", 2)
    with pytest.raises(FacegenError, match="at least 1 and fewer than 2"):
        training.train(pair_files.find(tmp_path / "pairs"), SMALL, 2)


@pytest.mark.parametrize("changes", [{"width": 256}, {"batch": 1000}, {"side": 2048}])
def test_what_no_machine_holds_is_refused_before_anything_is_read(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, int]
) -> None:
    """The parts of a pair that is not there: nobody has looked."""
    found = pair_files.Found([pair_files.Pair("none", (Path("none.png"),))] * 4, [])
    monkeypatch.setattr(system, "memory_bytes", lambda: 1 << 30)
    with pytest.raises(OutOfMemory, match="training pix2pix and discriminator with 1"):
        training.train(found, dataclasses.replace(SMALL, **{"width": 16, **changes}), 1)
    with pytest.raises(FormatError, match="not one of 1 pairs held out can be read"):
        training.train(found, SMALL, 1)


@pytest.mark.parametrize("width", [2, 64])
def test_files_of_networks(tmp_path: Path, width: int) -> None:
    widths = training.WIDTHS
    graph = pix2pix.graph(width)
    weights = {name: np.full(shape, 0.5, np.float32) for name, shape in graph.parameters.items()}
    assert (".bin" in widths.extensions(width)) == (width == 64)
    # The course's file is large; that its other formats hold it, others test.
    for extension in widths.extensions(width) if width != 64 else [".bin"]:
        if extension == ".onnx":
            pytest.importorskip("onnx")
        path = tmp_path / f"network{extension}"
        widths.write(path, width, weights)
        found, tensors = widths.read(path)
        assert found == width and tensors.keys() == weights.keys()
        assert all((array == 0.5).all() for array in tensors.values())
