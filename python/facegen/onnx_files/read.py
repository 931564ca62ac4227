"""An ONNX file as a graph of layers with their weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from facegen.errors import FormatError, first_line
from facegen.graphs import End, GraphNetwork
from facegen.nn import Affine, Reshape
from facegen.onnx_files.activations import Erf
from facegen.onnx_files.constants import FOLDED, fold
from facegen.onnx_files.draft import Draft
from facegen.onnx_files.file import import_onnx, inferred_shapes, known_as, load_checked, opset
from facegen.onnx_files.node import Known, Node
from facegen.onnx_files.operators import HINTS, OPERATORS
from facegen.onnx_files.value import Value
from facegen.weights.checks import Path

# By how much a side may be larger than onnx infers.
_PIXEL_OFF = {"Resize": 1, "Upsample": 1, "MaxPool": -1, "AveragePool": -1}
SIDE = 256  # the height and the width that a file is read for first, where it leaves them free


def read(path: Path) -> GraphNetwork:
    """Read an ONNX file.

    Raises
    ------
    FacegenError
        The package onnx is not installed.
    FormatError
        It is no ONNX model, damaged, or has a node that no layer here computes, which is named.
    OSError
        The file cannot be read.
    """
    return _network(path, load_checked(path), None)


def _network(
    path: Path,
    model: Any,
    shapes: Sequence[tuple[int, ...]] | None,
    inferred: Mapping[str, Any] | None = None,
) -> GraphNetwork:
    """The network for inputs of these shapes; None: those of the file, and `SIDE` where it is free.

    A file with free sizes is read for each anew: they decide what its shapes compute to. What
    onnx infers is the same for all.
    """
    reader = _Reader(path, model, shapes)
    network = reader.network()
    inferred = inferred_shapes(path, model) if inferred is None else inferred
    for known in (_stated_shapes(model.graph), inferred):
        reader.check_shapes(known)
    if shapes is None and any(end.free for end in network.inputs):
        network = replace(network, at=partial(_network, path, model, inferred=inferred))
    return network


def _stated_shapes(graph: Any) -> dict[str, Any]:
    return {each.name: each.type.tensor_type for each in (*graph.value_info, *graph.output)}


class _Made(NamedTuple):
    """What a node made under one of its outputs' names."""

    node: str
    op: str
    output: str
    result: Known


class _Reader:
    def __init__(
        self, path: Path, model: Any, shapes: Sequence[tuple[int, ...]] | None = None
    ) -> None:
        self.path, self.graph, self.shapes = path, model.graph, shapes
        self.opset, self.known_as = opset(path, model), known_as(model)
        self.draft = Draft(self.graph.name or "onnx")
        self.known: dict[str, Known] = {}
        self.batch, self.any_batch = 1, True
        self.made: list[_Made] = []

    def network(self) -> GraphNetwork:
        self._take_initializers()
        inputs = self._take_inputs()
        for i, proto in enumerate(self.graph.node):
            name = proto.name or (proto.output[0] if proto.output else f"node {i}")
            try:
                self._take(proto, name)
            except (ValueError, IndexError, RecursionError) as error:
                raise self._refused(name, proto.op_type, first_line(error)) from None
        ends = [self._end(each.name) for each in self.graph.output]
        graph, weights = self.draft.finish([value.tensor for _, value in ends])
        for node in graph.nodes:
            if isinstance(node.layer, Erf):
                raise self._refused(
                    node.name,
                    "Erf",
                    "no layer here computes it but as a part of GELU, "
                    "x / 2 * (1 + erf(x / sqrt(2)))",
                )
        outputs = tuple(end for end, _ in ends)
        return GraphNetwork(graph, weights, inputs, outputs, self.known_as)

    def _take_initializers(self) -> None:
        numpy_helper = import_onnx().numpy_helper
        if self.graph.sparse_initializer:
            raise FormatError(f"{self.path}: its weights are sparse, expected dense ones")
        for tensor in self.graph.initializer:
            try:
                self.known[tensor.name] = numpy_helper.to_array(tensor)
            except (ValueError, TypeError, KeyError) as error:
                raise FormatError(
                    f"{self.path}: tensor {tensor.name!r:.100}: {first_line(error)}"
                ) from None

    def _take_inputs(self) -> tuple[End, ...]:
        """Old files have their weights among the inputs."""
        ends: list[End] = []
        for given in self.graph.input:
            if given.name in self.known:
                continue
            where = f"{self.path}: input {given.name!r:.100}"
            kind = given.type.tensor_type
            batch, *sizes = [d.dim_value for d in kind.shape.dim] or [0]
            free = tuple(i for i, size in enumerate(sizes) if size < 1 and i > 0)
            if kind.elem_type not in _floats() or not sizes or sizes[0] < 1:
                raise FormatError(
                    f"{where}: expected floats (n, channels, ...) with a fixed number of channels, "
                    f"found {_described(kind)}"
                )
            for i in free:
                sizes[i] = SIDE if self.shapes is None else self.shapes[len(ends)][i]
            if batch > 0 and ends and self.batch not in (1, batch):
                raise FormatError(f"{where}: has a batch of {batch}, others one of {self.batch}")
            if batch > 0:
                self.batch, self.any_batch = batch, False
            try:
                self.known[given.name] = self.draft.input(given.name, tuple(sizes))
            except ValueError as error:
                raise FormatError(f"{where}: {error}") from None
            ends.append(End(given.name, tuple(sizes), free=free if self.shapes is None else ()))
        if not ends:
            raise FormatError(f"{self.path}: has no input")
        return tuple(ends)

    def _take(self, proto: Any, name: str) -> None:
        for read in proto.input:
            if read and read not in self.known:
                raise ValueError(f"it reads {read!r:.100}, which no node here makes")
        inputs = tuple(self.known[read] if read else None for read in proto.input)
        op = proto.op_type if proto.domain in ("", "ai.onnx") else f"{proto.domain}.{proto.op_type}"
        if op in FOLDED and not any(isinstance(each, Value) for each in inputs):
            constants = [each for each in inputs if not isinstance(each, Value)]
            self.known.update(zip(proto.output, fold(proto, constants, self.opset), strict=True))
            return
        if op not in OPERATORS:
            hint = HINTS.get(op, f"write it by these operators: {', '.join(OPERATORS)}")
            raise ValueError(f"no layer here computes {op:.80}; {hint}")
        get = import_onnx().helper.get_attribute_value
        attributes = {a.name: _decoded(get(a)) for a in proto.attribute}
        outputs = len(proto.output)
        batch = self.batch, self.any_batch
        node = Node(name, op, self.opset, *batch, inputs, outputs, attributes, self.draft)
        found = OPERATORS[op](node)
        results = found if isinstance(found, list) else [found]
        # What there is besides, such as a mask, nothing here may read.
        for output, result in zip(proto.output, results, strict=False):
            self.made.append(_Made(name, op, output, result))
            self.known[output] = result

    def check_shapes(self, known: Mapping[str, Any]) -> None:
        """What else is known of shapes, stated or inferred by onnx, must be what came out here.

        But onnx multiplies sizes by scales in float64, ONNX Runtime and layers here in float32; and
        before opset 22 a pool's last window may be one that has nothing but padding, with
        ceil_mode. Where it is a pixel off, all that it infers from there on is of another size.

        Raises
        ------
        FormatError
            It is another; the message names the node.
        """
        for node, op, output, result in self.made:
            kind = known.get(output)
            if kind is None or not kind.HasField("shape") or not isinstance(result, Value):
                continue
            sizes = [max(d.dim_value, 0) for d in kind.shape.dim][1:]
            if len(sizes) == len(result.shape):
                more = [b - a for a, b in zip(sizes, result.shape, strict=True) if a]
                if not any(more):
                    continue
                if set(more) <= {0, _PIXEL_OFF.get(op, 0)}:
                    return
            shape = ", ".join(map(str, ("n", *result.shape)))
            raise self._refused(node, op, f"makes ({shape}), expected {_described(kind)}")

    def _refused(self, node: str, op: str, why: str) -> FormatError:
        return FormatError(f"{self.path}: node {node!r:.100} ({op:.40}): {why}")

    def _end(self, name: str) -> tuple[End, Value]:
        value = self.known.get(name)
        if not isinstance(value, Value):
            raise FormatError(f"{self.path}: output {name!r:.100} does not depend on an input")
        if value.order is not None:
            tensor, order = self.draft.flat(value)
            value = Value(tensor, value.shape, order)
        return End(name, value.shape, value.order), self._computed(value, name)

    def _computed(self, value: Value, name: str) -> Value:
        """An output that is an input itself, or its view, becomes a copy."""
        tensor = value.tensor
        while isinstance(self.draft.layer(tensor.name), Reshape):
            tensor = self.draft.source(tensor.name)
        if self.draft.layer(tensor.name) is not None:
            return value
        return Value(self.draft.add(name, Affine(), value.tensor), value.shape, value.order)


def _floats() -> tuple[int, ...]:
    kinds = import_onnx().TensorProto
    return kinds.FLOAT, kinds.FLOAT16, kinds.DOUBLE, kinds.BFLOAT16


def _described(kind: Any) -> str:
    """A type and a shape, as "FLOAT (batch, 3, ?)"."""
    types = import_onnx().TensorProto.DataType
    element = types.Name(kind.elem_type) if kind.elem_type in types.values() else "no tensor"
    sizes = [str(d.dim_value or d.dim_param or "?") for d in kind.shape.dim[:8]]
    return f"{element} ({', '.join(sizes)})"


def _decoded(value: Any) -> Any:
    """An attribute; a number is the shortest decimal of its float32, as whoever wrote it had it."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, float):
        return float(str(np.float32(value)))
    return list(value) if hasattr(value, "__iter__") and not isinstance(value, str) else value
