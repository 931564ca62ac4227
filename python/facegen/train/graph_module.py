"""A graph of convolutions in PyTorch, layer by layer as its table says, with canonical weights."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from facegen.nn import Add, Concat, Conv2d, ConvTranspose2d, Graph, MaxPool2d, ReLU
from facegen.nn.graph import Node


class GraphModule(nn.Module):
    """Maps (n, c, h, w) -> (n, c, h, w), for graphs of one input and one output.

    Convolutions of both kinds with equal padding on all sides, max pooling without padding, ReLU,
    Add and Concat; other layers raise NotImplementedError.
    """

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.nodes = graph.nodes
        (self.output,) = (tensor.name for tensor in graph.outputs)
        self.layers = nn.ModuleDict(
            {node.name: _layer(node) for node in self.nodes if node.layer and _has_weights(node)}
        )

    def forward(self, x: Tensor) -> Tensor:
        values: dict[str, Tensor] = {}
        for node in self.nodes:
            inputs = [values[name] for name in node.inputs]
            if node.layer is None:
                values[node.name] = x
            elif _has_weights(node):
                values[node.name] = self.layers[node.name](*inputs)
            else:
                values[node.name] = _plain(node, inputs)
        return values[self.output]

    def freeze(self, names: set[str]) -> None:
        """Keep the weights of these layers as they are."""
        for name in names & set(self.layers):
            self.layers[name].requires_grad_(False)

    def canonical(self) -> dict[str, np.ndarray]:
        """Canonical weights: copies, float32."""
        return {
            f"{layer}.{parameter}": np.array(_turned(tensor.cpu(), module).numpy(), order="C")
            for layer, module in self.layers.items()
            for parameter, tensor in module.state_dict().items()
        }

    @torch.no_grad()
    def load_canonical(self, weights: Mapping[str, np.ndarray]) -> None:
        """Take over canonical weights of the graph."""
        for layer, module in self.layers.items():
            for parameter, tensor in module.named_parameters():
                values = torch.from_numpy(weights[f"{layer}.{parameter}"].copy())
                _turned(tensor, module).copy_(values)


def _has_weights(node: Node) -> bool:
    return isinstance(node.layer, Conv2d | ConvTranspose2d)


def _layer(node: Node) -> nn.Module:
    layer = node.layer
    assert isinstance(layer, Conv2d | ConvTranspose2d)
    if any(axis.pad_front != axis.pad_back for axis in layer.axes):
        raise NotImplementedError(f"{node.name}: padding that differs from side to side")
    if layer.groups > 1:
        raise NotImplementedError(f"{node.name}: groups of channels")
    stride, padding = zip(*((axis.stride, axis.pad_front) for axis in layer.axes), strict=True)
    kind = nn.ConvTranspose2d if isinstance(layer, ConvTranspose2d) else nn.Conv2d
    return kind(
        layer.in_channels, layer.out_channels, layer.kernel_size, stride, padding, bias=layer.bias
    )


def _plain(node: Node, inputs: list[Tensor]) -> Tensor:
    match node.layer:
        case ReLU():
            return functional.relu(inputs[0])
        case Add():
            return inputs[0] + inputs[1]
        case Concat():
            return torch.cat(inputs, dim=1)
        case MaxPool2d(ceil_mode=ceil_mode, axes=axes) if not any(a.pad_front for a in axes):
            kernel, stride = zip(*((axis.kernel, axis.stride) for axis in axes), strict=True)
            return functional.max_pool2d(inputs[0], kernel, stride, ceil_mode=ceil_mode)
    raise NotImplementedError(f"{node.name}: {node.layer}")


def _turned(tensor: Tensor, module: nn.Module) -> Tensor:
    """A view of PyTorch's weight in the canonical layout (out, kernel h, kernel w, in)."""
    if tensor.ndim != 4:
        return tensor
    if isinstance(module, nn.ConvTranspose2d):  # (in, out, h, w) there
        return tensor.permute(1, 2, 3, 0)
    return tensor.permute(0, 2, 3, 1)  # of (out, in, h, w)
