"""Names and shapes come from files of others: what makes no network is refused in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from modules import (
    LARGE,
    VGG,
    MobileNetV2,
    MobileNetV3,
    ResNetBackbone,
    ResnetGenerator,
    Segmentation,
    SqueezeNet,
    nn,
)
from test_classifiers import MODULES
from test_image_to_image import UNet

from facegen.networks.families import find

Shapes = dict[str, tuple[int, ...]]


def test_numbers_without_weights() -> None:
    """Of modules that have other tensors alone, or whose number is spelled otherwise."""
    shapes = {f"classifier.{i}.weight": (8, 8) for i in (0, 3, 6)}
    shapes |= {"features.0.bias": (8,), "features.0.weight": (8, 3, 3, 3)}
    network = find(shapes | {"features.2.other": (1, 1, 1, 1), "features.05.weight": (1, 1, 1, 1)})
    assert network is not None and network.name == "vgg4-custom"
    assert "features.5.weight" not in network.foreign["pytorch"]


def segmentation() -> Any:
    backbone = ResNetBackbone((1, 1, 1, 1), (4, 4, 4, 4), (8, 8, 8, 8), 4, dilated=(3, 4))
    return Segmentation(backbone, 4, (4, 4))


STATES: dict[str, Callable[[], Any]] = {
    "resnet": MODULES["resnet14-custom"],
    "vgg": lambda: VGG([(8,), (8,), (8,), (8,), (8, 8)], True, (8, 8), 3),
    "squeezenet": lambda: SqueezeNet("1_0", 3),
    "mobilenet_v2": lambda: MobileNetV2(3, divided=4),
    "mobilenet_v3": lambda: MobileNetV3(LARGE, 8, 3),
    "segmentation": segmentation,
    "unet": lambda: UNet([4, 4, 4, 4, 4], nn.BatchNorm2d),
    "resnet generator": lambda: ResnetGenerator(4, 2, nn.InstanceNorm2d, dropout=True),
}


@pytest.fixture(scope="module", params=STATES)
def shapes(request: pytest.FixtureRequest) -> Shapes:
    state = STATES[request.param]().state_dict()
    return {n: tuple(t.shape) for n, t in state.items() if not n.endswith("batches_tracked")}


sizes = st.sampled_from([0, 1, 2, 3, 5, 8, 1 << 20, 1 << 40])
any_shape = st.lists(sizes, max_size=5).map(tuple)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_shapes(shapes: Shapes, data: st.DataObject) -> None:
    changed = dict(shapes)
    names = st.sampled_from(sorted(shapes))
    for name in data.draw(st.lists(names, min_size=1, max_size=3)):
        match data.draw(st.sampled_from(["shape", "without", "number", "parameter"])):
            case "shape":
                changed[name] = data.draw(any_shape)
            case "without":
                changed.pop(name, None)
            case "number":
                digits = data.draw(st.sampled_from(["00", "7", "40", "9" * 30, "9" * 5000, "²"]))
                at = data.draw(st.integers(0, name.count(".")))
                parts = name.split(".")
                parts[at] = digits
                changed[".".join(parts)] = data.draw(any_shape)
            case "parameter":
                changed[f"{name.rpartition('.')[0]}.other"] = data.draw(any_shape)
    try:
        found = find(changed)
    except ValueError:
        return
    assert found is None or found.graph().parameters
