"""What the GPU staircase is seen beside: facegen's own kernels on the same layers, and PyTorch's.

Arrays stay on the GPU, and are as many images as the rungs have. PyTorch's maps are channels last,
and three sets of them take turns, as in the rungs. Of facegen the last step of two is timed, a 1x1
convolution and then the problem's: so the layer reads the split map that a layer before it writes,
as in a network. Its buffers are always the same, but together larger than the L2 cache.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np

from facegen.engine import Runner
from facegen.lab.convolution import reference
from facegen.learn.peers import Peer, layer_of, torch_layer
from facegen.nn import Conv2d, Graph, lower

_IMAGES = {"conv3x3": 32, "tconv2": 256}
_SETS = 3  # of PyTorch's arrays
_CHECKED = 2  # images
# One H200 by its data sheet, dense, as course/common/gpu.cuh has it.
_PEAK_GFLOPS = {"fp32": 67e3, "tf32": 494.5e3, "bf16": 989e3, "split": 989e3 / 3}
# By what factors are rounded: 2^-9 of bfloat16 (the result too), 2^-11 of TF32. Of float32 cuDNN
# may choose Winograd's algorithm, which loses some bits.
_ALLOWED = {"fp32": 1e-3, "tf32": 1e-2, "bf16": 5e-2, "split": 1e-4}


def facegen_on_gpu(problem: str) -> Iterator[Peer]:
    """facegen's float32, of one GPU."""
    layer, shape = layer_of(problem)
    images = _IMAGES[problem]
    channels = shape.channels
    graph = Graph("layers")
    first = Conv2d(channels, channels, 1, bias=False)
    at = graph.add("first", first, graph.input("x", shape))
    graph.output(graph.add("layer", layer, at))
    generator = np.random.default_rng(0)
    x = generator.uniform(-1, 1, (images, *shape)).astype(np.float32)
    largest = (3 / channels) ** 0.5  # maps as large behind it as before
    before = generator.uniform(-largest, largest, first.weight_shape).astype(np.float32)
    weight = generator.uniform(-1, 1, layer.weight_shape).astype(np.float32)
    program = lower(graph, {"first.weight": before, "layer.weight": weight})
    runner = Runner(program, "cuda:0", threads=1, max_batch=images)
    out = runner(x)
    read = x[:_CHECKED].astype(np.float64) @ before.reshape(channels, channels).T
    exact = reference(layer, read, weight)
    error = np.abs(out[:_CHECKED] - exact).max() / np.sqrt(np.mean(exact**2))
    ms = statistics.median(runner.time_steps(images, 100)[-1][1] for _ in range(7))
    yield _peer("facegen float32", "split", problem, ms, float(error))


def pytorch_on_gpu(problem: str) -> Iterator[Peer]:
    """cuDNN's float32, TF32 and bfloat16, where PyTorch is installed with CUDA."""
    if find_spec("torch") is None:
        return
    import torch

    if not torch.cuda.is_available():
        return
    torch.backends.cudnn.benchmark = True
    torch.manual_seed(0)
    layer, shape = layer_of(problem)
    convolve = torch_layer(problem)
    out, height, width, channels = layer.weight_shape
    order = (out, channels) if problem == "conv3x3" else (channels, out)
    w = torch.rand(*order, height, width, device="cuda") * 2 - 1
    size = (_IMAGES[problem], shape.channels, shape.height, shape.width)
    xs = [torch.rand(*size, device="cuda") * 2 - 1 for _ in range(_SETS)]
    with torch.inference_mode():
        exact = convolve(xs[0][:_CHECKED].double(), w.double())
        for precision in ("fp32", "tf32", "bf16"):
            torch.backends.cudnn.allow_tf32 = precision == "tf32"
            dtype = torch.bfloat16 if precision == "bf16" else torch.float32
            last = torch.channels_last
            inputs = [x.to(dtype=dtype, memory_format=last) for x in xs]
            weight = w.to(dtype=dtype, memory_format=last)
            off = convolve(inputs[0], weight)[:_CHECKED].double() - exact
            error = float(off.abs().max() / exact.square().mean().sqrt())
            runs = [partial(convolve, x, weight) for x in inputs]
            yield _peer(f"PyTorch {precision}", precision, problem, _median_ms(torch, runs), error)


def _peer(name: str, arithmetic: str, problem: str, ms: float, error: float) -> Peer:
    layer, shape = layer_of(problem)
    gflops = layer.flops(shape) * 1e-6 * _IMAGES[problem] / ms
    allowed = _ALLOWED[arithmetic]
    wrong = "" if error <= allowed else f"off by {error:.2g}, expected up to {allowed:g}"
    peak = _PEAK_GFLOPS[arithmetic]
    return Peer(name, ms, gflops, peak_gflops=peak, relative_error=error, wrong=wrong)


def _median_ms(torch: Any, runs: Sequence[Callable[[], Any]]) -> float:
    """As the rungs are timed: groups of launches between two events, the buffers taking turns."""
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))

    def group(size: int) -> float:
        begin.record()
        for i in range(size):
            runs[i % len(runs)]()
        end.record()
        end.synchronize()
        return float(begin.elapsed_time(end)) / size

    group(_SETS)  # cuDNN chooses
    size = int(min(max(10 / group(_SETS), 3), 300))
    return statistics.median(group(size) for _ in range(7))
