"""ncnn on the CPU, its model files written by its own rules.

Its kernels take one image. The threads go to as many images at a time as share them equally: for
DCGAN at batch 64, an image a thread is 9% faster than every image on both of two threads.
Activations are fused into the layer before them, as its converter does; Winograd and packed layouts
are left on, 16-bit storage is off.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import ncnn
import numpy as np

from bench.layout import nchw, nhwc
from bench.nchw import Network, Node, PlainReshape, max_pool_padding, nchw_network
from bench.peers import stream_count
from facegen.nn import (
    Add,
    Affine,
    BatchNorm,
    Clip,
    Concat,
    Conv2d,
    ConvTranspose2d,
    DepthToSpace,
    GlobalAvgPool2d,
    Graph,
    InstanceNorm,
    LeakyReLU,
    Linear,
    MaxPool2d,
    ReLU,
    Reshape,
    Softmax,
    Tanh,
    Upsample,
)
from facegen.nn.window import WindowAxis

MAGIC = 7767517  # first line of a .param file
FLOAT32 = np.zeros(1, np.uint32)  # tag before a weight in a .bin file


class NcnnModel:
    def __init__(self, net: ncnn.Net, network: Network, streams: int) -> None:
        self._net, self._outputs = net, network.outputs
        self._streams, self._pool = streams, ThreadPoolExecutor(streams)
        self.note = f"{streams} images at a time" if streams > 1 else ""
        self._inputs = [node.name for node in network.inputs]
        self._shapes = {node.name: node.shape for node in network.nodes}

    def prepare(self, inputs: Sequence[np.ndarray]) -> list[list[ncnn.Mat]]:
        images = zip(*map(nchw, inputs), strict=True)
        return [[ncnn.Mat(x).clone() for x in image] for image in images]

    def run(self, prepared: list[list[ncnn.Mat]]) -> list[list[ncnn.Mat]]:
        if self._streams == 1:
            return self._run_images(prepared)
        size = len(prepared) // self._streams
        parts = [prepared[i * size : (i + 1) * size] for i in range(self._streams)]
        return [image for part in self._pool.map(self._run_images, parts) for image in part]

    def _run_images(self, images: list[list[ncnn.Mat]]) -> list[list[ncnn.Mat]]:
        results = []
        for image in images:
            extractor = self._net.create_extractor()
            for name, x in zip(self._inputs, image, strict=True):
                extractor.input(name, x)
            results.append([extractor.extract(name)[1] for name in self._outputs])
        return results

    def outputs(self, result: list[list[ncnn.Mat]]) -> list[np.ndarray]:
        arrays = []
        for name, maps in zip(self._outputs, zip(*result, strict=True), strict=True):
            height, width, channels = self._shapes[name]
            images = [np.array(m).reshape(channels, height, width) for m in maps]
            arrays.append(nhwc(np.stack(images)))
        return arrays


def build(
    graph: Graph, weights: Mapping[str, np.ndarray], batch: int, threads: int, variant: str
) -> NcnnModel:
    network = nchw_network(graph, weights)
    param, binary = ncnn_files(network)
    net = ncnn.Net()
    streams = stream_count(batch, threads)
    net.opt.num_threads = threads // streams
    net.opt.use_vulkan_compute = False
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    net.opt.use_bf16_storage = False
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "net.param").write_text(param)
        Path(folder, "net.bin").write_bytes(binary)
        net.load_param(str(Path(folder, "net.param")))
        net.load_model(str(Path(folder, "net.bin")))
    return NcnnModel(net, network, streams)


def ncnn_files(network: Network) -> tuple[str, bytes]:
    """The text of the .param file and the bytes of the .bin file."""
    writer = _Writer(Counter(name for node in network.nodes for name in node.inputs))
    fusable = _fusable_activations(network)
    for node in network.nodes:
        if node.name not in fusable.values():
            activation = next((a for a in network.nodes if a.name == fusable.get(node.name)), None)
            _write(writer, node, network, activation)
    return writer.param(), b"".join(writer.weights)


class _Writer:
    """Collects the lines of the .param file; a blob has one reader, so others get copies."""

    def __init__(self, readers: Counter[str]) -> None:
        self._readers = readers
        self._taken: Counter[str] = Counter()
        self._lines: list[str] = []
        self._blobs = 0
        self.weights: list[bytes] = []

    def emit(self, kind: str, inputs: Sequence[str], output: str, **params: object) -> None:
        """One layer; parameters are ncnn's numbers, as keywords p0, p1, ..."""
        self._line(kind, [self._take(name) for name in inputs], [output], params)
        if self._readers[output] > 1:
            copies = [f"{output}.copy{i}" for i in range(self._readers[output])]
            self._line("Split", [output], copies, {})

    def param(self) -> str:
        return "\n".join([str(MAGIC), f"{len(self._lines)} {self._blobs}", *self._lines, ""])

    def _take(self, name: str) -> str:
        if self._readers[name] <= 1:
            return name
        self._taken[name] += 1
        return f"{name}.copy{self._taken[name] - 1}"

    def _line(self, kind: str, inputs: list[str], outputs: list[str], params: dict) -> None:
        values = [f"{key.removeprefix('p')}={value}" for key, value in params.items()]
        name = f"{kind}.{len(self._lines)}"
        words = [kind, name, str(len(inputs)), str(len(outputs)), *inputs, *outputs, *values]
        self._lines.append(" ".join(words))
        self._blobs += len(outputs)


def _fusable_activations(network: Network) -> dict[str, str]:
    """ReLU and LeakyReLU by the convolution or linear layer that they alone follow."""
    readers = Counter([r for node in network.nodes for r in node.inputs] + list(network.outputs))
    sources = {
        node.name: node
        for node in network.nodes
        if isinstance(node.layer, Conv2d | ConvTranspose2d | Linear)
    }
    return {
        node.inputs[0]: node.name
        for node in network.nodes
        if isinstance(node.layer, ReLU | LeakyReLU)
        and node.inputs[0] in sources
        and readers[node.inputs[0]] == 1
    }


def _write(writer: _Writer, node: Node, network: Network, activation: Node | None) -> None:
    layer, reads = node.layer, node.inputs
    output = node.name if activation is None else activation.name
    act = _activation(activation)
    if layer is None:
        writer.emit("Input", [], output)
        return
    x, y = network.input_shape(node), node.shape
    match layer:
        case Conv2d():
            params = _window(layer.axes, layer.out_channels, node.weights)
            if layer.groups > 1:
                params["p7"] = layer.groups
            kind = "ConvolutionDepthWise" if layer.groups > 1 else "Convolution"
            writer.emit(kind, reads, output, **params, **act)
            writer.weights += _tagged(node.weights)
        case Clip():
            writer.emit("Clip", reads, output, p0=layer.low, p1=layer.high)
        case ConvTranspose2d() if layer.groups == 1:
            params = _window(layer.axes, layer.out_channels, node.weights)
            extra = [
                out - ((size - 1) * a.stride + a.kernel - a.pad_front - a.pad_back)
                for out, size, a in zip(y[:2], x[:2], layer.axes, strict=True)
            ]
            writer.emit("Deconvolution", reads, output, **params, p18=extra[1], p19=extra[0], **act)
            weight = node.weights["weight"].transpose(1, 0, 2, 3)  # ncnn's is (out, in, kh, kw)
            writer.weights += _tagged({**node.weights, "weight": weight})
        case Linear():
            bias, size = int(layer.bias), node.weights["weight"].size
            if x[:2] == (1, 1):
                params = {"p0": layer.out_channels, "p1": bias, "p2": size}
                writer.emit("InnerProduct", reads, output, **params, **act)
            else:
                params = {"p0": layer.out_channels, "p1": 1, "p5": bias, "p6": size}
                writer.emit("Convolution", reads, output, **params, **act)
            writer.weights += _tagged(node.weights)
        case BatchNorm():
            writer.emit("BatchNorm", reads, output, p0=layer.channels, p1=layer.eps)
            order = ("gamma", "mean", "var", "beta")
            writer.weights += [node.weights[name].tobytes() for name in order]
        case InstanceNorm():
            writer.emit("InstanceNorm", reads, output, p0=layer.channels, p1=layer.eps, p2=1)
            writer.weights += [node.weights[name].tobytes() for name in ("gamma", "beta")]
        case ReLU():
            writer.emit("ReLU", reads, output)
        case LeakyReLU():
            writer.emit("ReLU", reads, output, p0=layer.slope)
        case Tanh():
            writer.emit("TanH", reads, output)
        case Softmax():
            writer.emit("Softmax", reads, output, p0=0, p1=1)
        case DepthToSpace():
            writer.emit("PixelShuffle", reads, output, p0=layer.block, p1=int(layer.depth_first))
        case MaxPool2d():
            vertical, horizontal = layer.axes
            (top, bottom), (left, right) = max_pool_padding(layer, x, y)
            kernel = {"p1": horizontal.kernel, "p11": vertical.kernel}
            stride = {"p2": horizontal.stride, "p12": vertical.stride}
            pads = {"p3": left, "p13": top, "p14": right, "p15": bottom}
            writer.emit("Pooling", reads, output, p0=0, **kernel, **stride, **pads, p5=1)
        case GlobalAvgPool2d():
            flat = f"{output}.flat"  # a vector, where the layers of maps want 1x1 ones
            writer.emit("Pooling", reads, flat, p0=1, p4=1)
            writer.emit("Reshape", [flat], output, p0=1, p1=1, p2=y.channels)
        case Concat():
            writer.emit("Concat", reads, output, p0=0)
        case Add():
            writer.emit("BinaryOp", reads, output, p0=0)
        case Upsample():
            writer.emit("Interp", reads, output, p0=2, p3=y.height, p4=y.width)
        case Affine():
            scaled = f"{output}.scaled"
            writer.emit("BinaryOp", reads, scaled, p0=2, p1=1, p2=layer.scale)
            writer.emit("BinaryOp", [scaled], output, p0=0, p1=1, p2=layer.shift)
        case PlainReshape():
            writer.emit("Reshape", reads, output, p0=y.width, p1=y.height, p2=y.channels)
        case Reshape():
            before, after = f"{output}.nhwc", f"{output}.reshaped"
            writer.emit("Permute", reads, before, p0=3)
            writer.emit("Reshape", [before], after, p0=y.channels, p1=y.width, p2=y.height)
            writer.emit("Permute", [after], output, p0=4)
        case _:
            raise NotImplementedError(f"ncnn: {type(layer).__name__}")


def _activation(node: Node | None) -> dict[str, object]:
    if node is None:
        return {}
    if isinstance(node.layer, LeakyReLU):
        return {"p9": 2, "p-23310": f"1,{node.layer.slope}"}
    return {"p9": 1}


def _window(
    axes: tuple[WindowAxis, WindowAxis], out_channels: int, weights: Mapping[str, np.ndarray]
) -> dict[str, object]:
    vertical, horizontal = axes
    return {
        "p0": out_channels,
        "p1": horizontal.kernel,
        "p11": vertical.kernel,
        "p2": horizontal.dilation,
        "p12": vertical.dilation,
        "p3": horizontal.stride,
        "p13": vertical.stride,
        "p4": horizontal.pad_front,
        "p15": horizontal.pad_back,
        "p14": vertical.pad_front,
        "p16": vertical.pad_back,
        "p5": int("bias" in weights),
        "p6": weights["weight"].size,
    }


def _tagged(weights: Mapping[str, np.ndarray]) -> list[bytes]:
    """A weight behind its tag; a bias has none."""
    bias = [weights["bias"].tobytes()] if "bias" in weights else []
    return [FLOAT32.tobytes(), np.ascontiguousarray(weights["weight"]).tobytes(), *bias]
