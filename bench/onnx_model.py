"""A network as an ONNX model, for the peers that read it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, checker, helper, numpy_helper

from bench.nchw import Network, Node, PlainReshape, max_pool_padding, nchw_network
from facegen.nn import (
    Add,
    Affine,
    ArgMax,
    BatchNorm,
    Concat,
    Conv2d,
    ConvTranspose2d,
    GlobalAvgPool2d,
    Graph,
    InstanceNorm,
    LeakyReLU,
    Linear,
    MaxPool2d,
    ReLU,
    Reshape,
    Shape,
    Softmax,
    Tanh,
    Upsample,
)
from facegen.nn.window import WindowAxis

OPSET, IR_VERSION = 17, 8  # old enough for every reader


def onnx_model(graph: Graph, weights: Mapping[str, np.ndarray], batch: int) -> ModelProto:
    """`graph` with its weights and a fixed batch; NCHW inputs and outputs by their names."""
    network = nchw_network(graph, weights)
    builder = _Builder(network, batch)
    for node in network.nodes:
        if node.layer is not None:
            builder.add(node)
    shapes = {node.name: node.shape for node in network.nodes}
    body = helper.make_graph(
        builder.nodes,
        network.name,
        [_value(node.name, node.shape, batch) for node in network.inputs],
        [_value(name, shapes[name], batch) for name in network.outputs],
        builder.constants,
    )
    opset = helper.make_opsetid("", OPSET)
    model = helper.make_model(body, opset_imports=[opset], ir_version=IR_VERSION)
    checker.check_model(model)
    return model


def _value(name: str, shape: Shape, batch: int):
    height, width, channels = shape
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, channels, height, width])


class _Builder:
    """Collects the nodes and constants of a model."""

    def __init__(self, network: Network, batch: int) -> None:
        self.network, self.batch = network, batch
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def add(self, node: Node) -> None:
        x, y = self.network.input_shape(node), node.shape
        layer = node.layer
        match layer:
            case Conv2d():
                self._op(node, "Conv", self._weights(node), **_window(layer.axes))
            case ConvTranspose2d():
                # In ONNX, too, output padding is a size beyond what the pads leave.
                extra = [
                    out - ((size - 1) * a.stride + a.kernel - a.pad_front - a.pad_back)
                    for out, size, a in zip(y[:2], x[:2], layer.axes, strict=True)
                ]
                attributes = _window(layer.axes) | {"output_padding": extra}
                self._op(node, "ConvTranspose", self._weights(node), **attributes)
            case Linear() if x[:2] == (1, 1):
                flat, product = f"{node.name}.flat", f"{node.name}.product"
                self._emit("Flatten", [node.inputs[0]], flat, axis=1)
                self._emit("Gemm", [flat, *self._weights(node)], product, transB=1)
                self._reshape(node.name, product, (self.batch, y.channels, 1, 1))
            case Linear():
                weight, *bias = node.weights.values()
                names = [self._constant(f"{node.name}.weight", weight[:, :, None, None])]
                names += [self._constant(f"{node.name}.bias", array) for array in bias]
                self._op(node, "Conv", names)
            case BatchNorm():
                self._op(node, "BatchNormalization", self._weights(node), epsilon=layer.eps)
            case InstanceNorm():
                self._op(node, "InstanceNormalization", self._weights(node), epsilon=layer.eps)
            case ReLU():
                self._op(node, "Relu")
            case LeakyReLU():
                self._op(node, "LeakyRelu", alpha=layer.slope)
            case Tanh():
                self._op(node, "Tanh")
            case Softmax():
                self._op(node, "Softmax", axis=1)
            case MaxPool2d():
                (top, bottom), (left, right) = max_pool_padding(layer, x, y)
                attributes = _window(layer.axes) | {"pads": [top, left, bottom, right]}
                del attributes["dilations"]
                self._op(node, "MaxPool", [], **attributes)
            case GlobalAvgPool2d():
                self._op(node, "GlobalAveragePool")
            case ArgMax():
                best = f"{node.name}.int64"
                self._emit("ArgMax", [node.inputs[0]], best, axis=1, keepdims=1)
                self._emit("Cast", [best], node.name, to=TensorProto.FLOAT)
            case Concat():
                self._op(node, "Concat", axis=1)
            case Add():
                self._op(node, "Add")
            case Upsample():
                scales = np.array([1, 1, y.height / x.height, y.width / x.width], np.float32)
                names = ["", self._constant(f"{node.name}.scales", scales)]
                self._op(node, "Resize", names, mode="linear")
            case Affine():
                scale = self._constant(f"{node.name}.scale", np.array(layer.scale, np.float32))
                shift = self._constant(f"{node.name}.shift", np.array(layer.shift, np.float32))
                self._emit("Mul", [node.inputs[0], scale], f"{node.name}.product")
                self._emit("Add", [f"{node.name}.product", shift], node.name)
            case PlainReshape():
                self._reshape(node.name, node.inputs[0], (self.batch, y.channels, *y[:2]))
            case Reshape():
                before, after = f"{node.name}.nhwc", f"{node.name}.reshaped"
                self._emit("Transpose", [node.inputs[0]], before, perm=[0, 2, 3, 1])
                self._reshape(after, before, (self.batch, *y))
                self._emit("Transpose", [after], node.name, perm=[0, 3, 1, 2])
            case _:
                raise NotImplementedError(f"ONNX: {type(layer).__name__}")

    def _op(self, node: Node, op: str, constants: list[str] | None = None, **attributes) -> None:
        self._emit(op, [*node.inputs, *(constants or [])], node.name, **attributes)

    def _emit(self, op: str, inputs: list[str], output: str, **attributes) -> None:
        self.nodes.append(helper.make_node(op, inputs, [output], output, **attributes))

    def _constant(self, name: str, array: np.ndarray) -> str:
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def _weights(self, node: Node) -> list[str]:
        return [self._constant(f"{node.name}.{k}", array) for k, array in node.weights.items()]

    def _reshape(self, name: str, source: str, shape: tuple[int, ...]) -> None:
        target = self._constant(f"{name}.shape", np.array(shape, np.int64))
        self._emit("Reshape", [source, target], name)


def _window(axes: tuple[WindowAxis, WindowAxis]) -> dict[str, list[int]]:
    return {
        "kernel_shape": [a.kernel for a in axes],
        "strides": [a.stride for a in axes],
        "dilations": [a.dilation for a in axes],
        "pads": [a.pad_front for a in axes] + [a.pad_back for a in axes],
    }
