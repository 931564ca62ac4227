"""What the GPU staircase is seen beside: PyTorch (cuDNN), and facegen's own kernels.

    python course/gpu/peers.py

Prints the rungs' lines of JSON (course/README.md): "PyTorch fp32", "PyTorch tf32", "PyTorch bf16"
and "facegen float32", each on both problems and the rungs' numbers of images. What is not
installed, or fails, is told on standard error and left out.

Arrays stay on the GPU. PyTorch's maps are channels last, and three sets of them take turns, as in
the rungs. Of facegen the last step of two is timed, a 1x1 convolution and then the problem's: so
the layer reads the split map that a layer before it writes, as in a network. Its buffers are always
the same, but together larger than the L2 cache.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

IMAGES = {"conv3x3": 32, "tconv2": 256}
CHANNELS = 256
# Products of padding left out (course/common/problem.h), times 2.
GFLOP = {
    "conv3x3": 2e-9 * 94 * 94 * CHANNELS * 256 * IMAGES["conv3x3"],
    "tconv2": 2e-9 * 37 * 37 * CHANNELS * 128 * IMAGES["tconv2"],
}
PEAK_GFLOPS = {"fp32": 67e3, "tf32": 494.5e3, "bf16": 989e3, "float32": 989e3 / 3}
SETS = 3


def line(name: str, precision: str, problem: str, ms: float, error: float, allowed: float) -> str:
    gflops = GFLOP[problem] / ms * 1e3
    fields = {
        "rung": name,
        "problem": problem,
        "images": IMAGES[problem],
        "relative_error": float(f"{error:.3g}"),
        "ms": float(f"{ms:.5g}"),
        "gflops": float(f"{gflops:.6g}"),
        "peak_gflops": PEAK_GFLOPS[precision],
        "percent_of_peak": float(f"{100 * gflops / PEAK_GFLOPS[precision]:.3g}"),
        "verified": bool(error <= allowed),
    }
    return json.dumps(fields)


def convolution(problem: str, torch: Any) -> Callable[[Any, Any], Any]:
    functional = torch.nn.functional
    if problem == "conv3x3":
        return lambda x, w: functional.conv2d(x, w, padding=1)
    # Cuts off 2 rows in front and 1 behind; DCGAN's layer 1 and 2, with the kernel turned round.
    return lambda x, w: functional.conv_transpose2d(x, w, stride=2, padding=2, output_padding=1)


def median_ms(torch: Any, runs: list[Callable[[], Any]]) -> float:
    """As the rungs are timed: groups of launches between two events, the buffers taking turns."""
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))

    def group(size: int) -> float:
        begin.record()
        for i in range(size):
            runs[i % len(runs)]()
        end.record()
        end.synchronize()
        return begin.elapsed_time(end) / size

    group(SETS)  # cuDNN chooses
    size = int(min(max(10 / group(SETS), 3), 300))
    return statistics.median(group(size) for _ in range(7))


def pytorch() -> Iterator[str]:
    import torch

    torch.backends.cudnn.benchmark = True
    torch.manual_seed(0)
    for problem, images in IMAGES.items():
        convolve = convolution(problem, torch)
        side, kernel = (
            (32, (256, CHANNELS, 3, 3)) if problem == "conv3x3" else (8, (CHANNELS, 128, 5, 5))
        )
        w = torch.rand(kernel, device="cuda") * 2 - 1
        xs = [torch.rand(images, CHANNELS, side, side, device="cuda") * 2 - 1 for _ in range(SETS)]
        with torch.inference_mode():
            exact = convolve(xs[0][:2].double(), w.double())
            for precision in ("fp32", "tf32", "bf16"):
                torch.backends.cudnn.allow_tf32 = precision == "tf32"
                dtype = torch.bfloat16 if precision == "bf16" else torch.float32
                last = torch.channels_last
                inputs = [x.to(dtype=dtype, memory_format=last) for x in xs]
                weight = w.to(dtype=dtype, memory_format=last)
                off = convolve(inputs[0], weight)[:2].double() - exact
                error = float(off.abs().max() / exact.square().mean().sqrt())
                runs = [partial(convolve, x, weight) for x in inputs]
                # By what a factor is rounded: 2^-9 of bfloat16 (the result too), 2^-11 of TF32. Of
                # float32 cuDNN may choose Winograd's algorithm, which loses some bits.
                allowed = {"fp32": 1e-3, "tf32": 1e-2, "bf16": 5e-2}[precision]
                name = f"PyTorch {precision}"
                yield line(name, precision, problem, median_ms(torch, runs), error, allowed)


def facegen() -> Iterator[str]:
    from facegen.engine import Runner
    from facegen.learn.peers import layer_of
    from facegen.nn import Conv2d, Graph, lower

    generator = np.random.default_rng(0)

    def uniform(shape: tuple[int, ...], scale: float = 1) -> np.ndarray:
        return (generator.uniform(-1, 1, shape) * scale).astype(np.float32)

    for problem, images in IMAGES.items():
        layer, shape = layer_of(problem)
        first = Conv2d(CHANNELS, CHANNELS, 1, bias=False)
        weights = [uniform(first.weight_shape, 3**0.5 / 16), uniform(layer.weight_shape)]
        graph = Graph("layers")
        at = graph.add("first", first, graph.input("x", shape))
        graph.output(graph.add("layer", layer, at))
        program = lower(graph, {"first.weight": weights[0], "layer.weight": weights[1]})
        runner = Runner(program, "cuda:0", precision="float32", max_batch=images)
        x = uniform((images, *shape))
        out = runner(x)[:2].copy()  # the buffers keep what they hold
        executable = runner._engine._executables[0]  # type: ignore[attr-defined]
        steps = [executable.time_steps(images, 100)[-1] for _ in range(7)]
        exact = by_definition(problem, x[:2], weights)
        error = float(np.abs(out - exact).max() / np.sqrt(np.mean(exact**2)))
        chunks = images / min(images, executable.max_images)
        ms = chunks * statistics.median(ms for _, ms in steps)
        print(f"facegen, {problem}: {steps[0][0]}", file=sys.stderr)
        yield line("facegen float32", "float32", problem, ms, error, 1e-4)


def by_definition(problem: str, x: np.ndarray, weights: list[np.ndarray]) -> np.ndarray:
    """The 1x1 and then the problem's layer, in float64: (n, h, w, c)."""
    x = x.astype(np.float64) @ weights[0].reshape(CHANNELS, CHANNELS).T
    w = weights[1].astype(np.float64)  # (out, tap y, tap x, in)
    n, h, width, _ = x.shape
    if problem == "conv3x3":
        padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        return sum(
            padded[:, r : r + h, s : s + width] @ w[:, r, s].T for r in range(3) for s in range(3)
        )
    out = np.zeros((n, 2 * h + 3, 2 * width + 3, w.shape[0]))  # input i to 2 i + r, then 1 cut off
    for r in range(5):
        for s in range(5):
            out[:, r : r + 2 * h : 2, s : s + 2 * width : 2] += x @ w[:, r, s].T
    return out[:, 1 : 1 + 2 * h, 1 : 1 + 2 * width]


def main() -> int:
    told = 0
    for peer in (pytorch, facegen):
        try:
            for text in peer():
                print(text, flush=True)
                told += 1
        except Exception as error:  # the others still have their say
            print(f"{peer.__name__}: {type(error).__name__}: {error}", file=sys.stderr)
    return 0 if told else 1


if __name__ == "__main__":
    sys.exit(main())
