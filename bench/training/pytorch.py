"""Training by PyTorch, a case at a time, in one variant and precision."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from bench.nchw import nchw_network
from bench.peers import NotApplicable
from bench.peers.pytorch import TorchNetwork
from bench.training.cases import BETAS, RATE, SGD_RATE, Case, Gan, case
from bench.training.ours import WARM_UP, Phases
from facegen.nn import Graph, Softmax
from facegen.train.initial_weights import initial_weights


@dataclass(frozen=True)
class Variant:
    """How PyTorch is used.

    Attributes
    ----------
    channels_last
        Maps and weights.
    fused
        The optimizer in one kernel, rather than in one a kind of operation.
    mode
        Of torch.compile, which takes networks and losses together; None: none.
    graph
        The whole step, with the optimizer, is one CUDA graph.
    """

    channels_last: bool = True
    fused: bool = True
    mode: str | None = None
    graph: bool = False


VARIANTS = {
    "eager": Variant(channels_last=False, fused=False),
    "fused": Variant(channels_last=False),
    "channels_last": Variant(),
    "graph": Variant(graph=True),
    "compiled": Variant(mode="default"),
    "reduce-overhead": Variant(mode="reduce-overhead"),
}
PRECISIONS = ("fp32", "tf32", "bf16", "fp16")  # bf16: autocast; fp16: weights and maps

LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cross_entropy": functional.cross_entropy,
    "binary_cross_entropy": functional.binary_cross_entropy_with_logits,
    "l1": functional.l1_loss,
}
Mark = Callable[[str], None]


class Half:
    """A loss and the parameters that it changes: half the step of a GAN, all of another's."""

    def __init__(
        self, loss: Callable[..., Any], networks: Iterable[torch.nn.Module], learner: TorchLearner,
        optimizer: str = "adam",
    ) -> None:  # fmt: skip
        variant, self._autocast = learner.variant, learner.autocast
        self._loss = loss
        if variant.mode is not None:
            mode = None if variant.mode == "default" else variant.mode
            self._loss = torch.compile(loss, mode=mode, dynamic=False)
        parameters = [p for network in networks for p in network.parameters() if p.requires_grad]
        fused = variant.fused or None
        if optimizer == "sgd":
            self._optimizer: Any = torch.optim.SGD(parameters, SGD_RATE, fused=fused)
        else:
            self._optimizer = torch.optim.Adam(
                parameters, RATE, BETAS, fused=fused, capturable=variant.graph
            )

    def step(self, mark: Mark, *given: Tensor) -> tuple[Tensor, Tensor | None]:
        """The loss before the change, and what else the loss function gave."""
        mark("forward")
        with self._autocast():
            loss, made = self._loss(*given)
        mark("backward")
        loss.backward()
        mark("update")
        self._optimizer.step()
        self._optimizer.zero_grad()
        mark("")
        return loss.detach(), made


class TorchLearner:
    """One case; `compiled` ones do their first steps when they are made, others in `warm_up`."""

    def __init__(self, name: str, variant: str, precision: str, device: str, threads: int) -> None:
        self.variant, self.device = VARIANTS[variant], torch.device(device)
        if precision not in PRECISIONS:
            raise ValueError(f"no precision {precision!r}: {', '.join(PRECISIONS)}")
        self._precision, self._on_gpu = precision, device != "cpu"
        if not self._on_gpu and (self.variant.graph or precision == "tf32"):
            raise NotApplicable(f"{variant} in {precision} is for GPUs")
        if self._on_gpu and not torch.cuda.is_available():
            raise RuntimeError("PyTorch finds no GPU")
        torch.set_num_threads(threads)
        torch.backends.cudnn.benchmark = True
        torch.backends.cudnn.allow_tf32 = precision == "tf32"
        torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
        torch._dynamo.reset()  # it keeps 8 of a kind, and then compiles no more
        made = case(name)
        self._host: list[Tensor] = []
        self._step = self._of_gan(made) if isinstance(made, Gan) else self._of(made)
        self._there = [x.to(self.device, copy=True) for x in self._host]
        self._replay: torch.cuda.CUDAGraph | None = None
        self._losses = torch.empty(0)  # of the CUDA graph
        if self.variant.mode is not None:
            self.warm_up()

    def autocast(self) -> AbstractContextManager[Any]:
        if self._precision != "bf16":
            return nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)

    def warm_up(self) -> None:
        """What first steps do beside computing: choose kernels, compile, record."""
        if self.variant.graph:
            self._record()
        self.run(WARM_UP)
        self.step()

    def step(self) -> list[float]:
        """One step on a batch from the host; its losses, before the change."""
        given = self._there
        if self._replay is None:
            given = [x.to(self.device, non_blocking=True) for x in self._host]
        else:  # which reads them where they were
            for there, here in zip(self._there, self._host, strict=True):
                there.copy_(here, non_blocking=True)
        return self._once(given).tolist()

    def run(self, count: int) -> None:
        """So many steps, done when it returns, on a batch that is on the device already."""
        for _ in range(count):
            self._once(self._there)
        self._wait()

    def _once(self, given: list[Tensor]) -> Tensor:
        """Gives the losses."""
        if self._replay is not None:
            self._replay.replay()
            return self._losses
        self._begin()
        return self._step(_no_mark, *given)

    def _begin(self) -> None:
        """Of a step: what the compiler's CUDA graphs gave before may be overwritten."""
        if self.variant.mode == "reduce-overhead":
            torch.compiler.cudagraph_mark_step_begin()

    def _wait(self) -> None:
        if self._on_gpu:
            torch.cuda.synchronize()

    def phases(self) -> Phases:
        """Between events on the GPU, or by the clock."""
        if self._replay is not None:
            return dict.fromkeys(("forward", "backward", "update"))
        self._begin()
        marks: list[tuple[str, Any]] = []

        def mark(phase: str) -> None:
            now: Any = time.perf_counter()
            if self._on_gpu:
                now = torch.cuda.Event(enable_timing=True)
                now.record()
            marks.append((phase, now))

        self._step(mark, *self._there)
        self._wait()
        found: dict[str, float | None] = {}
        for (phase, begin), (_, end) in zip(marks, marks[1:], strict=False):
            seconds = begin.elapsed_time(end) / 1e3 if self._on_gpu else end - begin
            if phase:
                found[phase] = (found.get(phase) or 0.0) + seconds
        return found

    def _record(self) -> None:
        """The step as a CUDA graph, which reads the batch where it is now."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                self._step(_no_mark, *self._there)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._losses = self._step(_no_mark, *self._there)
        self._replay = graph

    def _of(self, made: Case) -> Callable[..., Tensor]:
        network = self._network(made.graph, made.loss, made.frozen)
        loss_of = LOSSES[made.loss]

        def loss(x: Tensor, y: Tensor) -> tuple[Tensor, None]:
            (output,) = network(x)
            return loss_of(output if output.shape[2:] != (1, 1) else output.flatten(1), y), None

        half = Half(loss, [network], self, made.optimizer)
        y = made.y
        self._host = [self._maps(made.x)]
        if made.loss == "cross_entropy":
            self._host.append(self._pinned(torch.from_numpy(y)))
        else:
            self._host.append(self._maps(y) if y.shape[1:3] != (1, 1) else self._maps(y).flatten(1))
        return lambda mark, x, y: half.step(mark, x, y)[0].reshape(1)

    def _of_gan(self, made: Gan) -> Callable[..., Tensor]:
        generator, discriminator = (
            self._network(each, "binary_cross_entropy")
            for each in (made.generator, made.discriminator)
        )
        loss_of = LOSSES["binary_cross_entropy"]

        def fooled(z: Tensor) -> tuple[Tensor, Tensor]:
            (images,) = generator(z)
            score = discriminator(images)[0].flatten()
            return loss_of(score, torch.ones_like(score)), images

        def told_apart(real: Tensor, images: Tensor, right: Tensor) -> tuple[Tensor, None]:
            score = discriminator(torch.cat([real, images.to(real.dtype)]))[0].flatten()
            return loss_of(score, right.to(score.dtype)), None

        halves = Half(fooled, [generator], self), Half(told_apart, [discriminator], self)
        right = self._pinned(torch.from_numpy(made.real_or_made))
        self._host = [self._maps(made.z), self._maps(made.real), right]

        def step(mark: Mark, z: Tensor, real: Tensor, right: Tensor) -> Tensor:
            discriminator.requires_grad_(False)
            first, images = halves[0].step(mark, z)
            discriminator.requires_grad_(True)
            assert images is not None
            second, _ = halves[1].step(mark, real, images.detach(), right)
            return torch.stack([first.float(), second.float()])

        return step

    def _network(self, graph: Graph, loss: str, frozen: Iterable[str] = ()) -> TorchNetwork:
        network = nchw_network(graph, initial_weights(graph, 0), fold=False)
        last = network.nodes[-1]
        if loss == "cross_entropy" and isinstance(last.layer, Softmax):  # it is in the loss
            network = replace(network, nodes=network.nodes[:-1], outputs=last.inputs)
        module = TorchNetwork(network).train()
        for (name, _), layer in zip(module.wiring, module.steps, strict=True):
            layer.requires_grad_(name not in frozen)
        return module.to(self.device, self._dtype, memory_format=self._layout)

    @property
    def _dtype(self) -> torch.dtype:
        return torch.float16 if self._precision == "fp16" else torch.float32

    @property
    def _layout(self) -> torch.memory_format:
        return torch.channels_last if self.variant.channels_last else torch.contiguous_format

    def _maps(self, x: np.ndarray) -> Tensor:
        """(n, h, w, c) as (n, c, h, w) on the host, as the network takes it."""
        maps = torch.from_numpy(x).permute(0, 3, 1, 2).to(self._dtype)
        return self._pinned(maps.contiguous(memory_format=self._layout))

    def _pinned(self, x: Tensor) -> Tensor:
        return x.pin_memory() if self._on_gpu else x


def _no_mark(phase: str) -> None:
    """Of a step that is not looked at."""
