"""torchvision's FCNs and DeepLabV3s: their files, against PyTorch's modules."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from modules import ResNetBackbone, Segmentation, evaluate, filled, nn, saved, torch
from PIL import Image

from facegen import FormatError, Segmenter, load
from facegen.networks.families import find
from facegen.weights.layout import file_shapes


def backbone(blocks: tuple[int, ...] = (1, 1, 2, 2)) -> Any:
    return ResNetBackbone(blocks, (8, 12, 16, 20), (24, 32, 40, 48), 16, dilated=(3, 4))


MODULES = {
    "fcn_resnet20-custom": lambda: Segmentation(backbone(), 12, aux=6),
    "deeplabv3_resnet20-custom": lambda: Segmentation(backbone(), 12, (10, 14)),
}


def test_the_published_sizes() -> None:
    """Parameters as torchvision counts them, with the second classifier."""
    with torch.device("meta"):
        full = ResNetBackbone(
            (3, 4, 6, 3), (64, 128, 256, 512), (256, 512, 1024, 2048), 64, dilated=(3, 4)
        )
        modules = {
            "fcn_resnet50": (Segmentation(full, 512, aux=256), 35_322_218),
            "deeplabv3_resnet50": (Segmentation(full, 256, (256, 256), aux=256), 42_004_074),
        }
    for name, (module, parameters) in modules.items():
        state = {n: tuple(t.shape) for n, t in module.state_dict().items()}
        state = {n: shape for n, shape in state.items() if "num_batches" not in n}
        network = find(state)
        assert network is not None and network.name == name
        assert file_shapes(network.foreign["pytorch"]) == state
        counted = sum(p.numel() for p in module.parameters())
        assert counted == parameters


@pytest.mark.parametrize("name", MODULES)
def test_class_maps(tmp_path: Path, name: str) -> None:
    module = filled(MODULES[name](), 3, {"bn3.weight": 0.3})
    path = tmp_path / "a.pth"
    saved(module, path)
    model = load(path, device="cpu", precision="strict")
    assert isinstance(model, Segmenter) and model.network.name == name
    pixels = np.random.default_rng(1).integers(0, 256, (4, 5, 3), np.uint8)
    pixels = np.asarray(Image.fromarray(pixels).resize((150, 100), Image.Resampling.BICUBIC))
    prepared = model.prepare(pixels)
    assert prepared.shape == (520, 520, 3)
    resized = Image.fromarray(pixels).resize((520, 520), Image.Resampling.BILINEAR)
    scaled = np.asarray(resized, np.float64) / 255
    want_input = (scaled - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    np.testing.assert_allclose(prepared, want_input, rtol=0, atol=1e-5)
    want = evaluate(module, prepared[np.newaxis])
    got = model.logits(prepared[np.newaxis])
    scale = np.sqrt(np.mean(want**2))
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-4 * scale)
    check_classes(model.classes(prepared[np.newaxis])[0], want[0], 1e-3 * scale)
    assert model(pixels).shape == (100, 150)

    own = model.prepare(pixels, own_size=True)
    assert own.shape == (96, 160, 3)
    at_own = evaluate(module, own[np.newaxis])[0]
    check_classes(model.classes(own[np.newaxis])[0], at_own, 1e-3 * scale)

    copy = tmp_path / "copy.safetensors"
    Image.fromarray(pixels).save(tmp_path / "a.png")
    facegen("convert", path, copy)
    for file in (path, copy):
        options = ["--device", "cpu", "--precision", "strict", "--overwrite", "--size", "own"]
        facegen("segment", "-n", file, tmp_path / "a.png", "-o", tmp_path / "b.png", *options)
        found = np.asarray(Image.open(tmp_path / "b.png"))
        np.testing.assert_array_equal(found, model(pixels, own_size=True))


def check_classes(found: np.ndarray, logits: np.ndarray, bound: float) -> None:
    """Each pixel's class is one of the best but for errors; several classes are there."""
    of_found = np.take_along_axis(logits, found[..., np.newaxis].astype(int), -1)[..., 0]
    assert (logits.max(-1) - of_found <= bound).all()
    assert len(np.unique(found)) > 2


def facegen(*words: object) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "facegen", *map(str, words)], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr


def test_what_does_not_fit_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"

    def refused(module: Any, changed: dict[str, Any], said: str) -> None:
        torch.save(module.state_dict() | changed, path)
        with pytest.raises(FormatError, match=f"a.pth: {said}"):
            Segmenter(path, device="cpu")

    refused(
        Segmentation(backbone(), 12, classes=20), {}, "classifier.4: expected Pascal VOC's 21 cla"
    )
    refused(
        Segmentation(backbone(), 12, (10, 14)),
        {"classifier.0.convs.2.0.weight": torch.zeros(10, 48, 1, 1)},
        r"tensor 'classifier.0.convs.2.0.weight': expected shape \(10, 48, 3, 3\)",
    )
    other = Segmentation(backbone(), 12)
    other.extra = nn.Linear(2, 3)
    refused(other, {}, "unknown tensor 'extra.weight'")
