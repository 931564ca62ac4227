"""A node of an ONNX graph as the functions of operators see it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from facegen.nn import Layer, Tensor
from facegen.onnx_files.draft import Draft
from facegen.onnx_files.value import Value

Known = Value | np.ndarray  # what is computed, and what is constant


@dataclass(frozen=True)
class Node:
    """What it reads, its attributes, and the draft that its layers go to.

    Whatever an operator finds amiss is a ValueError; the reader adds the node's name.
    """

    name: str
    op: str
    opset: int
    batch: int  # of the file; 1 where it is symbolic
    any_batch: bool  # whether it is symbolic
    inputs: tuple[Known | None, ...]
    outputs: int  # how many it has
    attributes: dict[str, Any]
    draft: Draft

    def get(self, name: str, default: Any) -> Any:
        return self.attributes.get(name, default)

    def has(self, index: int) -> bool:
        return index < len(self.inputs) and self.inputs[index] is not None

    def value(self, index: int = 0) -> Value:
        """An input that is computed."""
        found = self.inputs[index] if self.has(index) else None
        if not isinstance(found, Value):
            raise ValueError(f"its input {index} is constant, expected one that is computed")
        return found

    def constant(self, index: int, what: str) -> np.ndarray:
        """An input that is known now."""
        found = self.inputs[index] if self.has(index) else None
        if not isinstance(found, np.ndarray):
            raise ValueError(
                f"its {what} must be constant: export the network with constants folded"
            )
        return found

    def numbers(self, index: int, what: str) -> np.ndarray:
        """Real numbers that are known now, float64."""
        return real(self.constant(index, what), what)

    def integers(self, index: int, attribute: str) -> list[int] | None:
        """An attribute of old opsets that is an input of new ones; None where it is left out."""
        if self.has(index):
            found = self.constant(index, attribute)
            if found.dtype.kind not in "iu":
                raise ValueError(f"expected {attribute} of integers, found {found.dtype}")
            return [int(each) for each in found.ravel()]
        stated = self.get(attribute, None)
        return None if stated is None else [int(each) for each in stated]

    def add(self, layer: Layer, *inputs: Tensor, **weights: np.ndarray) -> Tensor:
        return self.draft.add(self.name, layer, *inputs, **weights)

    def map_of(self, index: int = 0) -> Tensor:
        """An input as a map, (n, channels, height, width) in the file."""
        value = self.value(index)
        if len(value.shape) != 3:
            raise ValueError(
                "expected a map (n, channels, height, width), "
                f"found an array of {len(value.shape) + 1} dimensions"
            )
        return self.draft.as_map(value)

    def axis(self, axis: int, rank: int) -> int:
        """An axis counted from the front, of an array with the batch; never the batch's own."""
        found = axis + rank if axis < 0 else axis
        if not 1 <= found < rank:
            raise ValueError(f"its axis {axis} of {rank} is the batch, or there is none such")
        return found


def map_value(tensor: Tensor) -> Value:
    """A map of our graph as the file has it: (channels, height, width)."""
    height, width, channels = tensor.shape
    return Value(tensor, (channels, height, width))


def real(array: np.ndarray, what: str) -> np.ndarray:
    """An array of real numbers, which may be bfloat16's, as float64."""
    if array.dtype.kind not in "fiu" and array.dtype.name != "bfloat16":
        raise ValueError(f"expected {what} of real numbers, found {array.dtype}")
    with np.errstate(invalid="ignore"):  # of a NaN that signals
        return array.astype(np.float64)


def are_signs(weight: np.ndarray) -> bool:
    """Whether it has -1 and 1 and no others: then a binary layer multiplies the very same."""
    return bool((np.abs(weight) == 1).all()) and weight.min() < weight.max()


def scalar(array: np.ndarray, what: str, finite: bool = True) -> float:
    """The only number of an array."""
    numbers = real(array, what)
    if numbers.size != 1 or (finite and not math.isfinite(numbers.item())):
        raise ValueError(f"its {what} must be one finite number, found {numbers.size}")
    return float(numbers.item())
