"""ResNets against PyTorch, written from the paper's table with torchvision's names of modules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from facegen import Classifier, FormatError, load
from facegen.networks import NETWORKS, imagenet
from facegen.nn import Conv2d, Linear
from facegen.weights import write
from tolerance import EPS, assert_within

BLOCKS = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3)}
# As torchvision counts them: parameters, here with the running statistics, and multiply-adds.
SIZES = {
    "resnet18": (11_689_512 + 9_600, 1.814e9 - 0.134e9),
    "resnet34": (21_797_672 + 17_024, 3.664e9 - 0.289e9),
}


@pytest.fixture(scope="module")
def torch() -> Any:
    return pytest.importorskip("torch", reason="PyTorch is not installed")


def resnet(torch: Any, blocks: tuple[int, ...]) -> Any:
    """The network as a module, in float64; its state_dict has torchvision's names."""
    nn = torch.nn

    class BasicBlock(nn.Module):
        def __init__(self, c: int, k: int, stride: int) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(c, k, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(k)
            self.conv2 = nn.Conv2d(k, k, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(k)
            self.downsample = None
            if stride != 1 or c != k:
                down = nn.Conv2d(c, k, 1, stride, bias=False)
                self.downsample = nn.Sequential(down, nn.BatchNorm2d(k))

        def forward(self, x: Any) -> Any:
            y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
            return torch.relu(y + (x if self.downsample is None else self.downsample(x)))

    class ResNet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
            self.bn1 = nn.BatchNorm2d(64)
            self.maxpool = nn.MaxPool2d(3, 2, 1)
            c = 64
            for i, count in enumerate(blocks):
                k = 64 << i
                stage = [BasicBlock(c, k, 2 if i else 1)]
                stage += [BasicBlock(k, k, 1) for _ in range(count - 1)]
                setattr(self, f"layer{i + 1}", nn.Sequential(*stage))
                c = k
            self.fc = nn.Linear(512, 1000)

        def forward(self, x: Any) -> Any:
            x = self.maxpool(torch.relu(self.bn1(self.conv1(x))))
            x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
            return torch.softmax(self.fc(x.mean((2, 3))), 1)

    return ResNet().double().eval()


def checkpoint(torch: Any, name: str, seed: int) -> dict[str, Any]:
    """Random weights as torchvision saves them, `num_batches_tracked` and all."""
    theirs = NETWORKS[name].initial_weights(seed)
    state = {}
    for key, entry in NETWORKS[name].foreign["pytorch"].items():
        values = theirs[entry.name].transpose(np.argsort(entry.axes))
        state[key] = torch.from_numpy(np.ascontiguousarray(values))
        if key.endswith("running_var"):
            state[key.replace("running_var", "num_batches_tracked")] = torch.tensor(7)
    return state


@pytest.mark.parametrize("name", SIZES)
def test_sizes(name: str) -> None:
    graph = NETWORKS[name].graph()
    parameters, products = SIZES[name]
    assert graph.parameter_count == parameters
    # Products with zeros of the padding, 7 to 8% of them, do not count here.
    assert graph.flops / 2 == pytest.approx(products, rel=1e-2)


@pytest.mark.parametrize("name", BLOCKS)
def test_a_checkpoint_computes_what_pytorch_does(torch: Any, name: str, tmp_path: Path) -> None:
    """From torchvision's file and its own preparation to the same probabilities."""
    module = resnet(torch, BLOCKS[name])
    state = checkpoint(torch, name, seed=3)
    assert state.keys() == module.state_dict().keys()
    module.load_state_dict(state)
    path = tmp_path / f"{name}.pth"
    torch.save(state, path)
    model = Classifier(path, device="cpu", precision="strict")
    assert model.network is NETWORKS[name]

    x = np.random.default_rng(3).uniform(-2, 2, (2, 224, 224, 3)).astype(np.float32)
    with torch.inference_mode():
        want = module(torch.from_numpy(x).double().permute(0, 3, 1, 2)).numpy()
    got = model.runner(x)[:, 0, 0]
    layers = [node.layer for node in model.network.graph().nodes]
    depth = sum(isinstance(layer, Conv2d | Linear) for layer in layers)
    # Each layer's sums have up to 4,608 products; an error of the scores, which are of order 10,
    # is a relative one of the probabilities.
    assert_within(got, want, 2 * depth * np.sqrt(4608) * EPS * 10 * want)


def test_pictures_are_prepared_as_torchvision_does() -> None:
    """Resize(256), CenterCrop(224), Normalize, written from their documentation."""
    y, x = np.mgrid[:300, :451]
    pixels = np.uint8(127 + 120 * np.stack([np.sin(x / 9), np.cos(y / 7), np.sin((x + y) / 11)], 2))
    resized = Image.fromarray(pixels).resize((256 * 451 // 300, 256), Image.Resampling.BILINEAR)
    left = round((resized.width - 224) / 2)
    cropped = np.asarray(resized.crop((left, 16, left + 224, 240)), np.float64)
    want = (cropped / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    got = imagenet.normalised(pixels)
    assert got.dtype == np.float32 and got.shape == (224, 224, 3)
    # The resized pixels differ by 1 of 255 at most: both are rounded to 8 bits.
    assert np.abs(got - want).max() <= 1.01 / 255 / 0.224


def test_it_classifies_in_any_of_our_formats(tmp_path: Path) -> None:
    network = NETWORKS["resnet18"]
    weights = network.initial_weights(1)
    pixels = np.random.default_rng(4).integers(0, 256, (2, 30, 40, 3), np.uint8)
    expected = Classifier(weights, device="cpu")(pixels, top=2)
    assert len(expected) == 2 and len(expected[0]) == 2
    for name in ("a.safetensors", "a.npz"):
        write(tmp_path / name, network, weights)
        for model in (Classifier(tmp_path / name, device="cpu"), load(tmp_path / name, "cpu")):
            assert isinstance(model, Classifier) and model.network is network
            assert model(pixels, top=2) == expected


def test_wrong_files_are_refused(torch: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    state = checkpoint(torch, "resnet18", seed=1)
    del state["fc.bias"]
    torch.save(state, path)
    with pytest.raises(FormatError, match=r"a.pth: tensor 'fc.bias' is missing"):
        Classifier(path, device="cpu")
    state = checkpoint(torch, "resnet18", seed=1)
    state["fc.weight"] = state["fc.weight"][:10]  # as of a network of 10 classes
    torch.save(state, path)
    with pytest.raises(FormatError, match=r"'fc.bias': expected shape \(10,\), found \(1000,\)"):
        Classifier(path, device="cpu")
    # A ResNet-50 has its blocks' third convolutions too.
    state = checkpoint(torch, "resnet18", seed=1) | {"layer1.0.conv3.weight": torch.zeros(1)}
    torch.save(state, path)
    with pytest.raises(FormatError, match="tensor 'layer2.0.conv3.weight' is missing"):
        Classifier(path, device="cpu")
    weights = NETWORKS["resnet34"].initial_weights(1)
    weights["bn1.var"] = weights["bn1.var"][:-1]
    with pytest.raises(FormatError, match=r"'bn1.var': expected shape \(64,\), found \(63,\)"):
        Classifier(weights, device="cpu")


def test_negative_variances_are_refused(torch: Any, tmp_path: Path) -> None:
    """Or every result is NaN, whose class is 0."""
    weights = NETWORKS["resnet18"].initial_weights(1)
    weights["bn1.var"][3] = -1
    said = r"tensor 'bn1.var' holds -1.0 at \[3\]: a variance cannot be negative"
    with pytest.raises(FormatError, match=said):
        Classifier(weights, device="cpu")
    write(tmp_path / "a.npz", NETWORKS["resnet18"], weights)
    state = checkpoint(torch, "resnet18", seed=1)
    state["bn1.running_var"] = state["bn1.running_var"].clone()
    state["bn1.running_var"][3] = -1
    torch.save(state, tmp_path / "a.pth")
    for name in ("a.npz", "a.pth"):
        with pytest.raises(FormatError, match=f"{name}: {said}"):
            Classifier(tmp_path / name, device="cpu")
