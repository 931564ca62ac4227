"""Networks of ImageNet's kind whose sizes follow from a state_dict, against PyTorch's modules."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from modules import (
    LARGE,
    SMALL,
    VGG,
    MobileNetV2,
    MobileNetV3,
    ResNet,
    SqueezeNet,
    evaluate,
    filled,
    saved,
    torch,
)
from PIL import Image

from facegen import Classifier, FormatError, load
from facegen.networks import NETWORKS, imagenet
from facegen.networks.families import find, resnet, squeezenet, vgg
from facegen.weights.layout import file_shapes

# As torchvision counts the parameters of its networks, with 2 running statistics a channel here.
RESNETS = {
    "resnet50": 25_557_032 + 2 * 26_560,
    "resnet101": 44_549_160 + 2 * 52_672,
    "resnet152": 60_192_808 + 2 * 75_712,
    "wide_resnet50_2": 68_883_240 + 2 * 34_112,
    "resnext50_32x4d": 25_028_904 + 2 * 34_112,
}
VGGS = {
    (11, False): 132_863_336,
    (11, True): 132_868_840 + 2 * 2_752,
    (13, False): 133_047_848,
    (16, False): 138_357_544,
    (16, True): 138_365_992 + 2 * 4_224,
    (19, False): 143_667_240,
    (19, True): 143_678_248 + 2 * 5_504,
}


@pytest.mark.parametrize("name", RESNETS)
def test_sizes_of_resnets(name: str) -> None:
    network = resnet.resnet(name, resnet.NAMED[name])
    assert network.graph().parameter_count == RESNETS[name]
    found = find(file_shapes(network.foreign["pytorch"]))
    assert found is not None and found.name == name
    assert found.graph().nodes == network.graph().nodes


@pytest.mark.parametrize(("depth", "batch_norm"), VGGS)
def test_sizes_of_vggs(depth: int, batch_norm: bool) -> None:
    widths = zip((64, 128, 256, 512, 512), vgg.DEPTHS[depth], strict=True)
    groups = tuple((width,) * count for width, count in widths)
    graph = vgg.graph("vgg", vgg.Sizes(groups, batch_norm, (4096, 4096), 1000))
    assert graph.parameter_count == VGGS[depth, batch_norm]


def test_sizes_of_squeezenet() -> None:
    assert squeezenet.graph("squeezenet", squeezenet.V1_1).parameter_count == 1_235_496


@pytest.mark.parametrize(
    ("module", "parameters"),
    [
        (lambda: MobileNetV2(1000), 3_504_872),
        (lambda: MobileNetV3(LARGE, 1280, 1000), 5_483_032),
        (lambda: MobileNetV3(SMALL, 1024, 1000), 2_542_856),
    ],
    ids=["v2", "v3 large", "v3 small"],
)
def test_sizes_of_mobilenets(module: Any, parameters: int) -> None:
    made = module()
    assert sum(p.numel() for p in made.parameters()) == parameters  # as torchvision counts them
    state = {n: tuple(t.shape) for n, t in made.state_dict().items() if "num_batches" not in n}
    network = find(state)
    assert network is not None and file_shapes(network.foreign["pytorch"]) == state


NARROW = (8, 16, 24, 32)
MODULES: dict[str, Any] = {
    "resnet50": lambda: ResNet(
        (3, 4, 6, 3), (64, 128, 256, 512), (256, 512, 1024, 2048), 64, classes=1000
    ),
    "resnet26-custom": lambda: ResNet((2, 2, 2, 2), NARROW, (32, 64, 96, 128), 16, classes=5),
    "resnet14-custom": lambda: ResNet(
        (1, 1, 1, 1), NARROW, (32, 64, 96, 128), 16, classes=5, groups=4
    ),
    "mobilenet_v2": lambda: MobileNetV2(1000, divided=2),
    "mobilenet_v3_large": lambda: MobileNetV3(LARGE, 1280, 30),
    "mobilenet_v3_small": lambda: MobileNetV3(SMALL, 1024, 1000),
    "vgg11": lambda: VGG([(8,), (16,), (16, 24), (24, 32), (16, 16)], False, (40, 24), 7),
    "vgg16_bn": lambda: VGG(
        [(8, 8), (8, 16), (16, 16, 24), (24, 24, 32), (16, 16, 16)], True, (40, 24), 2
    ),
    "squeezenet1_1": lambda: SqueezeNet("1_1", 1000),
    "squeezenet1_0": lambda: SqueezeNet("1_0", 11),
}
# So that sums do not grow from block to block, nor one class have all the probability.
SCALE = {
    "bn3.weight": 0.3,
    **dict.fromkeys(["fc.weight", "classifier.1.weight", "classifier.3.weight"], 0.3),
    "classifier.6.weight": 0.1,
}


BIG = [pytest.param(name, marks=pytest.mark.slow) for name in MODULES if name == "resnet50"]


@pytest.fixture(scope="module", params=[*(n for n in MODULES if n != "resnet50"), *BIG])
def checkpoint(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Any, Path]:
    scale = SCALE | ({"classifier.3.weight": 0.03} if "v3_large" in request.param else {})
    module = filled(MODULES[request.param](), 3, scale)
    path = tmp_path_factory.mktemp("weights") / f"{request.param}.pth"
    saved(module, path)
    return request.param, module, path


def test_a_checkpoint_computes_what_pytorch_does(checkpoint: tuple[str, Any, Path]) -> None:
    name, module, path = checkpoint
    model = Classifier(path, device="cpu", precision="strict")
    assert model.network.name == name
    x = np.random.default_rng(3).uniform(-2, 2, (2, 224, 224, 3)).astype(np.float32)
    want = evaluate(module, x)
    assert model.classes == want.shape[1] and want.max() < 0.99
    got = model.runner(x)[:, 0, 0]
    np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-6)


def test_pictures_are_classified(checkpoint: tuple[str, Any, Path], tmp_path: Path) -> None:
    """By the command too, of the checkpoint and of what convert makes of it."""
    name, module, path = checkpoint
    pixels = np.random.default_rng(1).integers(0, 256, (40, 30, 3), np.uint8)
    model = load(path, device="cpu")
    assert isinstance(model, Classifier)
    want = evaluate(module, imagenet.normalised(pixels)[np.newaxis])[0]
    best = int(np.argmax(want))
    (guess,) = model(pixels, top=1)
    assert guess.class_id == best and guess.probability == pytest.approx(want[best], rel=1e-3)
    assert len(model(pixels, top=900)) == min(900, len(want))
    if name == "resnet50":
        return  # of which the small ones tell as much
    copy = tmp_path / "copy.safetensors"
    facegen("convert", path, copy)
    again = load(copy, device="cpu")
    assert isinstance(again, Classifier) and again.network.name == name
    assert again(pixels, top=5) == model(pixels, top=5)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    labels = tmp_path / "labels.txt"
    labels.write_text("".join(f"name {i}\n" for i in range(len(want))))
    report = facegen(
        "classify", tmp_path / "a.png", "-n", copy, "--labels", labels, "--top", 1, "--json", "-"
    )
    (found,) = json.loads(report)["items"][0]["classes"]
    assert found["id"] == best and found["name"] == f"name {best}"


def facegen(*words: object) -> str:
    run = subprocess.run(
        [sys.executable, "-m", "facegen", *map(str, words)], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_resnet18_of_other_classes(tmp_path: Path) -> None:
    """Fine-tuned ones have torchvision's names, and classes of their own."""
    sizes = resnet.NAMED["resnet18"]._replace(classes=10)
    network = resnet.resnet("resnet18", sizes)
    weights = network.initial_weights(1)
    state = {
        name: torch.from_numpy(weights[e.name].transpose(np.argsort(e.axes)).copy())
        for name, e in network.foreign["pytorch"].items()
    }
    torch.save(state, tmp_path / "a.pth")
    model = load(tmp_path / "a.pth", device="cpu")
    assert model.network.name == "resnet18" and model.network is not NETWORKS["resnet18"]
    assert model.network.summary == "what a picture shows: 224x224 RGB -> 10 classes"
    assert model.classes == 10
    facegen("convert", tmp_path / "a.pth", tmp_path / "a.safetensors")
    pixels = np.random.default_rng(1).integers(0, 256, (40, 30, 3), np.uint8)
    for copy in (load(tmp_path / "a.safetensors", device="cpu"),):
        assert copy(pixels) == model(pixels)


def test_what_does_not_fit_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"

    def refused(kind: str, changed: dict[str, Any], said: str) -> None:
        state = MODULES[kind]().state_dict()
        torch.save({n: t for n, t in (state | changed).items() if t is not None}, path)
        with pytest.raises(FormatError, match=f"a.pth: {said}"):
            Classifier(path, device="cpu")

    def zeros(*shape: int) -> Any:
        return torch.zeros(shape)

    custom = "resnet26-custom"
    refused(
        custom,
        {"layer2.1.conv2.weight": zeros(16, 17, 3, 3)},
        r"tensor 'layer2.1.conv2.weight': expected shape \(16, 16, 3, 3\), found \(16, 17, 3, 3\)",
    )
    refused(custom, {"layer3.1.bn3.bias": None}, "tensor 'layer3.1.bn3.bias' is missing")
    refused(custom, {"layer2.0.bn9.bias": zeros(3)}, "unknown tensor 'layer2.0.bn9.bias'")
    refused(
        "vgg11",
        {"classifier.0.weight": zeros(40, 16 * 36)},
        r"tensor 'classifier.0.weight': expected shape \(40, 784\), found \(40, 576\)",
    )
    refused("vgg11", {"features.0.weight": zeros(0, 3, 3, 3)}, "out_channels of Conv2d must be at")
    refused(
        "squeezenet1_1",
        {"features.3.squeeze.weight": zeros(15, 64, 1, 1)},
        r"tensor 'features.3.squeeze.weight': expected shape|tensor 'features.3.squeeze.bias'",
    )
