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
    "densenet121": (7_978_856 + 2 * 41_824, 5.557e9),
    "espcn": (31_131, 3.0909e9),
    "alexnet": (61_100_840, 1.3158e9),
    "overfeat": (145_920_872, 5.1257e9),
    "vgg_a": (132_863_336, 14.631e9),
    "googlenet": (6_998_552, 3.0092e9),
}
GENERIC = {"alexnet": 1, "overfeat": 1}  # 11x11 of stride 4 over three channels


@pytest.mark.parametrize("name", OTHERS)
def test_they_are_what_they_are_called(name: str) -> None:
    graph = OTHERS[name]()
    parameters, flops = SIZES[name]
    assert graph.parameter_count == parameters and graph.flops == pytest.approx(flops, rel=1e-3)


@pytest.mark.parametrize("name", ["resnet18", "resnet34", *OTHERS])
def test_products_that_fall_to_a_generic_kernel_on_hopper(name: str) -> None:
    graph = OTHERS[name]() if name in OTHERS else NETWORKS[name].graph()
    kernels = lower(graph, None, device="cuda").kernels
    generic = [kernel for kernel in kernels if kernel.startswith(("mma", "fma"))]
    assert len(generic) == GENERIC.get(name, 0)
    assert lower(graph, None, device="cuda:ampere").kernels
    assert lower(graph, None, device="cpu").kernels


def test_they_are_measured_by_name() -> None:
    work = network("resnet18", seed=1)
    assert set(work.weights) == set(work.graph.parameters)
    with pytest.raises(ValueError, match="no network named 'resnet'; .*resnet18.*, vgg16"):
        network("resnet")


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_pytorch_compiles_them_whole(name: str) -> None:
    """In both types of its GPU benchmark, channels last, without a break in a CUDA graph."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    from bench.nchw import nchw_network
    from bench.peers.pytorch import TorchNetwork

    work = network(name)
    module = TorchNetwork(nchw_network(work.graph, work.weights)).eval().requires_grad_(False)
    shapes = [
        [(2, t.shape.channels, *t.shape[:2]) for t in each]
        for each in (work.graph.inputs, work.graph.outputs)
    ]
    for dtype in (torch.float32, torch.float16):
        options = {"device": "meta", "dtype": dtype}  # shapes alone
        module = module.to(**options, memory_format=torch.channels_last)
        inputs = [torch.empty(shape, **options) for shape in shapes[0]]
        torch._dynamo.reset()
        compiled = torch.compile(module, backend="eager", fullgraph=True, dynamic=False)
        with torch.inference_mode():
            outputs = compiled(*inputs)
        assert [tuple(y.shape) for y in outputs] == shapes[1]
        assert all(y.dtype == dtype for y in outputs)
