"""A network that learns: one call a batch."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from facegen import processors
from facegen._native import CHUNK_IMAGES
from facegen.engine.device import CPU
from facegen.errors import FacegenError
from facegen.nn import Graph
from facegen.nn.grad import Losses, Optimizer, differentiate
from facegen.nn.grad.steps import BatchNorm as BatchNormStep
from facegen.train.batch import Reader, check_rows
from facegen.train.choose_engine import make_step_engine
from facegen.train.ranks import Ranks
from facegen.train.step_engine import Steps
from facegen.train.trained_arrays import TrainedArrays


class Diverged(FacegenError):
    """A number of training is not finite; says in which step, and where it began."""

    of_all_ranks = True  # each raises the same


@dataclass(frozen=True)
class Held:
    """A data set where a trainer's steps run: see `Trainer.hold`.

    Attributes
    ----------
    images
        How many it has.
    device
        Where it is.
    """

    images: int
    device: str
    _network: Any  # whose inputs and targets it has
    _data: Any


class Trainer(TrainedArrays):
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
        )
        seed = _checked("seed", seed, 0, 2**64 - 1)
        super().__init__(graph, program, optimizer, weights, seed, moments_of)
        if self.ranks is not None and program.kept:
            raise ValueError("ranks have no outputs and no gradients in inputs of a whole batch")
        self._needs_whole_batch = bool(program.kept) or any(
            isinstance(step, BatchNormStep) and not step.stored for step in program.forward
        )
        self._engine = make_step_engine(
            device, program, self._arrays(), self.threads, precision, self.ranks
        )
        self._reader = Reader(program, self.device)
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
            inputs: real numbers. On a GPU any array may be in its memory, of whoever speaks DLPack
            or has `__cuda_array_interface__`; it is read where it is.
        y
            Targets: labels (n,) or (n, height, width) of "cross_entropy", negative where a pixel
            does not count; otherwise numbers in the output's shape, or what spreads to it. Of
            several losses: by their outputs, or one after another. None where no loss takes any.
        parts
            Of the batch, at most so many, are computed one after another, for less memory; 1 to
            `most_parts`. The bits are the same on the CPU; on GPUs they are those of the number of
            parts, as sums are cut by how many images are computed at once.
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
            return self._one_step(x, y, parts=parts, predicted=predicted)

    def hold(self, x: Any, y: Any = None) -> Held:
        """A data set for `run`: on a GPU a copy there, on the CPU the arrays as they are.

        Parameters
        ----------
        x, y
            As `step` takes them, of as many images as there are.

        Raises
        ------
        ValueError
            For arrays that do not fit, and labels out of range.
        MemoryError
            There is none for it on the GPU.
        """
        with self._lock:
            arrays = self._reader.arrays(x, y)
            images = len(arrays.inputs[0])
            if images > _MOST_ROWS:
                raise ValueError(f"a data set has at most {_MOST_ROWS:,} images, not {images:,}")
            data = self._engine.hold(arrays)
            return Held(images, self.device, self._reader.signature, data)

    def run(self, held: Held, rows: Any, parts: int = 1) -> np.ndarray:
        """Steps that follow one another, each on rows of a data set.

        To the bit what `step` does with ``x[rows[i]]`` and ``y[rows[i]]`` for each `i`. On a GPU
        nothing waits for the host between them: what differs from step to step goes there at the
        beginning, and losses come back at the end.

        Parameters
        ----------
        held
            What `hold` gave, of this trainer or one of the same inputs and targets on the device.
        rows
            (steps, batch), integers from 0.
        parts
            As for `step`.

        Returns
        -------
        (steps, batch) float64
            As `step` gives them; `losses` and `gradient_length` are those of the last step.

        Raises
        ------
        ValueError
            For rows out of range, and a data set of another network; nothing is done then.
        MemoryError, Diverged
            As for `step`. `steps` counts those that were done.
        """
        if held.device != self.device or held._network != self._reader.signature:
            raise ValueError(
                f"the data set is for another network on {held.device}, not for {self.graph.name} "
                f"on {self.device}"
            )
        numbers = check_rows(rows, held.images)
        with self._lock:
            return self._run(held._data, numbers, len(numbers), numbers.shape[1], parts=parts)

    def most_parts(self, images: int) -> int:
        """Into how many parts a batch can be cut.

        1 where a batch norm takes its statistics of the batch, and where values are kept: those
        need all images at once. Ranks share a batch instead.
        """
        return 1 if self._needs_whole_batch or self.ranks else -(-images // CHUNK_IMAGES)

    def gradients(
        self, x: Any, y: Any = None, *, on_device: bool = False
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Each image's loss, and the gradients of their mean; changes nothing.

        By parameter, and by the `inputs` that were asked for: (n, height, width, channels). With
        `on_device` they are arrays on the GPU, as of `output`.
        """
        self._check_on_device(on_device)
        with self._lock:
            losses = self._one_step(x, y, update=False)
            names = self.program.trained
            gradients = {name: self._engine.gradient(name, on_device) for name in names}
            for i, name in enumerate(self.program.input_gradients):
                gradients[name] = self._engine.kept(i, on_device)
            return losses, gradients

    def find(self, x: Any, y: Any = None, parts: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """Each image's loss, and what `apply` takes to change the weights by this batch.

        Changes nothing. The second, (n,) float32, has all gradients of the losses' mean, and the
        statistics that batch norms move theirs towards.
        """
        with self._lock:
            losses = self._one_step(x, y, update=False, parts=parts)
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
            inputs = self._reader.inputs(x)
            found = self._engine.predict(inputs, self.seed, self.steps)
            return dict(zip((end.output for end in self.program.losses), found, strict=True))

    def output(self, name: str, *, on_device: bool = False) -> Any:
        """What an output of `outputs` was in the last step: (n, height, width, channels) float32.

        As it was computed for that step, before the change, with what dropout left out. With
        `on_device` a copy on the GPU, a `facegen._cuda.DeviceArray`: other trainers there take it,
        and libraries that speak DLPack.
        """
        self._check_on_device(on_device)
        if name not in self.program.outputs:
            raise ValueError(f"{name!r} is not among the outputs that were asked for")
        with self._lock:
            return self._engine.kept(self.program.kept.index(name), on_device)

    @property
    def device(self) -> str:
        """Where the steps run: "cpu" or "cuda:0"."""
        return self._engine.device

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

    def _check_on_device(self, on_device: bool) -> None:
        if on_device and self.device == CPU:
            raise ValueError("a trainer on the CPU has its arrays on the host")

    def _one_step(
        self, x: Any, y: Any, *, update: bool = True, parts: int = 1, predicted: bool = False
    ) -> np.ndarray:
        """A step on a batch: each image's loss."""
        arrays = self._reader.arrays(x, y)
        images = len(arrays.inputs[0])
        losses = self._run(
            arrays, None, 1, images, update=update, parts=parts, predicted=predicted
        )
        return losses[0]

    def _run(
        self,
        data: Any,
        rows: np.ndarray | None,
        count: int,
        images: int,
        *,
        update: bool = True,
        parts: int = 1,
        predicted: bool = False,
    ) -> np.ndarray:
        """So many steps on a batch, or on rows of a data set: (steps, images) of losses."""
        self._reader.check_groups(images)
        if self.ranks and predicted:
            raise ValueError("predict is of a whole batch, and each rank computes a part")
        most = self.most_parts(images)
        if not 1 <= parts <= most:
            raise ValueError(f"parts must be 1 to {most} for {images} images, not {parts}")
        part = self.ranks.part_images(images) if self.ranks else _part_images(images, parts)
        ends = self.program.losses
        losses = np.empty((count, len(ends), images))
        first = self.steps
        rates = np.array([self.optimizer.rates(first + i) for i in range(count)], np.float64)
        steps = Steps(data, rows, losses, rates, self.seed, first, update, part, predicted)
        while len(steps):
            outcome = self._engine.run(steps)
            done = len(outcome.lengths)
            if update:
                self.steps += done
            if outcome.not_finite is not None:
                raise Diverged(f"step {self.steps} of {self.graph.name}: {outcome.not_finite}")
            self.gradient_length = outcome.lengths[-1]
            steps = steps.after(done)
        if count:
            self.losses = {end.output: part for end, part in zip(ends, losses[-1], strict=True)}
        weights = np.array([end.loss.weight for end in ends])
        return (weights[:, np.newaxis] * losses).sum(axis=1)


_MOST_ROWS = 2**31 - 1  # row numbers are int32


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
