"""What a training step takes, as the kernels take it: images and targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from facegen.nn.grad import TrainingProgram, steps


def find_images(name: str, array: Any, shape: Sequence[int]) -> np.ndarray:
    """An input as the kernels take it."""
    values = np.asarray(array)
    if values.dtype.kind not in "fiub":
        raise ValueError(f"{name}: expected real numbers, found {values.dtype}")
    if values.ndim < 1 or values.shape[1:] != tuple(shape):
        expected = ", ".join(map(str, shape))
        raise ValueError(f"{name}: expected shape (n, {expected}), found {values.shape}")
    return np.ascontiguousarray(values, np.float32)


def find_targets(program: TrainingProgram, y: Any, images: int) -> list[np.ndarray]:
    """The targets of all losses that take one, in their order; ValueError where `y` is no such."""
    losses = [loss for loss in program.losses if loss.target is not None]
    if not losses:
        if y is not None:
            raise ValueError(f"{program.name} is trained without targets, but found some")
        return []
    names = [loss.output for loss in losses]
    if isinstance(y, Mapping):
        if y.keys() != set(names):
            raise ValueError(
                f"targets: expected those of {', '.join(names)}, found {', '.join(map(str, y))}"
            )
        given = [y[name] for name in names]
    else:
        given = [y] if len(losses) == 1 else list(y)
        if len(given) != len(losses):
            raise ValueError(
                f"targets: expected {len(losses)} ({', '.join(names)}), found {len(given)}"
            )
    return [
        _target(program, loss, each, images, "" if len(losses) == 1 else f" of {loss.output}")
        for loss, each in zip(losses, given, strict=True)
    ]


def _target(
    program: TrainingProgram, loss: steps.Loss, y: Any, images: int, of_output: str
) -> np.ndarray:
    assert loss.target is not None
    shape = (images, *program.values[loss.target].shape)
    if loss.loss.target == "labels":
        classes = program.values[loss.prediction].shape.channels
        return _labels(f"labels{of_output}", y, shape, classes)
    name = f"targets{of_output}"
    numbers = np.asarray(y)
    if numbers.dtype.kind not in "fiub":
        raise ValueError(f"{name}: expected real numbers, found {numbers.dtype}")
    if numbers.shape == (images,):  # a number an image
        numbers = numbers.reshape(images, 1, 1, 1)
    try:
        target = np.ascontiguousarray(np.broadcast_to(numbers, shape), np.float32)
    except ValueError:
        raise ValueError(
            f"{name}: expected shape {shape}, or what spreads to it, found {numbers.shape}"
        ) from None
    if loss.loss.target == "shares" and (target < 0).any():
        raise ValueError(f"{name}: expected 0 or more, found {target.min()}")
    return target


def _labels(name: str, y: Any, shape: Sequence[int], classes: int) -> np.ndarray:
    labels = np.asarray(y)
    if labels.dtype.kind not in "iu":
        raise ValueError(f"{name}: expected integers, found {labels.dtype}")
    if labels.shape not in (shape, shape[:-1]) and (labels.shape, shape[1:]) != (
        shape[:1],
        (1, 1, 1),
    ):
        expected = shape[:1] if shape[1:] == (1, 1, 1) else shape[:-1]
        raise ValueError(f"{name}: expected shape {expected}, found {labels.shape}")
    if labels.size and labels.max() >= classes:
        place = np.unravel_index(labels.argmax(), labels.shape)
        where = ", ".join(map(str, place))
        raise ValueError(
            f"{name}: expected 0 to {classes - 1}, or below 0 for no class, found "
            f"{labels[place]} at [{where}]"
        )
    return np.ascontiguousarray(
        np.maximum(labels, -1) if labels.dtype.kind == "i" else labels, np.int32
    )
