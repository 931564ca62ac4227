"""What is timed on the GPU: this package and PyTorch, each in several precisions.

All of them are timed by events on the GPU, on inputs and outputs that stay there. This package is
timed from NumPy array to NumPy array as well.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import torch

from bench.gpu.ceilings import set_tf32
from bench.nchw import nchw_network
from bench.peers.pytorch import TorchNetwork
from bench.workload import Workload
from facegen.engine import Runner
from facegen.nn import lower

GRAPH_BATCH = 64  # larger batches gain nothing from one launch for all steps
# Maps channels last in all but the first; "compiled" and "autotuned" are CUDA graphs as "graph" is.
TORCH_VARIANTS = ("eager", "channels_last", "graph", "compiled", "autotuned")
COMPILED = {"compiled": "reduce-overhead", "autotuned": "max-autotune"}  # minutes each
TORCH_PRECISIONS = ("fp32", "tf32", "fp16")
OUR_PRECISIONS = ("float32", "float16")


class Contender(Protocol):
    """A network made ready for one batch size."""

    label: str
    unit: str  # of the GPU whose ceiling its products are held to
    products: int  # multiplications that it does for each of the definition's

    def outputs(self) -> list[np.ndarray]:
        """Of the first images, (n, h, w, c) float32."""

    def seconds(self, runs: int) -> list[float]:
        """Of each of so many runs on the device."""


class Ours:
    """This package; `host_seconds` is the time from array to array."""

    unit_of = {"float32": ("bf16", 3), "float16": ("fp16", 1), "tf32": ("tf32", 1),
               "strict": ("fp32", 1)}  # fmt: skip

    def __init__(self, workload: Workload, batch: int, precision: str) -> None:
        self.label = f"facegen {precision}"
        self.unit, self.products = self.unit_of[precision]
        self._batch = batch
        program = lower(workload.graph, workload.weights)
        self._runner = Runner(program, "cuda:0", precision=precision)
        self._inputs = workload.inputs(batch, 0)
        self._first = self._run()

    def _run(self) -> list[np.ndarray]:
        result = self._runner(*self._inputs)
        return list(result) if isinstance(result, tuple) else [result]

    def outputs(self) -> list[np.ndarray]:
        return self._first

    def seconds(self, runs: int) -> list[float]:
        # The buffers still hold the inputs of the last run from the host.
        executable = self._runner._engine._executables[0]  # type: ignore[attr-defined]
        graph = self._batch <= GRAPH_BATCH
        return [ms / 1e3 for ms in executable.time_resident(self._batch, runs, graph)]

    def host_seconds(self, runs: int) -> list[float]:
        times = []
        for _ in range(runs):
            start = time.perf_counter()
            result = self._run()
            times.append(time.perf_counter() - start)
            del result
        return times


class Torch:
    """PyTorch with cuDNN in one variant and precision."""

    products = 1

    def __init__(self, workload: Workload, batch: int, precision: str, variant: str) -> None:
        self.label = f"PyTorch {precision} {variant}"
        self.unit = precision
        self._tf32 = precision == "tf32"
        set_tf32(self._tf32)
        torch.backends.cudnn.benchmark = True
        dtype = torch.float16 if precision == "fp16" else torch.float32
        layout = torch.contiguous_format if variant == "eager" else torch.channels_last
        module = torch_network(workload).to(device="cuda", dtype=dtype, memory_format=layout)
        self._module = module  # a CUDA graph reads its weights, but does not keep them
        self._inputs = [
            torch.from_numpy(x).permute(0, 3, 1, 2).to("cuda", dtype).contiguous(
                memory_format=layout
            )
            for x in workload.inputs(batch, 0)
        ]  # fmt: skip
        self._run: Callable[[], Sequence[torch.Tensor]] = lambda: module(*self._inputs)
        if variant in COMPILED:
            mode = COMPILED[variant]
            compiled = torch.compile(module, mode=mode, dynamic=False, fullgraph=True)
            self._run = lambda: compiled(*self._inputs)
        with torch.inference_mode():
            for _ in range(3):
                self._last = self._run()
            torch.cuda.synchronize()
            self._first = [
                y.float().permute(0, 2, 3, 1).contiguous().cpu().numpy() for y in self._last
            ]
            if variant == "graph":
                self._capture(module)

    def _capture(self, module: torch.nn.Module) -> None:
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            module(*self._inputs)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            outputs = module(*self._inputs)

        def replay() -> Sequence[torch.Tensor]:
            graph.replay()
            return outputs

        self._run = replay

    def outputs(self) -> list[np.ndarray]:
        return self._first

    def seconds(self, runs: int) -> list[float]:
        set_tf32(self._tf32)
        times = []
        with torch.inference_mode():
            self._run()
            for _ in range(runs):
                begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
                begin.record()
                self._last = self._run()
                end.record()
                end.synchronize()
                times.append(begin.elapsed_time(end) / 1e3)
        return times


def forget_compiled() -> None:
    """Have PyTorch drop what it compiled: it keeps 8 of a kind, and then compiles no more.

    Before all contenders of a cell, not before each: those that are ready would be compiled again
    while they are timed.
    """
    torch._dynamo.reset()


def torch_network(workload: Workload) -> torch.nn.Module:
    return TorchNetwork(nchw_network(workload.graph, workload.weights)).eval().requires_grad_(False)


def exact(workload: Workload, batch: int, images: int) -> list[np.ndarray]:
    """Outputs of the first images by the definition in float64 (PyTorch's, on the GPU)."""
    module = torch_network(workload).to("cuda", torch.float64)
    inputs = [
        torch.from_numpy(x[:images]).permute(0, 3, 1, 2).to("cuda", torch.float64)
        for x in workload.inputs(batch, 0)
    ]
    with torch.inference_mode():
        return [y.permute(0, 2, 3, 1).cpu().numpy() for y in module(*inputs)]
