"""What a trainer does with batches: steps, one a call or many, and what they leave."""

from __future__ import annotations

from typing import Any, overload

import numpy as np

from facegen.engine.device import CPU
from facegen.train.arguments import check_flag, check_kind
from facegen.train.batch import check_rows
from facegen.train.held import Held
from facegen.train.running import Diverged, Running, whole_number

_MOST_ROWS = 2**31 - 1  # row numbers are int32


class Stepping(Running):
    """The part of a `Trainer` that computes."""

    @overload
    def step(
        self, x: Any, y: Any = None, parts: int = 1, *, predicted: bool = False
    ) -> np.ndarray: ...
    @overload
    def step(
        self, x: Any, y: Any = None, parts: int = 1, *, predicted: bool = False, wait: bool
    ) -> np.ndarray | None: ...
    def step(
        self, x: Any, y: Any = None, parts: int = 1, *, predicted: bool = False, wait: bool = True
    ) -> np.ndarray | None:
        """Change the weights by one batch.

        Parameters
        ----------
        x
            Images (n, height, width, channels), or a sequence of arrays where the graph has several
            inputs: real numbers. On a GPU any array may be in its memory, of whoever speaks DLPack
            or has `__cuda_array_interface__`; it is read where it is. An array may be in `Pieces`,
            targets as well.
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
        wait
            Or not: on a GPU the step is enqueued alone, and its losses are what `self.wait` gives
            later. Arrays may be changed as soon as this returns: those on the host have been read,
            and those on the GPU are in the order of their stream, for which their owners are kept.
            Other calls wait first, but for those with `on_device` or without `wait`; eight steps
            may be under way, and the next one waits for the oldest. On the CPU, and with `ranks`,
            it is done when this returns.

        Returns
        -------
        (n,) float64
            Each image's loss, before the change; `losses` then has its parts by their outputs,
            without their weights. None without `wait`.

        Raises
        ------
        ValueError
            For arrays that do not fit, labels out of range, and more parts than `most_parts`.
        MemoryError
            There is none for the batch, or for a part of it. The weights are as they were.
        Diverged
            A number is not finite: says where that began. The weights are then as they were. Of
            a step that was not waited for it is raised by the next call that waits; steps behind
            it have changed nothing, and `steps` does not count them.
        """
        check_flag("wait", wait)
        check_flag("predicted", predicted)
        with self._lock:
            return self._take_step(x, y, wait, parts=parts, predicted=bool(predicted))

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
            self._settle()
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
            For rows out of range, a data set of another network, and what is no data set; nothing
            is done then.
        MemoryError, Diverged
            As for `step`. `steps` counts those that were done.
        """
        check_kind("the data set", held, Held, "what hold gave")
        if held.device != self.device or held.network != self._reader.signature:
            raise ValueError(
                f"the data set is for another network on {held.device}, not for {self.graph.name} "
                f"on {self.device}"
            )
        numbers = check_rows(rows, held.images)
        with self._lock:
            return self._run(held.data, numbers, len(numbers), numbers.shape[1], parts=parts)

    def images_of(self, x: Any) -> int:
        """How many images a batch of a step has; ValueError where it does not fit the graph."""
        return len(self._reader.inputs(x)[0])

    @overload
    def gradients(
        self, x: Any, y: Any = None, *, on_device: bool = False
    ) -> tuple[np.ndarray, dict[str, Any]]: ...
    @overload
    def gradients(
        self, x: Any, y: Any = None, *, on_device: bool = False, wait: bool
    ) -> tuple[np.ndarray | None, dict[str, Any]]: ...
    def gradients(
        self, x: Any, y: Any = None, *, on_device: bool = False, wait: bool = True
    ) -> tuple[np.ndarray | None, dict[str, Any]]:
        """Each image's loss, and the gradients of their mean; changes nothing.

        By parameter, and by the `inputs` that were asked for: (n, height, width, channels). With
        `on_device` they are arrays on the GPU, as of `output`. Without `wait` the losses are what
        `self.wait` gives later, as those of steps.
        """
        check_flag("wait", wait)
        self._check_on_device(on_device)
        with self._lock:
            losses = self._take_step(x, y, wait, update=False)
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
            `found` is of another network, or is no array; there was no such batch.
        Diverged
            A number is not finite. The weights are then as they were.
        """
        check_kind("found", found, np.ndarray, "what find gave")
        images = whole_number("images", images)
        with self._lock:
            self._settle()
            rates = self.optimizer.rates(self.steps)
            try:
                self.gradient_length = self._engine.apply(
                    found, images, rates, self.seed, self.steps
                )
            except FloatingPointError as error:
                raise Diverged(f"step {self.steps} of {self.graph.name}: {error}") from None
            self._counter.steps += 1

    def predict(self, x: Any, *, on_device: bool = False) -> dict[str, Any]:
        """What the losses are of, by the outputs' names; changes nothing.

        As in a step: batch norms take the batch's statistics, and dropout is that of the next step.
        Where a loss has a Softmax or Sigmoid in itself, what that would read. With `on_device` they
        are arrays on the GPU, as of `output`.
        """
        self._check_on_device(on_device)
        with self._lock:
            if not on_device:
                self._settle()
            inputs = self._reader.inputs(x)
            found = self._engine.predict(inputs, self.seed, self.steps, on_device)
            if found is None:
                self._finish_all()
                found = self._engine.predict(inputs, self.seed, self.steps, on_device)
                assert found is not None
            return dict(zip((end.output for end in self.program.losses), found, strict=True))

    def output(self, name: str, *, on_device: bool = False) -> Any:
        """What an output of `outputs` was in the last step: (n, height, width, channels) float32.

        As it was computed for that step, before the change, with what dropout left out. With
        `on_device` a copy on the GPU, a `facegen._cuda.DeviceArray`: other trainers there take it,
        and libraries that speak DLPack. Nothing is waited for then, but other `ranks`: who takes it
        is behind it.
        """
        self._check_on_device(on_device)
        if name not in self.program.outputs:
            raise ValueError(f"{name!r} is not among the outputs that were asked for")
        with self._lock:
            if not on_device:
                self._settle()
            return self._engine.kept(self.program.kept.index(name), on_device)

    def _check_on_device(self, on_device: bool) -> None:
        check_flag("on_device", on_device)
        if on_device and self.device == CPU:
            raise ValueError("a trainer on the CPU has its arrays on the host")
