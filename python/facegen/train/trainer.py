"""A network that learns: one call a batch."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from facegen import processors
from facegen._native import CHUNK_IMAGES, ELSEWHERE
from facegen.engine.device import CPU
from facegen.errors import FacegenError, FormatError
from facegen.nn import Graph
from facegen.nn.grad import Losses, Optimizer, TrainingProgram, differentiate
from facegen.nn.grad.steps import BatchNorm as BatchNormStep
from facegen.nn.lower import check_weights
from facegen.train import trainer_state
from facegen.train.batch import find_images, find_targets
from facegen.train.initial_weights import initial_weights
from facegen.train.ranks import Ranks
from facegen.train.step_engine import Batch, StepEngine, make_step_engine


@dataclass
class _Counter:
    steps: int = 0


class Diverged(FacegenError):
    """A number of training is not finite; says in which step, and where it began."""

    of_all_ranks = True  # each raises the same


class Trainer:
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
        Of the CPU; None: one a processor. The results have the same bits for any number.
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
        so: products of the AMX unit where there is one. On GPUs products are those of "float32".
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
    device
        "cpu", "cuda" (the first GPU), "cuda:1", or "auto". On a GPU the arrays that are changed are
        copies there: see `sync`. Trainers on one GPU that share an array share its copy.
    ranks
        Processes that share every batch (`facegen.train.ranks`): all call the same steps, each
        with the whole batch's targets and at least its own images, and all get the same weights.
        Those that are asynchronous share none: see `facegen.train.exchange`. On the CPU alone.

    Attributes
    ----------
    program
        All that a step computes.
    losses
        Of the last batch: each image's, by the outputs, before their weights.
    gradient_length
        Of the last batch.

    Raises
    ------
    ValueError
        For a layer that has no gradient, or no kernel on the device, an unknown loss, and weights
        that do not fit.
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
        device: str = "cpu",
    ) -> None:
        self.graph, self.optimizer = graph, optimizer
        self.ranks = None if ranks is None or ranks.asynchronous else ranks
        self.threads = _checked(
            "threads", processors.count() if threads is None else threads, 1, 2**31 - 1
        )
        self.seed = _checked("seed", seed, 0, 2**64 - 1)
        self._counter: _Counter = _Counter() if moments_of is None else moments_of._counter
        self.gradient_length = 0.0
        self.losses: dict[str, np.ndarray] = {}
        self.program: TrainingProgram = differentiate(
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
        )
        if weights is None:
            weights = initial_weights(graph, seed) if moments_of is None else moments_of.weights
        check_weights(graph, weights)
        self._weights: dict[str, np.ndarray] = dict(weights)
        if moments_of is None:
            self._kept: dict[str, np.ndarray] = {
                name: np.zeros(shape, np.float32) for name, shape in self.program.state.items()
            }
            self._start_averages()
        else:
            self._kept = moments_of._kept
            if moments_of.program.state != self.program.state:
                raise ValueError("moments_of must have the same parameters and optimizer")
        if self.ranks is not None and self.program.kept:
            raise ValueError("ranks have no outputs and no gradients in inputs of a whole batch")
        self._needs_whole_batch = bool(self.program.kept) or any(
            isinstance(step, BatchNormStep) and not step.stored for step in self.program.forward
        )
        # A step and its number, and gradients and their batch, belong together. A rate's schedule,
        # which is called meanwhile, may ask for the state.
        self._lock = threading.RLock()
        self._engine: StepEngine = make_step_engine(
            device, self.program, self._arrays(), self.threads, precision, self.ranks
        )
        self._needs_whole_batch |= not self._engine.has_parts
        if ranks is not None and self.device != CPU:
            raise ValueError(f"ranks train on the CPU, each with its threads, not on {self.device}")
        if moments_of is not None and moments_of.device != self.device:
            raise ValueError(f"moments_of is on {moments_of.device}, not on {self.device}")

    def step(
        self, x: Any, y: Any = None, parts: int = 1, *, predicted: bool = False
    ) -> np.ndarray:
        """Change the weights by one batch.

        Parameters
        ----------
        x
            Images (n, height, width, channels), or a sequence of arrays where the graph has several
            inputs: real numbers.
        y
            Targets: labels (n,) or (n, height, width) of "cross_entropy", negative where a pixel
            does not count; otherwise numbers in the output's shape, or what spreads to it. Of
            several losses: by their outputs, or one after another. None where no loss takes any.
        parts
            Of the batch, at most so many, are computed one after another, for less memory; 1 to
            `most_parts`. The bits are the same.
        predicted
            `predict` was the last call, of this very `x`: its forward pass is not done again.

        Returns
        -------
        (n,) float64
            Each image's loss, before the change; `losses` then has its parts by their outputs,
            without their weights.

        Raises
        ------
        ValueError
            For arrays that do not fit, labels out of range, and more parts than `most_parts`.
        MemoryError
            There is none for the batch, or for a part of it. The weights are as they were.
        Diverged
            A number is not finite: says where that began. The weights are then as they were.
        """
        with self._lock:
            losses = self._run(x, y, update=True, parts=parts, predicted=predicted)
            self.steps += 1
        return losses

    def most_parts(self, images: int) -> int:
        """Into how many parts a batch can be cut.

        1 where a batch norm takes its statistics of the batch, and where values are kept: those
        need all images at once. Ranks share a batch instead. And 1 on GPUs.
        """
        return 1 if self._needs_whole_batch or self.ranks else -(-images // CHUNK_IMAGES)

    def gradients(self, x: Any, y: Any = None) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Each image's loss, and the gradients of their mean; changes nothing.

        By parameter, and by the `inputs` that were asked for: (n, height, width, channels).
        """
        with self._lock:
            losses = self._run(x, y, update=False, parts=1)
            gradients = {name: self._engine.gradient(name) for name in self.program.trained}
            for i, name in enumerate(self.program.input_gradients):
                gradients[name] = self._engine.kept(i)
            return losses, gradients

    def find(self, x: Any, y: Any = None, parts: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """Each image's loss, and what `apply` takes to change the weights by this batch.

        Changes nothing. The second, (n,) float32, has all gradients of the losses' mean, and the
        statistics that batch norms move theirs towards.
        """
        with self._lock:
            losses = self._run(x, y, update=False, parts=parts)
            return losses, self._engine.found()

    @property
    def found_floats(self) -> int:
        """How many numbers `find` gives beside the losses."""
        return self._engine.found_floats

    def apply(self, found: np.ndarray, images: int) -> None:
        """Change the weights by what `find` gave for a batch of so many images.

        Maybe in another process, by weights of some steps before: asynchronous training. Right
        after `find`, to the bit what `step` does.

        Raises
        ------
        ValueError
            `found` is of another network.
        Diverged
            A number is not finite. The weights are then as they were.
        """
        with self._lock:
            rates = self.optimizer.rates(self.steps)
            try:
                self.gradient_length = self._engine.apply(found, images, rates, self.steps)
            except FloatingPointError as error:
                raise Diverged(f"step {self.steps} of {self.graph.name}: {error}") from None
            self.steps += 1

    def predict(self, x: Any) -> dict[str, np.ndarray]:
        """What the losses are of, by the outputs' names; changes nothing.

        As in a step: batch norms take the batch's statistics, and dropout is that of the next step.
        Where a loss has a Softmax or Sigmoid in itself, what that would read.
        """
        with self._lock:
            inputs = self._inputs(x)
            found = self._engine.predict(inputs, self.seed, self.steps)
            return dict(zip((end.output for end in self.program.losses), found, strict=True))

    def output(self, name: str) -> np.ndarray:
        """What an output of `outputs` was in the last step: (n, height, width, channels) float32.

        As it was computed for that step, before the change, with what dropout left out.
        """
        if name not in self.program.outputs:
            raise ValueError(f"{name!r} is not among the outputs that were asked for")
        with self._lock:
            return self._engine.kept(self.program.kept.index(name))

    @property
    def device(self) -> str:
        """Where the steps run: "cpu" or "cuda:0"."""
        return self._engine.device

    @property
    def weights(self) -> dict[str, np.ndarray]:
        """The caller's arrays, which are changed, as the last step has left them."""
        self.sync()
        return self._weights

    def sync(self) -> None:
        """Copy what steps have changed from a GPU into the arrays on the host.

        Reading `weights`, `averages` or the state does so too. On the CPU there is nothing to copy.
        """
        with self._lock:
            self._engine.download()

    @property
    def steps(self) -> int:
        """How many there have been."""
        return self._counter.steps

    @steps.setter
    def steps(self, steps: int) -> None:
        self._counter.steps = steps

    @property
    def kernels(self) -> list[str]:
        """What computes each Gemm of the program, step by step; empty for other steps."""
        return self._engine.kernels

    @property
    def step_seconds(self) -> list[float]:
        """What each step of the program took in the last batch."""
        return self._engine.step_seconds

    @property
    def memory_bytes(self) -> int:
        """Of values for the largest batch so far, and of gradients."""
        return self._engine.memory_bytes

    @property
    def averages(self) -> dict[str, np.ndarray]:
        """The moving averages of the weights; batch norms' statistics as they are stored.

        FacegenError where the optimizer keeps none.
        """
        if self.optimizer.average is None:
            raise FacegenError("no averages: the optimizer has average=None")
        self.sync()
        return {
            name: self._kept.get(f"{name}:average", array).copy()
            for name, array in self._weights.items()
        }

    def state_dict(self) -> dict[str, np.ndarray]:
        """All that it takes to go on: copies of weights and moments, seed and number of steps."""
        with self._lock:
            self.sync()
            numbers = {"seed": self.seed, "steps": self.steps}
            return {
                **{name: array.copy() for name, array in self._arrays().items()},
                **{f":{name}": np.array(number, np.uint64) for name, number in numbers.items()},
            }

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from a state: from here on, all is to the bit as if there had been no stop.

        Raises
        ------
        ValueError
            An array is missing, unknown, of another shape or type, not finite, or a variance below
            0. The trainer is then as it was.
        """
        trainer_state.check(self.graph, self._arrays(), state)
        with self._lock:
            self._engine.download()  # what no state has, of arrays that trainers share, stays
            for name, array in self._arrays().items():
                array[...] = state[name]
            self._engine.upload()
            self.seed, self.steps = int(state[":seed"]), int(state[":steps"])

    def save(self, path: str | Path) -> None:
        """Write the state to a safetensors file, whole or not at all."""
        trainer_state.write(path, self.state_dict())

    def load(self, path: str | Path) -> None:
        """Go on from a file that `save` has written; FormatError where it does not fit."""
        found = trainer_state.read(path, self.graph, self._arrays())
        try:
            self.load_state_dict(found)
        except ValueError as error:
            raise FormatError(f"{path}: {error}") from None

    def _arrays(self) -> dict[str, np.ndarray]:
        """All that changes, by its name in a state."""
        return {**self._weights, **self._kept}

    def _inputs(self, x: Any) -> list[np.ndarray]:
        shapes = [self.program.values[name].shape for name in self.program.inputs]
        given = [x] if len(shapes) == 1 else list(x)
        if len(given) != len(shapes):
            raise ValueError(f"{self.graph.name} takes {len(shapes)} inputs, not {len(given)}")
        names = self.program.inputs
        inputs = [find_images(*each) for each in zip(names, given, shapes, strict=True)]
        images = len(inputs[0])
        for name, array in zip(names, inputs, strict=True):
            if len(array) != images:
                raise ValueError(f"{name} has {len(array)} images, and {names[0]} {images}")
        if not images:
            raise ValueError("a batch must have at least 1 image")
        return inputs

    def _run(
        self, x: Any, y: Any, update: bool, parts: int, predicted: bool = False
    ) -> np.ndarray:
        inputs = self._inputs(x)
        images = len(inputs[0])
        for step in self.program.losses:
            if images % step.loss.group:
                expected = f"groups of {step.loss.group} images"
                raise ValueError(f"{step.loss.kind} takes {expected}, not {images} images")
        if self.ranks and predicted:
            raise ValueError("predict is of a whole batch, and each rank computes a part")
        most = self.most_parts(images)
        if not 1 <= parts <= most:
            raise ValueError(f"parts must be 1 to {most} for {images} images, not {parts}")
        part = self.ranks.part_images(images) if self.ranks else _part_images(images, parts)
        losses = np.empty((len(self.program.losses), images))
        rates = self.optimizer.rates(self.steps)
        targets = find_targets(self.program, y, images)
        seed, number = self.seed, self.steps
        batch = Batch(inputs, targets, losses, rates, seed, number, update, part, predicted)
        not_finite = None
        try:
            self.gradient_length = self._engine.step(batch)
        except FloatingPointError as error:
            not_finite = str(error)
        if self.ranks:
            not_finite = self._hear_of(not_finite)
            self.ranks.gather(losses, axis=1)
        if not_finite is not None:
            raise Diverged(f"step {self.steps} of {self.graph.name}: {not_finite}")
        ends = self.program.losses
        self.losses = {end.output: part for end, part in zip(ends, losses, strict=True)}
        weights = np.array([end.loss.weight for end in ends])
        return (weights[:, np.newaxis] * losses).sum(axis=0)

    def _hear_of(self, not_finite: str | None) -> str | None:
        """What the rank says where it began: the others have only stopped with it."""
        assert self.ranks is not None
        began = None if not_finite == ELSEWHERE else not_finite
        return self.ranks.first_word(began) or not_finite

    def _start_averages(self) -> None:
        for name, array in self._kept.items():
            parameter, _, kind = name.rpartition(":")
            if kind == "average":
                array[...] = self._weights[parameter]


def _checked(name: str, value: int, least: int, most: int) -> int:
    if not least <= value <= most:
        raise ValueError(f"{name} must be from {least} to {most}, not {value}")
    return value


def _part_images(images: int, parts: int) -> int:
    """The smallest part, of those whose gradients are nodes of the batch's sum, that is enough."""
    size = CHUNK_IMAGES
    while -(-images // size) > parts:
        size *= 2
    return images if parts == 1 else size
