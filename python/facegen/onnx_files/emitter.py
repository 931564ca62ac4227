"""The nodes and initialisers of an ONNX model as they grow, and the forms that its values have.

Maps are (n, channels, height, width) there; what has one pixel may be a vector (n, channels) as
well. A layer says which of the two it reads, and `Emitter` adds what turns one into the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from facegen.nn import Shape
from facegen.nn.gemm_layers import GemmLayer
from facegen.nn.graph import Node

MAP, VECTOR = "map", "vector"


Turn = Callable[[np.ndarray], np.ndarray]


class Emitter:
    """The nodes and initialisers of a model as they grow.

    Parameters
    ----------
    shapes
        Of the graph's tensors.
    weights
        The graph's.
    reserved
        Names that nothing inside may take: those of the model's inputs and outputs.

    Attributes
    ----------
    opset
        The oldest version of ONNX's operators that has all that was added.
    """

    def __init__(
        self, shapes: Mapping[str, Shape], weights: Mapping[str, np.ndarray], reserved: set[str]
    ) -> None:
        self.shapes, self._weights = shapes, weights
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self.opset = 17
        self._reserved, self._taken = reserved, set(reserved)
        self._nodes_taken: set[str] = set()  # ONNX Runtime wants nodes of different names
        self._values: dict[tuple[str, str], str] = {}  # (tensor, form) -> the value's name

    def know(self, tensor: str, form: str, value: str) -> None:
        """A tensor of the graph is that value."""
        self._values[tensor, form] = value

    def form(self, tensor: str) -> str:
        """The form that a tensor has anyway."""
        return VECTOR if (tensor, VECTOR) in self._values else MAP

    def value(self, tensor: str, form: str) -> str:
        """A tensor in that form, which is made where there is none yet."""
        found = self._values.get((tensor, form))
        if found is None:
            if form == VECTOR:
                source = self._values[tensor, MAP]
                found = self.emit("Flatten", [source], f"{tensor}.{VECTOR}", axis=1)
            else:
                axes = self.constant(f"{tensor}.axes", np.array([2, 3], np.int64))
                source = self._values[tensor, VECTOR]
                found = self.emit("Unsqueeze", [source, axes], f"{tensor}.{MAP}")
            self._values[tensor, form] = found
        return found

    def emit(self, op: str, inputs: Sequence[str], name: str, **attributes: Any) -> str:
        """Add a node of that name; its only output, of a name like it."""
        output = _unused(name, self._taken)
        self._add(op, inputs, output, name, **attributes)
        return output

    def emit_end(self, op: str, inputs: Sequence[str], end: str, **attributes: Any) -> None:
        """Add a node whose output is the model's, of that reserved name."""
        self._add(op, inputs, end, end, **attributes)

    def constant(self, name: str, array: np.ndarray) -> str:
        """Add an initialiser."""
        from onnx import numpy_helper

        name = _unused(name, self._taken)
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def weights(self, node: Node, turn: Turn | None = None) -> list[str]:
        """A layer's parameters as initialisers; `turn` orders the axes of what is no vector.

        Weights of binary layers are written as the signs that they stand for.
        """
        assert node.layer is not None
        names = []
        for parameter in node.layer.parameters():
            array = self._weights[f"{node.name}.{parameter}"]
            if parameter == "weight" and isinstance(node.layer, GemmLayer) and node.layer.binary:
                array = np.where(array < 0, np.float32(-1), np.float32(1))
            turned = array if turn is None or array.ndim == 1 else turn(array)
            names.append(self.constant(f"{node.name}.{parameter}", turned))
        return names

    def reshape(self, source: str, name: str, sizes: Sequence[int]) -> str:
        """As many numbers an image in another shape; the batch stays what it is."""
        shape = self.constant(f"{name}.shape", np.array([0, *sizes], np.int64))
        return self.emit("Reshape", [source, shape], name)

    def rename(self, value: str, name: str) -> bool:
        """Call what a node makes by a reserved name; False where none makes it, or it has one."""
        if value in self._reserved or not any(value in node.output for node in self.nodes):
            return False
        for node in self.nodes:
            for names in (node.input, node.output):
                for i, each in enumerate(names):
                    if each == value:
                        names[i] = name
        self._values = {key: name if v == value else v for key, v in self._values.items()}
        return True

    def _add(
        self, op: str, inputs: Sequence[str], output: str, name: str, **attributes: Any
    ) -> None:
        from onnx import helper

        name = _unused(name, self._nodes_taken)
        self.nodes.append(helper.make_node(op, inputs, [output], name, **attributes))


def _unused(name: str, taken: set[str]) -> str:
    """That name or one like it, which is taken from now on."""
    unused, count = name, 1
    while unused in taken:
        count += 1
        unused = f"{name}.{count}"
    taken.add(unused)
    return unused
