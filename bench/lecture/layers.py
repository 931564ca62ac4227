"""The convolutions of VGG-E (Simonyan and Zisserman 2014, configuration E), each by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.gpu.report import Cell, Row
from bench.others import initial_weights
from bench.tables import MISSING, markdown_table
from bench.workload import Workload
from facegen.nn import Conv2d, Graph, Shape, lower

KERNEL = 3


@dataclass(frozen=True)
class Layer:
    """So many 3x3 convolutions in the network, of a map of `side` pixels a side."""

    name: str
    count: int
    in_channels: int
    out_channels: int
    side: int

    @property
    def gflop(self) -> float:
        """Of an image by the definition, as published tables count: taps on padding too."""
        taps = self.side**2 * KERNEL**2
        return 2 * taps * self.in_channels * self.out_channels / 1e9

    @property
    def workload(self) -> Workload:
        conv = Conv2d(self.in_channels, self.out_channels, KERNEL, padding=1, bias=False)
        shape = Shape(self.side, self.side, self.in_channels)
        graph = Graph.of_layer(f"vgg_e.{self.name}", conv, shape)
        return Workload(graph, initial_weights(graph, 0))


LAYERS = (
    Layer("conv1.1", 1, 3, 64, 224),
    Layer("conv1.2", 1, 64, 64, 224),
    Layer("conv2.1", 1, 64, 128, 112),
    Layer("conv2.2", 1, 128, 128, 112),
    Layer("conv3.1", 1, 128, 256, 56),
    Layer("conv3.2", 3, 256, 256, 56),
    Layer("conv4.1", 1, 256, 512, 28),
    Layer("conv4.2", 3, 512, 512, 28),
    Layer("conv5", 4, 512, 512, 14),
)

Cells = Mapping[tuple[str, int], Cell]  # by layer and batch


def ways(precisions: Sequence[str], device: str) -> list[tuple[str, str]]:
    """Precisions with the algorithm that is chosen, and with the direct one where it differs."""
    found = []
    for precision in precisions:
        graph = LAYERS[-1].workload.graph
        kind = device.partition(":")[0]
        kernels = {
            algorithm: lower(graph, None, algorithm, device=kind, precision=precision).kernels
            for algorithm in ("auto", "direct")
        }
        differ = kernels["auto"] != kernels["direct"]
        found += [(precision, "auto"), *([(precision, "direct")] if differ else [])]
    return found


def contender(row: Row) -> str:
    """PyTorch's layouts of one precision are one contender, who has the better of them."""
    own = row.label.startswith("facegen")
    return row.label if own else " ".join(row.label.split()[:2])


def best_seconds(cell: Cell) -> dict[str, float]:
    """Of a batch, by contender."""
    found: dict[str, float] = {}
    for row in cell.rows:
        name = contender(row)
        found[name] = min(row.seconds, found.get(name, row.seconds))
    return found


def layers_tables(cells: Cells, layers: Sequence[Layer], batches: Sequence[int]) -> list[str]:
    """All convolutions by contender and batch, then each contender's layers: effective TFLOPS."""
    best = {key: best_seconds(cell) for key, cell in cells.items()}
    names = list(dict.fromkeys(name for found in best.values() for name in found))
    columns = [f"N = {batch}" for batch in batches]
    convolutions = sum(layer.count for layer in layers)
    errors: dict[str, float] = {}
    for cell in cells.values():
        for row in cell.rows:
            errors[contender(row)] = max(row.max_abs_error, errors.get(contender(row), 0.0))
    together = [
        [name, *(_tflops(best, layers, n, name) for n in batches), f"{errors[name]:.0e}"]
        for name in names
    ]
    parts = [
        f"### VGG-E, {convolutions} convolutions together: effective TFLOPS",
        markdown_table(["", *columns, "max abs error"], together),
    ]
    for name in names:
        rows = [
            [layer.name, str(layer.count), f"{layer.gflop:.2f}",
             *(_tflops(best, [layer], n, name) for n in batches)]
            for layer in layers
        ]  # fmt: skip
        title = f"### {name}, layer by layer: effective TFLOPS"
        parts += [title, markdown_table(["layer", "count", "GFLOP an image", *columns], rows)]
    problems = dict.fromkeys(problem for cell in cells.values() for problem in cell.problems)
    return parts + ["\n".join(f"- {problem}" for problem in problems)] * bool(problems)


def _tflops(
    best: Mapping[tuple[str, int], Mapping[str, float]],
    layers: Sequence[Layer],
    batch: int,
    name: str,
) -> str:
    found = [best.get((layer.name, batch), {}).get(name) for layer in layers]
    times = [
        layer.count * seconds
        for layer, seconds in zip(layers, found, strict=True)
        if seconds is not None
    ]
    if len(times) < len(layers):
        return MISSING
    return f"{batch * sum(layer.count * layer.gflop for layer in layers) / sum(times) / 1e3:.3g}"
