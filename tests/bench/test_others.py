"""Networks that the kernels were not written for: their sizes, and that any device has them."""

from __future__ import annotations

import pytest

from bench.others import OTHERS
from bench.workload import network
from facegen.networks import NETWORKS
from facegen.nn import lower

# Parameters as torchvision counts them, with the running statistics of norms; and FLOPs, without
# those of taps that read padding.
SIZES = {
    "mobilenet_v2": (3_504_872 + 2 * 17_056, 599.4e6),
    "resnet50": (25_557_032 + 2 * 26_560, 7.896e9),
    "dcgan_tutorial": (3_576_704 + 2 * 960, 181.1e6),
    "vgg16": (138_357_544, 29.94e9),
    "unet": (31_031_810, 381e9),
    "espcn": (31_131, 3.0909e9),
}


@pytest.mark.parametrize("name", OTHERS)
def test_they_are_what_they_are_called(name: str) -> None:
    graph = OTHERS[name]()
    parameters, flops = SIZES[name]
    assert graph.parameter_count == parameters and graph.flops == pytest.approx(flops, rel=1e-3)


@pytest.mark.parametrize("name", ["resnet18", "resnet34", *OTHERS])
def test_no_product_falls_to_a_generic_kernel_on_hopper(name: str) -> None:
    graph = OTHERS[name]() if name in OTHERS else NETWORKS[name].graph()
    kernels = lower(graph, None, device="cuda").kernels
    assert not [kernel for kernel in kernels if kernel.startswith(("mma", "fma"))]
    assert lower(graph, None, device="cuda:ampere").kernels
    assert lower(graph, None, device="cpu").kernels


def test_they_are_measured_by_name() -> None:
    work = network("resnet18", seed=1)
    assert set(work.weights) == set(work.graph.parameters)
    with pytest.raises(ValueError, match="no network named 'resnet'; .*resnet18.*, vgg16"):
        network("resnet")
