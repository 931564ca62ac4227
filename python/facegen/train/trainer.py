"""A network that learns: one call a batch."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping
from numbers import Real
from typing import Literal

import numpy as np

from facegen import processors
from facegen.engine.device import CPU
from facegen.nn import Graph
from facegen.nn.gemm_layers import GemmLayer
from facegen.nn.grad import Losses, Optimizer, differentiate
from facegen.nn.grad.steps import BatchNorm as BatchNormStep
from facegen.numbers.rounding import BFloat16, Rounding
from facegen.train.arguments import check_arrays, check_kind, check_names, check_numbers
from facegen.train.batch import Reader
from facegen.train.choose_engine import make_step_engine
from facegen.train.ranks import Ranks
from facegen.train.running import whole_number
from facegen.train.stepping import Stepping


class Trainer(Stepping):
    """Trains a graph on the CPU or a GPU. Calls of several threads wait for each other.

    Parameters
    ----------
    graph
        ``print(trainer.program)`` shows what is computed.
    loss
        Of its output: a `Loss`, or its kind ("cross_entropy", "l1"). Of several outputs: by their
        names; the sum is minimised, each times its weight. Outputs without one do not count.
    optimizer
        `SGD`, `Adam` or `AdamW`, with a rate or a schedule.
    weights
        Arrays by the graph's parameters, which are changed at their places, so that trainers can
        share them; float32, C-contiguous. None: drawn from the seed.
    threads
        Of the CPU; up to eight of them copy batches of the host to a GPU. None: one a processor.
        The results have the same bits for any number.
    seed
        Of weights that are drawn, and of dropout.
    frozen
        Names of layers whose parameters stay as they are, a batch norm's mean and variance among
        them; what it computes with are the batch's, unless `stored_statistics` names it too.
    stored_statistics
        Names of batch norms that take their stored mean and variance, and leave them.
    dropout
        By layer, which share of its output is left out.
    momentum
        Of the batch norms' stored statistics.
    precision
        "strict": plain float32 products. "float32" and "bfloat16" are what `facegen.load` calls
        so: products of the AMX unit where there is one. On GPUs "strict" and "float32" are one,
        products of bfloat16 halves; "bfloat16" and "float16", on Hopper, are the formats of the
        operands of large products, with a power of two for each map of gradients in float16. Sums,
        weights and all other numbers stay float32.
    algorithm
        As for `facegen.load`.
    inputs
        Names of inputs whose gradients `gradients` gives too. Then everything may be frozen.
    outputs
        Names of the graph's outputs whose values `output` gives after a step.
    moments_of
        Another trainer of the same parameters by the same optimizer, such as one with a penalty
        that is added to some steps. Weights, moments and the count of steps are then those of both;
        the state is the other's.
    rounding
        What parameters become whenever they have changed: `facegen.numbers.rounding.BFloat16`. To
        the nearest one every change of less than a 512th is lost, so that small rates change
        nothing; at random (`stochastic`) it is kept in the mean. What is drawn is a function of the
        seed, the step, the parameter and the place in it. They stay in float32 arrays, as do
        moments and averages; what was given to begin with, and what is frozen, stays as it is.
        Other formats, such as ``FixedPoint(8, 8, stochastic=True)``, are the CPU's, without ranks.
    device
        "cpu", "cuda" (the first GPU), "cuda:1", or "auto". On a GPU the arrays that are changed are
        copies there: see `sync`. Trainers on one GPU that share an array share its copy. Of ranks
        on a machine each has its own with "cuda", by its number there.
    ranks
        Processes that share every batch (`facegen.train.ranks`): all call the same steps, each
        with the whole batch's targets and at least its own images, and all get the same weights.
        What `output`, `gradients` and `predict` give is the whole batch's, which all ask for alike,
        in the same order; of `predict` each computes all, and needs all images.
        Those that are asynchronous share none: see `facegen.train.exchange`. On the CPU alone.
    shares
        On GPUs: so many equal parts of a batch, a power of 2, have sums of their own, which are
        added in pairs. 1, 2, 4 ... GPUs, up to `shares`, then give the same bits, of batches that
        the shares divide. The CPU has the same bits without.

    Attributes
    ----------
    program
        All that a step computes.
    losses
        Of the last batch that was waited for: each image's, by the outputs, before their weights.
    gradient_length
        Of the last batch.

    Raises
    ------
    ValueError
        For a layer that has no gradient, or no kernel on the device, an unknown loss, weights that
        do not fit; for binary layers and roundings to other formats than bfloat16 on a GPU; for an
        argument of another kind.
    DeviceError
        For a device that is not there, or not usable.

    Examples
    --------
    >>> import numpy as np
    >>> from facegen import train
    >>> from facegen.networks import lenet
    >>> trainer = train.Trainer(lenet.graph(), "cross_entropy", train.Adam(rate=1e-3), seed=0)
    >>> images, labels = np.zeros((8, 28, 28, 1), np.float32), np.arange(8)
    >>> losses = [trainer.step(images, labels).mean() for _ in range(3)]
    >>> bool(losses[2] < losses[0])
    True
    """

    def __init__(
        self,
        graph: Graph,
        loss: Losses,
        optimizer: Optimizer,
        *,
        weights: Mapping[str, np.ndarray] | None = None,
        threads: int | None = None,
        seed: int = 0,
        frozen: Collection[str] = (),
        stored_statistics: Collection[str] = (),
        dropout: Mapping[str, float] | None = None,
        momentum: float = 0.1,
        precision: str = "strict",
        algorithm: str = "auto",
        inputs: Collection[str] = (),
        outputs: Collection[str] = (),
        moments_of: Trainer | None = None,
        ranks: Ranks | None = None,
        shares: int = 1,
        device: str = "cpu",
        rounding: Rounding | None = None,
    ) -> None:
        check_kind("graph", graph, Graph, "a Graph")
        check_kind("optimizer", optimizer, Optimizer, "an optimizer, such as SGD(rate=0.1)")
        check_kind("momentum", momentum, Real, "a number")
        for name, names in (
            ("frozen", frozen),
            ("stored_statistics", stored_statistics),
            ("inputs", inputs),
            ("outputs", outputs),
        ):
            check_names(name, names)
        if weights is not None:
            check_arrays("the weights", weights)
        if dropout is not None:
            check_numbers("dropout", dropout)
        if moments_of is not None:
            check_kind("moments_of", moments_of, Trainer, "a Trainer")
        self.ranks = None if ranks is None or ranks.asynchronous else ranks
        self.threads = _checked(
            "threads", processors.count() if threads is None else threads, 1, 2**31 - 1
        )
        self.gradient_length = 0.0
        self.losses: dict[str, np.ndarray] = {}
        program = differentiate(
            graph,
            loss,
            optimizer,
            frozen=frozen,
            stored_statistics=stored_statistics,
            dropout=dropout,
            momentum=momentum,
            algorithm=algorithm,
            input_gradients=inputs,
            outputs=outputs,
            rounding=_bfloat16(rounding),
        )
        self._begun, self._unread = deque(), []
        ends = program.losses
        self._outputs = [end.output for end in ends]
        self._loss_weights = np.array([[end.loss.weight] for end in ends]).reshape(-1, 1)
        seed = _checked("seed", seed, 0, 2**64 - 1)
        super().__init__(graph, program, optimizer, weights, seed, moments_of)
        self.shares = _checked("shares", shares, 1, 1024)
        if shares & (shares - 1):
            raise ValueError(f"shares must be a power of 2, not {shares}")
        self._needs_whole_batch = bool(program.kept) or any(
            isinstance(step, BatchNormStep) and not step.stored for step in program.forward
        )
        self._engine = make_step_engine(
            device,
            program,
            self._arrays(),
            self.threads,
            precision,
            self.ranks,
            shares,
            _binary_weights(graph),
            None if isinstance(rounding, BFloat16) else rounding,
            seed,
        )
        self._reader = Reader(program, self.device, self.threads)
        if ranks is not None and ranks.asynchronous and self.device != CPU:
            raise ValueError(f"asynchronous ranks train on the CPU, not on {self.device}")
        if moments_of is not None and moments_of.device != self.device:
            raise ValueError(f"moments_of is on {moments_of.device}, not on {self.device}")

    @property
    def kernels(self) -> list[str]:
        """What computes each Gemm of the program, step by step; empty for other steps."""
        return self._engine.kernels

    @property
    def step_seconds(self) -> list[float]:
        """What each step of the program took in the last batch."""
        with self._lock:
            self._settle()
            return self._engine.step_seconds

    @property
    def memory_bytes(self) -> int:
        """Of values for the largest batch so far, and of gradients."""
        return self._engine.memory_bytes


def _bfloat16(rounding: Rounding | None) -> Literal["nearest", "stochastic"] | None:
    """How parameters are rounded, where the steps of a program do it."""
    if rounding is not None and not isinstance(rounding, Rounding):
        raise ValueError(f"rounding must be a Rounding or None, not {rounding!r:.80}")
    if not isinstance(rounding, BFloat16):
        return None
    return "stochastic" if rounding.stochastic else "nearest"


def _binary_weights(graph: Graph) -> list[str]:
    """The weights of which binary layers see the signs."""
    return [
        f"{node.name}.weight"
        for node in graph.nodes
        if isinstance(node.layer, GemmLayer) and node.layer.binary
    ]


def _checked(name: str, value: int, least: int, most: int) -> int:
    value = whole_number(name, value)
    if not least <= value <= most:
        raise ValueError(f"{name} must be from {least} to {most}, not {value}")
    return value
