"""Graph to graph: the same function, in a shape that fuses better.

1. Layers that no output depends on are dropped.
2. a - b becomes a + (-1) b, and a / b becomes a times the reciprocal of b.
3. An activation that alone reads a concatenation moves before it, onto each part, so that the
   parts' producers can apply it:  relu(concat(a, b)) = concat(relu(a), relu(b)).  So does one that
   alone reads a rearrangement of channels to pixels, or back.
4. Zeros around a map that a convolution reads are its padding; other readers keep them.
5. Where one value goes through a leaky ReLU and then also a ReLU, as in a U-Net's skip connections,
   the ReLU reads the leaky ReLU's result, which then fuses with the producer. That is exact:
   leaky ReLU keeps positive values and the sign of the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from facegen.nn.activations import Activation, LeakyReLU, Reciprocal, ReLU
from facegen.nn.gemm_layers import Conv2d
from facegen.nn.graph import Node
from facegen.nn.layer import Layer
from facegen.nn.layers import Add, Affine, Blocks, Concat, Div, Mul, Sub
from facegen.nn.resample import Pad2d
from facegen.nn.window import padding_pairs


def rewrite(nodes: Sequence[Node], outputs: Sequence[str]) -> list[Node]:
    """All rewrites in order; names of outputs and of layers with parameters are kept."""
    live = _drop_unused(nodes, outputs)
    live = _drop_unused(_pad_within_convolutions(without_inverses(live)), outputs)
    return _relu_after_leaky_relu(_activation_before_moves(live, outputs))


def count_readers(nodes: Sequence[Node], outputs: Sequence[str]) -> Counter[str]:
    """How often each value is read by a layer or is an output."""
    return Counter([name for node in nodes for name in node.inputs] + list(outputs))


def _drop_unused(nodes: Sequence[Node], outputs: Sequence[str]) -> list[Node]:
    needed = set(outputs)
    kept = []
    for node in reversed(nodes):
        if node.name in needed or node.layer is None:  # inputs stay: they are the caller's
            needed.update(node.inputs)
            kept.append(node)
    return kept[::-1]


def without_inverses(nodes: Sequence[Node]) -> list[Node]:
    """Differences and quotients as sums and products."""
    shapes = {node.name: node.shape for node in nodes}
    result: list[Node] = []
    for node in nodes:
        if isinstance(node.layer, Sub | Div):
            inverse: Layer = Affine(-1.0) if isinstance(node.layer, Sub) else Reciprocal()
            layer: Layer = Add() if isinstance(node.layer, Sub) else Mul()
            first, second = node.inputs
            inverted = Node(f"{node.name}[1]", inverse, (second,), shapes[second])
            result.append(inverted)
            node = node._replace(layer=layer, inputs=(first, inverted.name))
        result.append(node)
    return result


def _pad_within_convolutions(nodes: Sequence[Node]) -> list[Node]:
    by_name = {node.name: node for node in nodes}
    result: list[Node] = []
    for node in nodes:
        source = by_name[node.inputs[0]] if node.inputs else node
        pad, layer = source.layer, node.layer
        if isinstance(layer, Conv2d) and isinstance(pad, Pad2d) and pad.mode == "zeros":
            padding = tuple(
                (axis.pad_front + front, axis.pad_back + back)
                for axis, (front, back) in zip(layer.axes, padding_pairs(pad.padding), strict=True)
            )
            node = node._replace(layer=replace(layer, padding=padding), inputs=source.inputs)
        result.append(node)
    return result


def _activation_before_moves(nodes: Sequence[Node], outputs: Sequence[str]) -> list[Node]:
    readers = count_readers(nodes, outputs)
    by_name = {node.name: node for node in nodes}
    moved: dict[str, Node] = {}  # name of what moves numbers -> the activation, its one reader
    for node in nodes:
        source = by_name[node.inputs[0]] if node.inputs else node
        if (
            isinstance(node.layer, Activation)
            and not node.layer.parameters()
            and isinstance(source.layer, Concat | Blocks)
            and readers[source.name] == 1
        ):
            moved[source.name] = node

    result: list[Node] = []
    for node in nodes:
        activation = moved.get(node.name)
        if activation is not None:
            parts = tuple(
                Node(f"{activation.name}[{i}]", activation.layer, (part,), by_name[part].shape)
                for i, part in enumerate(node.inputs)
            )
            result += parts
            result.append(
                Node(activation.name, node.layer, tuple(p.name for p in parts), node.shape)
            )
        elif not (node.inputs and node.inputs[0] in moved):
            result.append(node)
    return result


def _relu_after_leaky_relu(nodes: Sequence[Node]) -> list[Node]:
    leaky: dict[str, str] = {}  # value -> a leaky ReLU that reads it
    result = []
    for node in nodes:
        if isinstance(node.layer, LeakyReLU) and node.layer.slope >= 0:
            leaky[node.inputs[0]] = node.name
        elif isinstance(node.layer, ReLU) and node.inputs[0] in leaky:
            node = node._replace(inputs=(leaky[node.inputs[0]],))
        result.append(node)
    return result
