"""Generators of pytorch-CycleGAN-and-pix2pix: their files, against modules with their names."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from modules import ResnetGenerator, evaluate, filled, nn, saved, torch
from PIL import Image

from facegen import FormatError, Pix2Pix, load


class Block(nn.Module):
    """A U-Net's block with those in it; `norm` makes a norm of so many channels."""

    def __init__(self, outer: int, inner: int, norm: Any, bias: bool, within: Any) -> None:
        super().__init__()
        layers = [nn.LeakyReLU(0.2, True), nn.Conv2d(outer, inner, 4, 2, 1, bias=bias)]
        layers += [] if within is None else [norm(inner), within]
        wider = inner if within is None else 2 * inner
        up = nn.ConvTranspose2d(wider, outer, 4, 2, 1, bias=bias)
        layers += [nn.ReLU(True), up, norm(outer)]
        layers += [] if within is None else [nn.Dropout(0.5)]
        self.model = nn.Sequential(*layers)

    def forward(self, x: Any) -> Any:
        return torch.cat([x, self.model(x)], 1)


class UNet(nn.Module):
    def __init__(self, widths: list[int], norm: Any) -> None:
        super().__init__()
        bias = norm is not nn.BatchNorm2d
        within = None
        for i in range(len(widths) - 1, 0, -1):
            within = Block(widths[i - 1], widths[i], norm, bias, within)
        outermost = nn.Module()
        outermost.model = nn.Sequential(
            nn.Conv2d(3, widths[0], 4, 2, 1, bias=bias),
            within,
            nn.ReLU(True),
            nn.ConvTranspose2d(2 * widths[0], 3, 4, 2, 1),
            nn.Tanh(),
        )
        self.model = outermost

    def forward(self, x: Any) -> Any:
        return self.model.model(x)


NORMS = {"batch": nn.BatchNorm2d, "instance": nn.InstanceNorm2d}
WIDTHS = {"unet_256": [4, 8, 12, 16, 16, 16, 16, 16], "unet_128": [4, 8, 12, 16, 16, 16, 16]}


def by_own_statistics(module: Any) -> Any:
    """As the project's test.py runs it on one picture, but for dropout."""
    for each in module.modules():
        if isinstance(each, nn.BatchNorm2d):
            each.train()
            each.momentum = 0.0  # the file's statistics stay
    return module


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", WIDTHS)
def test_unets(tmp_path: Path, name: str, norm: str) -> None:
    module = by_own_statistics(filled(UNet(WIDTHS[name], NORMS[norm]), 3))
    path = tmp_path / "latest_net_G.pth"
    saved(module, path)
    model = load(path, device="cpu", precision="strict")
    assert isinstance(model, Pix2Pix) and model.network.name == name
    check(model, module)
    commands(path, model, tmp_path)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(("blocks", "dropout"), [(9, False), (6, False), (2, True)])
def test_resnet_generators(tmp_path: Path, blocks: int, dropout: bool, norm: str) -> None:
    module = ResnetGenerator(4, blocks, NORMS[norm], dropout)
    by_own_statistics(filled(module, 3, {f".{16 + blocks + 1}.weight": 0.3}))
    path = tmp_path / "latest_net_G_A.pth"
    saved(module, path)
    model = load(path, device="cpu", precision="strict")
    assert isinstance(model, Pix2Pix) and model.network.name == f"resnet_{blocks}blocks"
    check(model, module)
    commands(path, model, tmp_path)


def check(model: Pix2Pix, module: Any) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (2, 256, 256, 3), np.uint8)
    x = pixels / 255 * 2 - 1
    want = np.concatenate([evaluate(module, each[np.newaxis]) for each in x])
    assert want.std() > 0.05 and np.abs(want).mean() < 0.99
    got = model.values(pixels)
    np.testing.assert_allclose(got, want, rtol=0, atol=2e-3)
    assert np.sqrt(np.mean((got - want) ** 2)) < 1e-4


def commands(path: Path, model: Pix2Pix, folder: Path) -> None:
    """A picture by the command, of the checkpoint and of what convert makes of it."""
    pixels = np.random.default_rng(1).integers(0, 256, (256, 256, 3), np.uint8)
    Image.fromarray(pixels).save(folder / "a.png")
    copy = folder / "copy.safetensors"
    facegen("convert", path, copy)
    for network in (path, copy):
        options = ["--device", "cpu", "--precision", "strict", "--overwrite"]
        facegen("pix2pix", "-n", network, folder / "a.png", "-o", folder / "b.png", *options)
        np.testing.assert_array_equal(np.asarray(Image.open(folder / "b.png")), model(pixels))


def facegen(*words: object) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "facegen", *map(str, words)], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr


def test_old_instance_norms_statistics_are_read_over(tmp_path: Path) -> None:
    """Those of PyTorch 0.3, which the project drops as it reads them."""
    module = filled(UNet(WIDTHS["unet_128"], nn.InstanceNorm2d), 3)
    state = saved(module, tmp_path / "a.pth")
    state["model.model.1.model.2.running_mean"] = torch.ones(8)
    state["model.model.1.model.2.running_var"] = torch.ones(8)
    torch.save(state, tmp_path / "b.pth")
    pixels = np.zeros((256, 256, 3), np.uint8)
    a, b = (Pix2Pix(tmp_path / name, device="cpu") for name in ("a.pth", "b.pth"))
    np.testing.assert_array_equal(a(pixels), b(pixels))


def test_what_does_not_fit_is_named(tmp_path: Path) -> None:
    state = UNet(WIDTHS["unet_256"], nn.BatchNorm2d).state_dict()
    path = tmp_path / "a.pth"

    def refused(changed: dict[str, Any], said: str) -> None:
        torch.save({n: t for n, t in (state | changed).items() if t is not None}, path)
        with pytest.raises(FormatError, match=f"a.pth: {said}"):
            Pix2Pix(path, device="cpu")

    refused(
        {"model.model.0.weight": torch.zeros(4, 1, 4, 4)},
        r"tensor 'model.model.0.weight': expected shape \(4, 3, 4, 4\), found \(4, 1, 4, 4\)",
    )
    refused(
        {"model.model.1.model.3.model.5.weight": torch.zeros(24, 9, 4, 4)},
        r"tensor 'model.model.1.model.3.model.5.weight': expected shape \(24, 8, 4, 4\)",
    )
    refused({"model.model.1.model.2.bias": None}, "tensor 'model.model.1.model.2.bias' is missing")
