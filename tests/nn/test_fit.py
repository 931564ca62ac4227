"""Programs fitted to devices, which need not be here: what is merged, and its kernels."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import graphs
import numpy as np
import pytest
from interpreter import run_program

from facegen.networks import colorizer, dcgan, lenet, pix2pix, segmentation
from facegen.nn import (
    Graph,
    lower,
)
from facegen.nn.device import find_device
from facegen.nn.fit import fit
from facegen.nn.program import Program
from random_weights import random_weights

PROGRAMS = Path(__file__).parent / "programs"
NETWORKS: dict[str, Callable[[], Graph]] = {
    "colorizer": colorizer.graph,
    "dcgan": dcgan.graph,
    "lenet": lenet.graph,
    "pix2pix": pix2pix.graph,
    "segmentation": segmentation.graph,
}
DEVICES = ["cpu:portable", "cuda:hopper", "cuda:ampere"]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("network", NETWORKS)
def test_the_networks_programs_are_those_on_file(network: str, device: str) -> None:
    """What a change does to them is looked at, then written: FACEGEN_WRITE_PROGRAMS=1 pytest."""
    file = PROGRAMS / f"{network}-{device.split(':')[1]}.txt"
    printed = str(lower(NETWORKS[network](), None, device=device)) + "\n"
    if os.environ.get("FACEGEN_WRITE_PROGRAMS"):
        file.write_text(printed)
    assert printed == file.read_text()


class Anything:
    """A device that has a kernel for whatever is asked: every change that may be made is made."""

    name = "anything"
    operand_format = "split"
    value_format = "float32"
    pixel_channels = 8

    def kernel(self, step, buffers):
        return 0, "some kernel"

    def input_format(self, step, buffers):
        return "split"


def check(graph: Graph, device, seed: int = 0) -> Program:
    """A fitted program makes what the unfitted one does, in float64; returns it."""
    rng = np.random.default_rng(seed)
    program = lower(graph, random_weights(graph, rng), dtype=np.float64)
    inputs = [rng.standard_normal((2, *tensor.shape)) for tensor in graph.inputs]
    fitted = fit(program, device)
    for want, got in zip(run_program(program, *inputs), run_program(fitted, *inputs), strict=True):
        rms = float(np.sqrt((want**2).mean())) or 1.0
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-12 * rms)
    assert len(fitted.kernels) == len(fitted.steps)
    return fitted


TARGETS = {
    "anything": Anything(),
    "cpu": find_device("cpu:portable"),
    "hopper": find_device("cuda:hopper"),
    "hopper, float16": find_device("cuda:hopper", "float16"),
    "ampere": find_device("cuda:ampere", "tf32"),
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    "make", [graphs.dcgan_like, graphs.unet_like, graphs.fire_like, graphs.eccv16_like]
)
def test_networks_make_the_same(make: Callable[[], Graph], target: str) -> None:
    check(make(), TARGETS[target])


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("seed", range(40))
def test_random_graphs_make_the_same(seed: int, target: str) -> None:
    check(graphs.random_graph(seed), TARGETS[target], seed)
