"""What a training step takes, as the kernels take it: images and targets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

import numpy as np

from facegen._native import narrow_labels
from facegen.engine.device import CPU
from facegen.engine.foreign import OnDevice, find_own, is_own, locate, values_of
from facegen.nn.grad import TrainingProgram, steps
from facegen.train.pieces import Pieces, length_of

# Of arrays on a GPU; on the host NumPy converts any real numbers.
_INTEGERS = ("uint8", "int32", "int64")
_ELEMENTS = ("float32", "float64", "float16", "bfloat16", *_INTEGERS)


@dataclass(frozen=True)
class OnGpu:
    """An array in a GPU's memory, as the engine there takes it.

    Attributes
    ----------
    images
        Its length.
    native
        As `facegen._cuda.CudaTraining` takes it.
    owner
        Keeps the memory; None: what uses it is known to the memory itself.
    """

    images: int
    native: tuple[str, int, str, tuple[int, ...], tuple[int, ...], Any]
    owner: Any

    def __len__(self) -> int:
        return self.images


@dataclass(frozen=True)
class Joined:
    """Pieces of one array, `interleaved` as those of `facegen.train.Pieces`."""

    pieces: list[np.ndarray | OnGpu]
    interleaved: bool

    def __len__(self) -> int:
        return sum(map(len, self.pieces))

    @property
    def native(self) -> tuple[bool, list[tuple[int, Any]]]:
        """As `facegen._cuda.CudaTraining` takes it."""
        return self.interleaved, [(len(piece), native(piece)) for piece in self.pieces]


Values = np.ndarray | OnGpu | Joined


def native(values: Values) -> Any:
    """As the engine of a GPU takes an array; it puts each piece where it belongs."""
    return values if isinstance(values, np.ndarray) else values.native


def on_host(values: Values) -> np.ndarray:
    """As the engine of the CPU takes an array, for which the reader refuses those of a GPU."""
    if isinstance(values, Joined):
        return Pieces(values.pieces, values.interleaved).joined()
    assert isinstance(values, np.ndarray)
    return values


class Arrays(NamedTuple):
    """Of a batch or a data set, by the program's inputs and targets."""

    inputs: list[Values]
    targets: list[Values]

    @property
    def owners(self) -> list[Any]:
        """Of memory on a GPU that is other libraries'."""
        found: list[Any] = []
        for values in (*self.inputs, *self.targets):
            pieces = values.pieces if isinstance(values, Joined) else [values]
            found += [piece.owner for piece in pieces if isinstance(piece, OnGpu)]
        return found


class Reader:
    """Makes what a caller passes the arrays of a program's steps on a device."""

    def __init__(self, program: TrainingProgram, device: str, threads: int) -> None:
        self._program, self._device, self._threads = program, device, threads

    @property
    def signature(self) -> Any:
        """What must be the same of two programs that take the same data sets."""
        values, losses = self._program.values, self._program.losses
        return (
            [tuple(values[name].shape) for name in self._program.inputs],
            [
                (loss.loss.target, tuple(values[loss.target].shape), values[loss.prediction].shape)
                for loss in losses
                if loss.target is not None
            ],
        )

    def arrays(self, x: Any, y: Any) -> Arrays:
        """Images and the targets of all losses; ValueError where one does not fit."""
        inputs = self.inputs(x)
        return Arrays(inputs, self._targets(y, len(inputs[0])))

    def inputs(self, x: Any) -> list[Values]:
        """Images alone; ValueError where they do not fit."""
        names, values = self._program.inputs, self._program.values
        given = [x] if len(names) == 1 or isinstance(x, Pieces) else _in_turn("inputs", x, names)
        if len(given) != len(names):
            raise ValueError(f"{self._program.name} takes {len(names)} inputs, not {len(given)}")
        inputs = [
            self._joined(name, each, self._images, tuple(values[name].shape))
            for name, each in zip(names, given, strict=True)
        ]
        images = len(inputs[0])
        for name, array in zip(names, inputs, strict=True):
            if len(array) != images:
                raise ValueError(f"{name} has {len(array)} images, and {names[0]} {images}")
        if not images:
            raise ValueError("a batch must have at least 1 image")
        return inputs

    def check_groups(self, images: int) -> None:
        """Refuse a batch of so many images where a loss is of groups."""
        for step in self._program.losses:
            if images % step.loss.group:
                expected = f"groups of {step.loss.group} images"
                raise ValueError(f"{step.loss.kind} takes {expected}, not {images} images")

    def _joined(self, name: str, array: Any, read: Callable[..., Any], about: Any) -> Values:
        """What `read(name, array, about)` gives, of pieces one by one."""
        if not isinstance(array, Pieces):
            values: Values = read(name, array, about)
            return values
        pieces = [
            read(f"piece {i} of {name}", piece, about) for i, piece in enumerate(array.arrays)
        ]
        lengths = [len(piece) for piece in pieces]
        if not all(lengths) or not lengths:
            raise ValueError(f"{name}: expected pieces of 1 image or more, found {lengths}")
        if array.interleaved and len(set(lengths)) > 1:
            raise ValueError(f"{name}: interleaved pieces must be of one length, not {lengths}")
        return Joined(pieces, array.interleaved)

    def _images(self, name: str, array: Any, shape: tuple[int, ...]) -> np.ndarray | OnGpu:
        values = self._find(name, array)
        if len(values.shape) < 1 or values.shape[1:] != shape:
            expected = ", ".join(map(str, shape))
            raise ValueError(f"{name}: expected shape (n, {expected}), found {values.shape}")
        if isinstance(values, OnDevice):
            return _on_gpu(name, values, values.shape)
        if values.dtype.kind not in "fiub":
            raise ValueError(f"{name}: expected real numbers, found {values.dtype}")
        return np.ascontiguousarray(values, np.float32)

    def _targets(self, y: Any, images: int) -> list[Values]:
        """The targets of all losses that take one, in their order."""
        losses = [loss for loss in self._program.losses if loss.target is not None]
        if not losses:
            if y is not None:
                raise ValueError(f"{self._program.name} is trained without targets, but found some")
            return []
        names = [loss.output for loss in losses]
        if y is None:
            raise ValueError(f"targets: expected those of {', '.join(names)}, found none")
        if isinstance(y, Mapping):
            if y.keys() != set(names):
                found = ", ".join(map(str, y))
                raise ValueError(f"targets: expected those of {', '.join(names)}, found {found}")
            given = [y[name] for name in names]
        else:
            given = [y]
            if len(losses) > 1 and not isinstance(y, Pieces):
                given = _in_turn("targets", y, names)
            if len(given) != len(losses):
                raise ValueError(
                    f"targets: expected {len(losses)} ({', '.join(names)}), found {len(given)}"
                )
        return [
            self._target(loss, each, images, "" if len(losses) == 1 else f" of {loss.output}")
            for loss, each in zip(losses, given, strict=True)
        ]

    def _target(self, loss: steps.Loss, y: Any, images: int, of_output: str) -> Values:
        name = ("labels" if loss.loss.target == "labels" else "targets") + of_output
        if not isinstance(y, Pieces):
            return self._whole_target(name, y, loss, images)

        def read(name: str, piece: Any, loss: steps.Loss) -> np.ndarray | OnGpu:
            return self._whole_target(name, piece, loss, length_of(name, piece))

        joined = self._joined(name, y, read, loss)
        if len(joined) != images:
            raise ValueError(f"{name}: expected pieces of {images} images, found {len(joined)}")
        return joined

    def _whole_target(
        self, name: str, y: Any, loss: steps.Loss, images: int
    ) -> np.ndarray | OnGpu:
        assert loss.target is not None
        shape = (images, *self._program.values[loss.target].shape)
        if loss.loss.target == "labels":
            classes = self._program.values[loss.prediction].shape.channels
            return self._labels(name, y, shape, classes)
        numbers = self._find(name, y)
        if isinstance(numbers, OnDevice):
            return _on_gpu(name, numbers, shape)
        if numbers.dtype.kind not in "fiub":
            raise ValueError(f"{name}: expected real numbers, found {numbers.dtype}")
        if numbers.shape == (images,):  # a number an image
            numbers = numbers.reshape(images, 1, 1, 1)
        try:
            if numbers.shape != shape:
                numbers = np.broadcast_to(numbers, shape)
            target = np.ascontiguousarray(numbers, np.float32)
        except ValueError:
            raise _no_spread(name, numbers.shape, shape) from None
        if loss.loss.target == "shares" and (target < 0).any():
            raise ValueError(f"{name}: expected 0 or more, found {target.min()}")
        return target

    def _labels(
        self, name: str, y: Any, shape: tuple[int, ...], classes: int
    ) -> np.ndarray | OnGpu:
        labels = self._find(name, y)
        found = labels.element if isinstance(labels, OnDevice) else labels.dtype
        integers = (
            found in _INTEGERS if isinstance(labels, OnDevice) else labels.dtype.kind in "iu"
        )
        if not integers:
            raise ValueError(f"{name}: expected integers, found {found}")
        of_images = shape[1:] == (1, 1, 1)
        if labels.shape not in (shape, shape[:-1]) and not (
            of_images and labels.shape == shape[:1]
        ):
            expected = shape[:1] if of_images else shape[:-1]
            raise ValueError(f"{name}: expected shape {expected}, found {labels.shape}")
        if isinstance(labels, OnDevice):  # whose numbers are checked there
            strides = labels.strides + (0,) * (4 - len(labels.shape))
            return _on_gpu(name, labels._replace(shape=shape, strides=strides), shape)
        labels = np.require(labels, labels.dtype.newbyteorder("="), ["C", "A"])
        narrow = np.empty(labels.shape, np.int32)
        if not narrow_labels(labels, classes, narrow, self._threads):
            place = np.unravel_index(labels.argmax(), labels.shape)
            where = ", ".join(map(str, place))
            raise ValueError(
                f"{name}: expected 0 to {classes - 1}, or below 0 for no class, found "
                f"{labels[place]} at [{where}]"
            )
        return narrow

    def _find(self, name: str, array: Any) -> np.ndarray | OnDevice:
        """An array on the host, or where it is on this device."""
        if array is None:
            raise ValueError(f"{name}: expected an array, found none")
        if is_own(array):
            there = find_own(array)
        else:
            library, found = locate([array], [name])
            if not found:
                if library is None:
                    return _of_numpy(name, array)
                return values_of(library, [array])[0]
            (there,) = found
        if self._device == CPU:
            raise ValueError(
                f"{name} is on GPU {there.device}, and this trains on the CPU; choose another "
                "device, or pass it on the host"
            )
        if self._device != f"cuda:{there.device}":
            raise ValueError(f"{name} is on cuda:{there.device}, and this trains on {self._device}")
        return there._replace(element=there.element.removeprefix("torch."))


def _in_turn(name: str, given: Any, names: Sequence[str]) -> list[Any]:
    """Arrays of these names, one after another; ValueError for what is one alone."""
    try:
        return list(given)
    except TypeError:
        found = "none" if given is None else type(given).__name__
        raise ValueError(
            f"{name}: expected {len(names)} arrays ({', '.join(names)}), found {found}"
        ) from None


def _of_numpy(name: str, values: Any) -> np.ndarray:
    """An array of what is one, or lists of numbers; ValueError where their lengths differ."""
    try:
        return np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{name}: expected an array, found {values!r:.80}") from error


def _on_gpu(name: str, found: OnDevice, shape: tuple[int, ...]) -> OnGpu:
    """An array spread to a shape of four sizes; ValueError where it cannot be."""
    if found.element not in _ELEMENTS:
        raise ValueError(f"{name}: expected {', '.join(_ELEMENTS)}, found {found.element}")
    its_shape, its_strides = found.shape, found.strides
    if its_shape == shape[:1]:  # a number an image
        its_shape, its_strides = (*its_shape, 1, 1, 1), (*its_strides, 0, 0, 0)
    missing = 4 - len(its_shape)
    if missing < 0:
        raise _no_spread(name, found.shape, shape)
    its_shape, its_strides = (1,) * missing + its_shape, (0,) * missing + its_strides
    strides = tuple(
        stride if size == wanted else 0
        for size, stride, wanted in zip(its_shape, its_strides, shape, strict=True)
    )
    if any(size not in (1, wanted) for size, wanted in zip(its_shape, shape, strict=True)):
        raise _no_spread(name, found.shape, shape)
    own = is_own(found.owner)
    behind = found.owner if own else found.stream
    native = (name, found.pointer, found.element, shape[1:], strides, behind)
    return OnGpu(shape[0], native, None if own else found.owner)


def _no_spread(name: str, found: tuple[int, ...], shape: tuple[int, ...]) -> ValueError:
    return ValueError(f"{name}: expected shape {shape}, or what spreads to it, found {found}")


def check_rows(rows: Any, images: int) -> np.ndarray:
    """Rows of a data set as the engines take them: (steps, batch) int32, C-contiguous.

    Raises
    ------
    ValueError
        They are of another kind, or not all from 0 to `images` - 1.
    """
    array = _of_numpy("rows", rows)
    if array.dtype.kind not in "iu" or array.ndim != 2 or prod(array.shape[1:]) == 0:
        raise ValueError(
            f"rows: expected integers (steps, batch), found {array.dtype} of shape {array.shape}"
        )
    if array.size and not (array.min() >= 0 and array.max() < images):
        worst = array.argmin() if array.min() < 0 else array.argmax()
        step, place = divmod(int(worst), array.shape[1])
        raise ValueError(
            f"rows: expected 0 to {images - 1}, found {array[step, place]} at [{step}, {place}]"
        )
    return np.ascontiguousarray(array, np.int32)
