"""Any layer, and any graph of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bench.reference.norms import (
    batch_norm,
    group_norm,
    instance_norm,
    layer_norm,
    local_response_norm,
)
from bench.reference.parts import Array, sides
from bench.reference.pointwise import activation, argmax, combine, log_softmax, prelu, softmax
from bench.reference.pools import avg_pool2d, global_avg_pool2d, max_pool2d
from bench.reference.products import conv2d, conv_transpose2d, linear
from bench.reference.rearranging import channel_shuffle, depth_to_space, space_to_depth
from bench.reference.resampling import upsample2d
from facegen.nn import (
    Affine,
    ArgMax,
    AvgPool2d,
    BatchNorm,
    Channels,
    ChannelShuffle,
    Concat,
    Conv2d,
    ConvTranspose2d,
    DepthToSpace,
    GlobalAvgPool2d,
    Graph,
    GroupNorm,
    InstanceNorm,
    LayerNorm,
    Linear,
    LocalResponseNorm,
    LogSoftmax,
    MaxPool2d,
    Pad2d,
    PReLU,
    Reshape,
    Slice,
    Softmax,
    SpaceToDepth,
    Upsample,
)
from facegen.nn.activations import Activation
from facegen.nn.layer import Layer
from facegen.nn.layers import Combination


def run_layer(
    layer: Layer, inputs: Sequence[Array], weights: Mapping[str, Array], name: str
) -> Array:
    """One layer of a graph on (n, h, w, c) maps."""
    x = inputs[0]
    parameters = {key: weights[f"{name}.{key}"] for key in layer.parameters()}
    if isinstance(layer, Conv2d | Linear) and layer.binary:
        parameters["weight"] = np.where(parameters["weight"] < 0, -1.0, 1.0)
    match layer:
        case Conv2d():
            stride, padding = layer.stride, layer.padding
            return conv2d(
                x,
                **parameters,
                stride=stride,
                padding=padding,
                dilation=layer.dilation,
                groups=layer.groups,
            )
        case ConvTranspose2d():
            stride, padding, extra = layer.stride, layer.padding, layer.output_padding
            return conv_transpose2d(
                x,
                **parameters,
                stride=stride,
                padding=padding,
                output_padding=extra,
                groups=layer.groups,
            )
        case Linear():
            return linear(x, **parameters)
        case BatchNorm():
            return batch_norm(x, **parameters, eps=layer.eps)
        case InstanceNorm():
            return instance_norm(x, **parameters, eps=layer.eps)
        case MaxPool2d():
            return max_pool2d(
                x,
                layer.kernel,
                stride=layer.stride,
                padding=layer.padding,
                ceil_mode=layer.ceil_mode,
            )
        case Upsample():
            return upsample2d(x, layer)
        case AvgPool2d():
            return avg_pool2d(
                x,
                layer.kernel,
                stride=layer.stride,
                padding=layer.padding,
                ceil_mode=layer.ceil_mode,
                count_include_pad=layer.count_include_pad,
            )
        case Pad2d():
            pads = ((0, 0), *sides(layer.padding), (0, 0))
            if layer.mode == "zeros":
                return np.pad(x, pads)
            return np.pad(x, pads, "edge" if layer.mode == "edge" else "reflect")
        case Slice():
            for axis, positions in ((1, layer.rows), (2, layer.columns)):
                if positions is not None:
                    first, count, step = positions
                    x = np.take(x, first + step * np.arange(count), axis)
            return x
        case PReLU():
            return prelu(x, **parameters)
        case Activation():
            return activation(layer, x)
        case GroupNorm():
            return group_norm(x, **parameters, groups=layer.groups, eps=layer.eps)
        case LayerNorm():
            return layer_norm(x, **parameters, eps=layer.eps)
        case LocalResponseNorm():
            numbers = {"alpha": layer.alpha, "beta": layer.beta, "k": layer.k}
            return local_response_norm(x, size=layer.size, **numbers)
        case ChannelShuffle():
            return channel_shuffle(x, layer.groups)
        case DepthToSpace():
            return depth_to_space(x, layer.block, layer.depth_first)
        case SpaceToDepth():
            return space_to_depth(x, layer.block, layer.depth_first)
        case Channels():
            return x[..., layer.first : layer.first + layer.count]
        case Softmax():
            return softmax(x)
        case LogSoftmax():
            return log_softmax(x)
        case ArgMax():
            return argmax(x)
        case GlobalAvgPool2d():
            return global_avg_pool2d(x)
        case Concat():
            return np.concatenate(inputs, axis=-1)
        case Combination():
            return combine(layer, *inputs)
        case Affine():
            return layer.scale * x + layer.shift
        case Reshape():
            return x.reshape(len(x), *layer.shape)
    raise AssertionError(f"no definition of {layer}")


def run_graph(graph: Graph, weights: Mapping[str, Array], *inputs: Array) -> list[Array]:
    """All outputs of a graph, layer by layer in float64."""
    values: dict[str, Array] = {}
    given = iter(inputs)
    for node in graph.nodes:
        if node.layer is None:
            values[node.name] = next(given).astype(np.float64)
        else:
            reads = [values[name] for name in node.inputs]
            values[node.name] = run_layer(node.layer, reads, weights, node.name)
    return [values[tensor.name] for tensor in graph.outputs]
