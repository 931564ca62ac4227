"""PyTorch on the CPU: eager, channels_last, frozen TorchScript, torch.compile with autotuning."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.nchw import Network, Node, PlainReshape, max_pool_padding, nchw_network
from facegen.nn import (
    Add,
    Affine,
    ArgMax,
    AvgPool2d,
    BatchNorm,
    Clip,
    Concat,
    Conv2d,
    ConvTranspose2d,
    DepthToSpace,
    GlobalAvgPool2d,
    Graph,
    HardSigmoid,
    HardSwish,
    InstanceNorm,
    LeakyReLU,
    Linear,
    MaxPool2d,
    Mul,
    ReLU,
    Reshape,
    Shape,
    Sigmoid,
    SiLU,
    Softmax,
    Tanh,
    Upsample,
)


class Pad(nn.Module):
    def __init__(self, padding: Sequence[Sequence[int]], value: float) -> None:
        super().__init__()
        (top, bottom), (left, right) = padding
        self.padding, self.value = (left, right, top, bottom), value

    def forward(self, x: Tensor) -> Tensor:
        return functional.pad(x, self.padding, value=self.value)


class Crop(nn.Module):
    """The first pixels of a map: PyTorch pads a transposed convolution alike on both sides."""

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        self.height, self.width = height, width

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :, : self.height, : self.width]


class VectorLinear(nn.Linear):
    """Over the channels of a 1x1 map."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.flatten(1))[:, :, None, None]


class View(nn.Module):
    def __init__(self, node: Node) -> None:
        super().__init__()
        self.shape = node.shape
        self.plain = isinstance(node.layer, PlainReshape)

    def forward(self, x: Tensor) -> Tensor:
        height, width, channels = self.shape
        if self.plain:
            return x.reshape(-1, channels, height, width)
        return x.permute(0, 2, 3, 1).reshape(-1, *self.shape).permute(0, 3, 1, 2)


class InstanceNormalization(nn.InstanceNorm2d):
    """Also of 1x1 maps, which PyTorch refuses: each value is its own mean there."""

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[2] * x.shape[3] == 1:
            return self.bias[None, :, None, None].expand_as(x)
        return super().forward(x)


class BestChannel(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.argmax(1, keepdim=True).to(x.dtype)


class Join(nn.Module):
    def forward(self, *x: Tensor) -> Tensor:
        return torch.cat(x, 1)


class Sum(nn.Module):
    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return a + b


class Product(nn.Module):
    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return a * b


class Scale(nn.Module):
    def __init__(self, layer: Affine) -> None:
        super().__init__()
        self.scale, self.shift = layer.scale, layer.shift

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale + self.shift


class TorchNetwork(nn.Module):
    """The nodes in order; takes and returns NCHW tensors."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.inputs = [node.name for node in network.inputs]
        self.wiring = [(n.name, n.inputs) for n in network.nodes if n.layer is not None]
        self.output_names = network.outputs
        self.steps = nn.ModuleList(
            torch_module(node, network) for node in network.nodes if node.layer is not None
        )

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        values = dict(zip(self.inputs, inputs, strict=True))
        for (name, reads), step in zip(self.wiring, self.steps, strict=True):
            values[name] = step(*(values[read] for read in reads))
        return tuple(values[name] for name in self.output_names)


def torch_module(node: Node, network: Network) -> nn.Module:
    """The PyTorch module of a node, with its weights."""
    layer, x = node.layer, network.input_shape(node)
    match layer:
        case Conv2d():
            return _conv(layer, node)
        case ConvTranspose2d():
            return _conv_transpose(layer, node, x)
        case Linear():
            if x[:2] == (1, 1):
                linear = VectorLinear(layer.in_channels, layer.out_channels, layer.bias)
                return _load(linear, node.weights)
            conv = Conv2d(layer.in_channels, layer.out_channels, 1, bias=layer.bias)
            weight = node.weights["weight"][:, :, None, None]
            return _load(_conv_module(conv, 0), {**node.weights, "weight": weight})
        case BatchNorm():
            norm = nn.BatchNorm2d(layer.channels, layer.eps)
            w = node.weights
            _load(norm, {"weight": w["gamma"], "bias": w["beta"]})
            norm.running_mean.copy_(torch.from_numpy(w["mean"]))
            norm.running_var.copy_(torch.from_numpy(w["var"]))
            return norm
        case InstanceNorm():
            instance = InstanceNormalization(layer.channels, layer.eps, affine=True)
            w = node.weights
            return _load(instance, {"weight": w["gamma"], "bias": w["beta"]})
        case ReLU():
            return nn.ReLU()
        case LeakyReLU():
            return nn.LeakyReLU(layer.slope)
        case Tanh():
            return nn.Tanh()
        case Clip():
            return nn.Hardtanh(layer.low, layer.high)
        case Sigmoid():
            return nn.Sigmoid()
        case SiLU(alpha=1.0):
            return nn.SiLU()
        case HardSwish():
            return nn.Hardswish()
        case HardSigmoid():
            return nn.Hardsigmoid()
        case Softmax():
            return nn.Softmax(1)
        case DepthToSpace(depth_first=False):
            return nn.PixelShuffle(layer.block)
        case MaxPool2d():
            return _max_pool(layer, x, node.shape)
        case GlobalAvgPool2d():
            return nn.AdaptiveAvgPool2d(1)
        case ArgMax():
            return BestChannel()
        case Concat():
            return Join()
        case Add():
            return Sum()
        case Mul():
            return Product()
        case AvgPool2d() if not any(a.pad_front or a.pad_back for a in layer.axes):
            kernel, stride = zip(*((a.kernel, a.stride) for a in layer.axes), strict=True)
            return nn.AvgPool2d(kernel, stride, ceil_mode=layer.ceil_mode)
        case Upsample():
            return nn.Upsample(node.shape[:2], mode="bilinear", align_corners=False)
        case Affine():
            return Scale(layer)
        case Reshape() | PlainReshape():
            return View(node)
    raise NotImplementedError(f"PyTorch: {type(layer).__name__}")


def _conv_module(layer: Conv2d, padding: int | tuple[int, ...]) -> nn.Conv2d:
    stride, dilation = zip(*((a.stride, a.dilation) for a in layer.axes), strict=True)
    return nn.Conv2d(
        layer.in_channels,
        layer.out_channels,
        layer.kernel_size,
        stride,
        padding,
        dilation,
        layer.groups,
        layer.bias,
    )


def _conv(layer: Conv2d, node: Node) -> nn.Module:
    pads = tuple((a.pad_front, a.pad_back) for a in layer.axes)
    if all(front == back for front, back in pads):
        return _load(_conv_module(layer, tuple(front for front, _ in pads)), node.weights)
    return nn.Sequential(Pad(pads, 0.0), _load(_conv_module(layer, 0), node.weights))


def _max_pool(layer: MaxPool2d, x: Shape, y: Shape) -> nn.Module:
    """PyTorch's own padding where it gives this size: a padded copy costs more than the pool."""
    kernel, stride, front, back = zip(
        *((a.kernel, a.stride, a.pad_front, a.pad_back) for a in layer.axes), strict=True
    )
    windows = zip(x[:2], kernel, stride, front, strict=True)
    sizes = [(size + 2 * pad - k, step) for size, k, step, pad in windows]
    if front == back and all(2 * pad <= k for pad, k in zip(front, kernel, strict=True)):
        for ceil_mode in (False, True):
            outputs = [-(-free // step) if ceil_mode else free // step for free, step in sizes]
            if tuple(each + 1 for each in outputs) == y[:2]:
                return nn.MaxPool2d(kernel, stride, front, ceil_mode=ceil_mode)
    padding = max_pool_padding(layer, x, y)
    return nn.Sequential(Pad(padding, -math.inf), nn.MaxPool2d(kernel, stride))


def _conv_transpose(layer: ConvTranspose2d, node: Node, x: Shape) -> nn.Module:
    """Padded at the back as at the front; output padding or a crop then makes up the size."""
    front, stride = zip(*((a.pad_front, a.stride) for a in layer.axes), strict=True)
    missing = tuple(
        out - ((size - 1) * a.stride + a.kernel - 2 * a.pad_front)
        for out, size, a in zip(node.shape[:2], x[:2], layer.axes, strict=True)
    )
    module = nn.ConvTranspose2d(
        layer.in_channels,
        layer.out_channels,
        layer.kernel_size,
        stride,
        front,
        tuple(max(pixels, 0) for pixels in missing),
        layer.groups,
        layer.bias,
    )
    _load(module, node.weights)
    return nn.Sequential(module, Crop(*node.shape[:2])) if min(missing) < 0 else module


def _load(module: nn.Module, weights: Mapping[str, np.ndarray]) -> nn.Module:
    with torch.no_grad():
        for name, array in weights.items():
            getattr(module, name).copy_(torch.from_numpy(array))
    return module


class TorchModel:
    note = ""

    def __init__(self, module: nn.Module, memory_format: torch.memory_format) -> None:
        self._module, self._memory_format = module, memory_format

    def prepare(self, inputs: Sequence[np.ndarray]) -> list[Tensor]:
        tensors = [torch.from_numpy(x).permute(0, 3, 1, 2) for x in inputs]
        return [x.contiguous(memory_format=self._memory_format) for x in tensors]

    def run(self, prepared: list[Tensor]) -> tuple[Tensor, ...]:
        with torch.inference_mode():
            return self._module(*prepared)

    def outputs(self, result: tuple[Tensor, ...]) -> list[np.ndarray]:
        return [y.permute(0, 2, 3, 1).numpy() for y in result]


def build(
    graph: Graph, weights: Mapping[str, np.ndarray], batch: int, threads: int, variant: str
) -> TorchModel:
    torch.set_num_threads(threads)
    network = nchw_network(graph, weights)
    layout = torch.contiguous_format if variant == "eager" else torch.channels_last
    module: nn.Module = TorchNetwork(network).eval().to(memory_format=layout)
    module.requires_grad_(False)
    model = TorchModel(module, layout)
    if variant == "frozen":
        inputs = [np.zeros((batch, *node.shape), np.float32) for node in network.inputs]
        with torch.inference_mode(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # TorchScript is deprecated, and still the fastest here
            traced = torch.jit.trace(module, tuple(model.prepare(inputs)))
            return TorchModel(torch.jit.optimize_for_inference(torch.jit.freeze(traced)), layout)
    if variant == "compiled":
        from torch._inductor import config

        torch._dynamo.reset()  # forgets the model before this one
        config.freezing = True  # weights are constants: packed for the kernels once
        return TorchModel(torch.compile(module, mode="max-autotune", dynamic=False), layout)
    return model
