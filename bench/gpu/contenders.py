"""What is timed on the GPU: this package and PyTorch, each in several precisions.

All of them are timed by events on the GPU, on inputs and outputs that stay there. This package is
timed from NumPy array to NumPy array as well. On the CPU, where both can be tried, the clock tells.
"""

from __future__ import annotations

import copy
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
from facegen.engine.device import CPU
from facegen.nn import lower

VERIFIED_IMAGES = 4  # the first ones
GRAPH_BATCH = 64  # larger batches gain nothing from one launch for all steps
# Maps are channels last in all but NCHW; what is compiled is a CUDA graph too.
TORCH_VARIANTS = ("eager", "channels_last", "graph", "compiled", "autotuned", "graph_nchw")
NCHW, RECORDED = ("eager", "graph_nchw"), ("graph", "graph_nchw")
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


class Task:
    """A workload's batch, and its network in PyTorch on the host, made once for all contenders."""

    def __init__(self, work: Workload, batch: int, device: str = "cuda:0") -> None:
        self.work, self.batch, self.device = work, batch, device
        self.on_gpu = device != CPU
        self.inputs = work.inputs(batch, 0)
        network = TorchNetwork(nchw_network(work.graph, work.weights))
        self.module = network.eval().requires_grad_(False)

    def torch_inputs(self, images: int, dtype: torch.dtype) -> list[torch.Tensor]:
        """Of the first images: (n, c, h, w) on the device, channels last."""
        first = (torch.from_numpy(x[:images]).permute(0, 3, 1, 2) for x in self.inputs)
        return [x.to(self.device, dtype) for x in first]

    def exact(self, images: int) -> list[np.ndarray]:
        """Outputs of the first images by the definition in float64 (PyTorch's, on the device)."""
        module = copy.deepcopy(self.module).to(self.device, torch.float64)
        with torch.inference_mode():
            outputs = module(*self.torch_inputs(images, torch.float64))
        return [y.permute(0, 2, 3, 1).cpu().numpy() for y in outputs]


class Ours:
    """This package; `host_seconds` is the time from array to array."""

    unit_of = {"float32": ("bf16", 3), "float16": ("fp16", 1), "tf32": ("tf32", 1),
               "strict": ("fp32", 1), "bfloat16": ("bf16", 1)}  # fmt: skip

    def __init__(self, task: Task, precision: str, algorithm: str = "auto") -> None:
        self.label = f"facegen {precision}{' direct' if algorithm == 'direct' else ''}"
        self.unit, self.products = self.unit_of[precision]
        self._task = task
        program = lower(task.work.graph, task.work.weights, algorithm)
        self._runner = Runner(program, task.device, precision=precision)
        self._inputs = task.inputs
        self._first = [y[:VERIFIED_IMAGES].copy() for y in self._run()]

    def _run(self) -> list[np.ndarray]:
        result = self._runner(*self._inputs)
        return list(result) if isinstance(result, tuple) else [result]

    def outputs(self) -> list[np.ndarray]:
        return self._first

    def seconds(self, runs: int) -> list[float]:
        if not self._task.on_gpu:
            return self.host_seconds(runs)
        # The buffers still hold the inputs of the last run from the host.
        executable = self._runner._engine._executables[0]  # type: ignore[attr-defined]
        graph = self._task.batch <= GRAPH_BATCH
        return [ms / 1e3 for ms in executable.time_resident(self._task.batch, runs, graph)]

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

    def __init__(self, task: Task, precision: str, variant: str) -> None:
        self.label = f"PyTorch {precision} {variant}"
        self.unit = precision
        self._on_gpu = task.on_gpu
        if not self._on_gpu and (precision != "fp32" or variant in RECORDED):
            raise ValueError("for GPUs")
        self._tf32 = precision == "tf32"
        set_tf32(self._tf32)
        torch.backends.cudnn.benchmark = True
        dtype = torch.float16 if precision == "fp16" else torch.float32
        layout = torch.contiguous_format if variant in NCHW else torch.channels_last
        module = copy.deepcopy(task.module).to(task.device, dtype, memory_format=layout)
        self._module = module  # a CUDA graph reads its weights, but does not keep them
        self._inputs = [
            x.contiguous(memory_format=layout) for x in task.torch_inputs(task.batch, dtype)
        ]
        self._run: Callable[[], Sequence[torch.Tensor]] = lambda: module(*self._inputs)
        if variant in COMPILED:
            mode = COMPILED[variant]
            compiled = torch.compile(module, mode=mode, dynamic=False, fullgraph=True)
            self._run = lambda: compiled(*self._inputs)
        with torch.inference_mode():
            for _ in range(3):
                self._last = self._run()
            self._first = [
                y[:VERIFIED_IMAGES].float().permute(0, 2, 3, 1).contiguous().cpu().numpy()
                for y in self._last
            ]
            if variant in RECORDED:
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
                if not self._on_gpu:
                    start = time.perf_counter()
                    self._last = self._run()
                    times.append(time.perf_counter() - start)
                    continue
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
    torch.cuda.empty_cache()  # of the last cell, for those that do not ask PyTorch for memory
