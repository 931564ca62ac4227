"""How far results are from the float64 definition: ``python -m bench.accuracy [cuda]``.

Prints the machine and a Markdown table, those of docs/accuracy.md: for each case and each
instruction set that runs here, and for precision "strict" (with "cuda": for each precision of a
GPU), the root mean square of the error and the largest error, both relative to the output's root
mean square. Takes a few seconds.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from bench.machine import describe
from bench.reference import run_graph
from facegen import __version__, _native, processors
from facegen.engine import Runner
from facegen.engine.cuda import cuda_module
from facegen.networks import dcgan
from facegen.nn import Conv2d, ConvTranspose2d, Graph, Layer, Shape, lower

Weights = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Case:
    """A graph of one output with its weights and a batch of inputs."""

    name: str
    graph: Graph
    weights: Weights
    inputs: np.ndarray  # (n, h, w, c) float32

    def exact(self) -> np.ndarray:
        """The output of the definition, in float64."""
        return run_graph(self.graph, self.weights, self.inputs)[0]

    def measured(self, isa: str, algorithm: str) -> np.ndarray:
        """The output of the engine."""
        program = lower(self.graph, self.weights, algorithm, device=f"cpu:{isa}")
        view = program.outputs[0]
        shape = (len(self.inputs), view.height, view.width, view.channels)
        output = np.empty(shape, np.float32)
        executable = _native.CpuExecutable(program, isa)
        executable.run([self.inputs], [output], processors.count())
        return output

    def measured_on_gpu(self, precision: str) -> np.ndarray:
        runner = Runner(lower(self.graph, self.weights), "cuda:0", precision=precision)
        return runner(self.inputs)


def rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2)))


def errors(measured: np.ndarray, exact: np.ndarray) -> str:
    """Root mean square and largest error, relative to the output's root mean square."""
    difference = (measured - exact) / rms(exact)
    return f"{rms(difference):.1e}, {np.abs(difference).max():.1e}"


def one_layer(name: str, layer: Layer, size: int, batch: int) -> Case:
    """A layer on maps of size x size; inputs and weights standard normal."""
    generator = np.random.default_rng(0)
    shapes = layer.parameters()
    channels = shapes["weight"][-1]
    graph = Graph.of_layer(name, layer, Shape(size, size, channels))
    weights = {
        name: generator.standard_normal(shape).astype(np.float32)
        for name, shape in graph.parameters.items()
    }
    inputs = generator.standard_normal((batch, size, size, channels)).astype(np.float32)
    return Case(name, graph, weights, inputs)


def scaled(case: Case, name: str, inputs: np.ndarray | float, weights: np.ndarray | float) -> Case:
    """The same with inputs and weights multiplied by factors that broadcast to their channels."""
    return Case(
        name,
        case.graph,
        {**case.weights, "layer.weight": (case.weights["layer.weight"] * weights).astype("f4")},
        (case.inputs * inputs).astype(np.float32),
    )


def cases() -> Iterator[Case]:
    for i, size in ((1, 4), (2, 8), (3, 16)):
        layer: Layer = ConvTranspose2d(
            dcgan.CHANNELS[i - 1],
            dcgan.CHANNELS[i],
            dcgan.KERNEL,
            stride=2,
            padding=((1, 2), (1, 2)),
            bias=False,
        )
        yield one_layer(f"DCGAN tconv{i}, K = {9 * dcgan.CHANNELS[i - 1]:,}", layer, size, 16)
    channels = 512
    layer = Conv2d(channels, channels, 3, padding=1, bias=False)
    yield one_layer("conv 3x3x512 on 32x32, K = 4,608", layer, 32, 1)
    strided = Conv2d(128, 256, 4, stride=2, padding=1, bias=False)
    yield one_layer("conv 4x4x128, stride 2, on 64x64, K = 2,048", strided, 64, 1)
    wide = Conv2d(64, 128, 5, padding=2, bias=False)
    yield one_layer("conv 5x5x64 on 16x16, K = 1,600", wide, 16, 4)
    conv = one_layer("conv 3x3x512, K = 4,608", layer, 8, 4)
    yield conv

    generator = np.random.default_rng(1)
    spread = (10.0 ** np.linspace(-4, 4, channels)).astype(np.float32)
    generator.shuffle(spread)
    outliers = np.where(generator.random(conv.inputs.shape) < 1e-3, 1e4, 1.0)
    yield scaled(conv, "... input channels times 1e-4 to 1e4", spread, 1.0)
    yield scaled(conv, "... and their weights divided by the same", spread, 1 / spread)
    yield scaled(conv, "... 1 input in 1,000 times 1e4", outliers, 1.0)
    yield cancelling(conv, "... sums that cancel to about 1/1,000")
    yield scaled(conv, "... inputs times 1e-30", 1e-30, 1.0)
    yield scaled(conv, "... inputs times 1e-34", 1e-34, 1.0)
    yield scaled(conv, "... inputs times 1e-36", 1e-36, 1.0)
    yield scaled(conv, "... inputs and weights times 1e-20", 1e-20, 1e-20)

    weights = dcgan.initial_weights(0)
    latents = dcgan.latents(range(64)).reshape(-1, 1, 1, dcgan.LATENT)
    yield Case("DCGAN, all layers, 64 faces of seeded weights", dcgan.graph(), weights, latents)


def cancelling(case: Case, name: str) -> Case:
    """The same with channels in pairs whose products cancel to a thousandth."""
    half = case.inputs.shape[3] // 2
    inputs, weight = case.inputs.copy(), case.weights["layer.weight"].copy()
    inputs[..., half:] = inputs[..., :half] * np.float32(1.001)
    weight[..., half:] = -weight[..., :half]
    return Case(name, case.graph, {**case.weights, "layer.weight": weight}, inputs)


def on_cpu() -> dict[str, Callable[[Case], np.ndarray]]:
    """By column, how a case is computed."""
    ways = {isa: (isa, "auto") for isa in _native.available_isas()}
    ways |= {isa: (isa, "auto") for isa in _native.available_isas("bfloat16")}
    ways["strict"] = (_native.available_isas("strict")[0], "direct")
    return {
        name: partial(Case.measured, isa=way[0], algorithm=way[1]) for name, way in ways.items()
    }


def on_gpu() -> dict[str, Callable[[Case], np.ndarray]]:
    precisions = ("float32", "strict", "tf32", "float16")
    return {p: partial(Case.measured_on_gpu, precision=p) for p in precisions}


def main() -> None:
    cuda = sys.argv[1:] == ["cuda"]
    machine = describe()
    processor = cuda_module().devices()[0]["name"] if cuda else machine["cpu"]
    print(f"{processor}; {machine['system']}; {machine['date'][:10]}.")
    print(f"facegen {__version__}, NumPy {np.__version__}, Python {machine['python']}.\n")
    ways = on_gpu() if cuda else on_cpu()
    print(f"| case | {' | '.join(ways)} |")
    print(f"|---|{'---|' * len(ways)}")
    for case in cases():
        exact = case.exact()
        cells = [errors(measure(case), exact) for measure in ways.values()]
        print(f"| {case.name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
