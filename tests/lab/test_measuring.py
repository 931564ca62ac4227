"""What the experiments measure: that it is right, not how fast it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from facegen import _native
from facegen.errors import FacegenError, OutOfMemory
from facegen.kernels.matrices import MATMUL_ALGORITHMS
from facegen.lab import bus, gemm, machine, scaling
from facegen.lab.named import with_weights
from facegen.networks import NETWORKS
from facegen.networks.seeded import seeded_weights

EPS = float(np.finfo(np.float32).eps)


@pytest.mark.parametrize("size", [(1, 1, 1), (7, 5, 3), (64, 33, 17)])
def test_products_are_right(size: tuple[int, int, int]) -> None:
    m, n, k = size
    found = gemm.measure(gemm.Size(m, n, k), 1, 0.01)
    ways = [result.way for result in found.results]
    assert ways == [*(f"matmul {name}" for name in MATMUL_ALGORITHMS[1:]), "linear layer", "NumPy"]
    for result in found.results:  # a few times sqrt(k) roundings; more of what Strassen's sums make
        assert result.error <= EPS * (np.sqrt(k) + 2) * (64 if "strassen" in result.way else 4)
        assert result.gflops == pytest.approx(2 * m * n * k / 1e9 / result.times.median)
        assert result.peak_share == pytest.approx(result.gflops / found.peak_gflops)


def test_sizes_are_checked_before_memory_is_taken() -> None:
    with pytest.raises(OutOfMemory, match="a product of 1000000x1000000x1000000"):
        gemm.check([gemm.Size(8, 8, 8), gemm.Size(*[10**6] * 3)])


def test_the_machine_is_described() -> None:
    described = machine.describe(3)
    assert described["threads"] == 3 and described["processor"] and described["isa"]
    assert (
        machine.fma_peak(1, seconds=0.001) > 0
        and machine.copy_rate(2, copied_bytes=1 << 16, repeats=1) > 0
    )


def test_scaling_of_a_layer() -> None:
    graph = scaling.layer_graph(5, 6, 3, 4)
    assert graph.outputs[0].shape == (5, 6, 3)
    points = scaling.measure(graph, seeded_weights(graph.parameters, 0), 2, (1, 2), 0.01)
    one, two = points
    assert one.speed_up == one.efficiency == 1 and one.serial_share is None
    assert two.efficiency == two.speed_up / 2
    assert two.speed_up == pytest.approx(one.times.median / two.times.median)
    # Amdahl's law with that share gives the speed-up again.
    assert two.serial_share is not None
    law = 1 / (two.serial_share + (1 - two.serial_share) / 2)
    assert law == pytest.approx(two.speed_up)


def test_scaling_claims_nothing_of_one_thread_that_was_not_measured() -> None:
    graph = scaling.layer_graph(5, 6, 3, 4)
    points = scaling.measure(graph, seeded_weights(graph.parameters, 0), 1, (2, 4), 0.01)
    two, four = points
    assert two.speed_up == 1
    assert four.speed_up == pytest.approx(two.times.median / four.times.median)
    assert all(point.efficiency is None and point.serial_share is None for point in points)


def test_scaling_measures_no_fewer_threads_than_it_says() -> None:
    graph = scaling.layer_graph(5, 6, 3, 4)
    most = _native.most_threads()
    with pytest.raises(FacegenError, match=f"{most + 1:,} threads: expected up to {most:,} on"):
        scaling.measure(graph, {}, 1, (1, most + 1), 0.01)


def test_scaling_takes_no_more_than_there_is() -> None:
    graph = scaling.layer_graph(1000, 1000, 64, 3)
    with pytest.raises(OutOfMemory):
        scaling.measure(graph, seeded_weights(graph.parameters, 0), 10**6, (1,), 0.01)


def test_every_stage_is_measured(tmp_path: Path) -> None:
    network = NETWORKS["squeezenet-torchvision"]
    weights = network.initial_weights(0)
    stages = bus.measure(network, weights, 2, (20, 30), ".png", "cpu", 1, 0.01, str(tmp_path))
    names = ["disk", "decode", "prepare", "copy in memory", "network"]
    assert [stage.name for stage in stages] == names and not list(tmp_path.iterdir())
    by_name = {stage.name: stage for stage in stages}
    assert by_name["prepare"].bytes_each == 20 * 30 * 3
    assert by_name["network"].bytes_each == 224 * 224 * 3 * 4
    assert by_name["disk"].bytes_each == by_name["decode"].bytes_each
    with pytest.raises(OutOfMemory):
        bus.measure(network, weights, 10**5, (10**5, 10**5), ".png", "cpu", 1, 0.01)
    with pytest.raises(OSError):
        bus.measure(network, weights, 1, (8, 8), ".png", "cpu", 1, 0.01, str(tmp_path / "no"))


def test_weights_of_any_name() -> None:
    for name in ("squeezenet", "resnet18", "default:lenet"):
        graph, weights = with_weights(name)
        assert {key: value.shape for key, value in weights.items()} == graph.parameters
    with pytest.raises(FacegenError, match="vgg: expected a file, or a network among alexnet"):
        with_weights("vgg")
