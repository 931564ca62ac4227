"""Programs fitted to devices, which need not be here: what is merged, and its kernels."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from interpreter import run_program

import graphs
from facegen import _native
from facegen.networks import colorizer, dcgan, lenet, pix2pix, segmentation
from facegen.nn import (
    GELU,
    Add,
    Clip,
    Concat,
    Conv2d,
    ConvTranspose2d,
    GlobalAvgPool2d,
    Graph,
    HardSigmoid,
    HardSwish,
    InstanceNorm,
    MaxPool2d,
    PReLU,
    ReLU,
    Shape,
    Sigmoid,
    SiLU,
    Softmax,
    Tanh,
    Upsample,
    lower,
)
from facegen.nn.fit import fit
from facegen.nn.layer import Layer
from facegen.nn.program import (
    NOWHERE,
    Copy,
    Fill,
    Gemm,
    MaxPool,
    Phase,
    Program,
    step_reads,
    step_writes,
)
from facegen.nn.program import InstanceNorm as NormStep
from facegen.nn.target import find_target
from merged_graphs import BUILDERS
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


def check(graph: Graph, device, seed: int = 0, images: int = 2) -> Program:
    """A fitted program makes what the unfitted one does, in float64; returns it."""
    rng = np.random.default_rng(seed)
    program = lower(graph, random_weights(graph, rng), dtype=np.float64)
    inputs = [rng.standard_normal((images, *tensor.shape)) for tensor in graph.inputs]
    fitted = fit(program, device)
    for want, got in zip(run_program(program, *inputs), run_program(fitted, *inputs), strict=True):
        rms = float(np.sqrt((want**2).mean())) or 1.0
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-12 * rms)
    assert len(fitted.kernels) == len(fitted.steps)
    return fitted


TARGETS = {
    "anything": Anything(),
    "cpu": find_target("cpu:portable"),
    "hopper": find_target("cuda:hopper"),
    "hopper, float16": find_target("cuda:hopper", "float16"),
    "ampere": find_target("cuda:ampere", "tf32"),
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


@pytest.mark.parametrize("build", BUILDERS, ids=lambda build: build.__name__)
def test_graphs_get_the_kernels_that_they_are_for(build: Callable[[Graph], None]) -> None:
    graph = Graph(build.__name__)
    build(graph)
    program = lower(graph, None, device="cuda")
    names = {kernel.replace(" bf16x3", "") for kernel in program.kernels}
    assert names >= set(BUILDERS[build])


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("build", BUILDERS, ids=lambda build: build.__name__)
def test_graphs_make_the_same(build: Callable[[Graph], None], target: str) -> None:
    graph = Graph(build.__name__)
    build(graph)
    check(graph, TARGETS[target], images=1)  # the maps are as large as kernels need them


def chain(*layers: Layer) -> Graph:
    graph = Graph("chain")
    x = graph.input("x", Shape(16, 16, 32))
    for i, layer in enumerate(layers):
        x = graph.add(f"l{i}", layer, x)
    graph.output(x)
    return graph


def test_a_map_that_somebody_else_reads_is_not_merged() -> None:
    graph = Graph("two readers")
    x = graph.add("conv", Conv2d(32, 32, 3), graph.input("x", Shape(16, 16, 32)))
    graph.output(graph.add("pool", MaxPool2d(2), x))
    graph.output(graph.add("softmax", Softmax(), x))
    program = check(graph, Anything())
    assert all(step.finish is None for step in program.steps if isinstance(step, Gemm))


def test_a_map_that_is_an_output_is_not_merged() -> None:
    graph = Graph("output")
    x = graph.add("conv", Conv2d(32, 32, 3), graph.input("x", Shape(16, 16, 32)))
    graph.output(x)
    graph.output(graph.add("pool", MaxPool2d(2), x))
    assert [type(step) for step in check(graph, Anything()).steps] == [Gemm, MaxPool]


def test_a_step_that_no_kernel_takes_is_refused() -> None:
    """On the device as well as before: nothing that a step asks for is dropped."""
    program = lower(chain(Conv2d(32, 32, 3), MaxPool2d(2)), None)
    conv, pool = program.steps
    assert isinstance(conv, Gemm) and isinstance(pool, MaxPool)
    merged = replace(
        conv, output=pool.output, finish=replace(pool, input=replace(pool.input, buffer=NOWHERE))
    )
    for device in ("cuda:ampere", "cuda:hopper", "cpu:portable"):
        for step in (
            replace(merged, softmax_input=True),
            replace(conv, softmax_input=True, slices=True),
            replace(merged, copy=Copy(pool.output)),
            replace(pool, epilogue=conv.epilogue, name="a pool alone"),
        ):
            found = find_target(device).kernel(step, program.buffers)
            assert (found is None) == isinstance(step, Gemm)
    constants = {
        name: np.zeros(shape, np.float32)
        for name, shape in chain(Conv2d(32, 32, 3)).parameters.items()
    }
    slices = replace(program, steps=(replace(conv, softmax_input=True), pool), constants=constants)
    with pytest.raises(ValueError, match="no kernel for l0 of chain"):
        fit(slices, find_target("cpu:portable"))
    with pytest.raises(ValueError, match="the CPU has no kernel for step 0"):
        _native.CpuExecutable(slices)


def test_a_program_is_fitted_once_and_to_one_device() -> None:
    program = lower(NETWORKS["lenet"](), None, device="cuda:ampere")
    assert program.device == "sm_80 float32"
    with pytest.raises(ValueError, match="lenet is fitted to sm_80 float32 already"):
        fit(program, find_target("cpu:portable"))


@pytest.mark.parametrize("name", ["cuda", "cuda:hopper", "cuda:9.0"])
def test_names_of_hopper(name: str) -> None:
    assert find_target(name).name == "sm_90 float32"


@pytest.mark.parametrize(
    "name", ["", "gpu", "cuda:volta", "cuda:", "cpu:avx9", "cuda:9.x", "cuda:0", "cuda:7.5", "all"]
)
def test_devices_that_there_are_not(name: str) -> None:
    with pytest.raises(ValueError, match="a device to lower for is one of|is not available here"):
        find_target(name)


def test_precisions_and_kernels_that_there_are_not() -> None:
    with pytest.raises(ValueError, match="unknown precision int8"):
        find_target("cuda", "int8")
    with pytest.raises(ValueError, match="kernels must be auto, mma or fma, not wgmma"):
        find_target("cuda", kernels="wgmma")


def test_a_norm_over_one_pixel_is_its_beta_on_gpus() -> None:
    layers = Conv2d(32, 64, 16), InstanceNorm(64), ReLU(), ConvTranspose2d(64, 32, 2)
    program = check(chain(*layers), find_target("cuda:ampere"))
    assert [type(step) for step in program.steps] == [Fill, Gemm]
    assert program.constant_steps == 1


def test_slices_are_left_within_a_run() -> None:
    """The product runs once, the norm behind it, whose result is the output, every time."""
    layers = Conv2d(32, 64, 16), InstanceNorm(64), ConvTranspose2d(64, 512, 2), InstanceNorm(512)
    program = check(chain(*layers), find_target("cuda:hopper"))
    _, product, norm = program.steps
    assert program.constant_steps == 2 and isinstance(product, Gemm)
    assert isinstance(norm, NormStep) and not product.slices and not norm.slices


def test_what_constant_steps_make_is_kept() -> None:
    graph = Graph("kept")
    x = graph.input("x", Shape(4, 4, 16))
    one = graph.add("norm", InstanceNorm(16), graph.add("conv", Conv2d(16, 16, 4), x))
    wide = graph.add("wide", Upsample((4, 4)), one)
    deep = x
    for i in range(4):
        deep = graph.add(f"conv{i}", Conv2d(16, 16, 3, padding=1), deep)
    graph.output(graph.add("sum", Add(), deep, wide))
    program = check(graph, find_target("cuda:hopper"))
    assert program.constant_steps == 2
    kept = [program.steps[1].output.buffer]
    offset = program.buffers[kept[0]].arena_offset
    for step in program.steps[program.constant_steps :]:
        for view in step_writes(step):
            buffer = program.buffers[view.buffer]
            apart = buffer.arena_offset >= offset + program.buffers[kept[0]].floats
            assert buffer.kind != "arena" or apart or buffer.arena_offset + buffer.floats <= offset


def test_an_input_is_staged_once_for_all_who_read_it() -> None:
    graph = Graph("staged")
    x = graph.input("x", Shape(8, 8, 64))
    a, b = (graph.add(n, Conv2d(64, 64, 3, padding=1), x) for n in "ab")
    graph.output(graph.add("sum", Add(), a, b))
    program = check(graph, find_target("cuda:hopper"))
    read = [view.buffer for step in program.steps for view in step_reads(step)]
    assert read.count(0) == 1 and program.kernels[0] == "pointwise"


def test_formats_are_those_of_all_readers() -> None:
    """A map that a product and a mean read is not split; one that products alone read is."""
    graph = Graph("formats")
    x = graph.add("a", Conv2d(64, 64, 1), graph.input("x", Shape(8, 8, 64)))
    y = graph.add("b", Conv2d(64, 64, 3), x)
    graph.output(graph.add("c", Conv2d(64, 64, 3), y))
    graph.output(graph.add("mean", GlobalAvgPool2d(), x))
    program = lower(graph, None, device="cuda")
    formats = {step.name: program.buffers[step.output.buffer].format for step in program.steps}
    assert formats == {
        "operands of input 0": "split",
        "a": "float32",
        "b": "split",
        "c": "float32",
        "mean": "float32",
    }


def test_pools_and_additions_take_the_format_of_a_product_beside_them() -> None:
    graph = Graph("any format")
    x = graph.add("a", Conv2d(64, 64, 1), graph.input("x", Shape(8, 8, 64)))
    y = graph.add("b", Conv2d(64, 64, 3, padding=1), x)
    z = graph.add("sum", Add(), y, x)  # x: read by a product, and added
    graph.output(graph.add("c", Conv2d(64, 64, 3), z))
    graph.output(graph.add("pool", MaxPool2d(2), z))  # z: read by a product, and by a pool
    alone = graph.add("tanh", Tanh(), z)
    graph.output(graph.add("pool2", MaxPool2d(2), alone))  # by a pool alone
    for device, split in (("cuda:hopper", "split"), ("cpu:portable", "float32")):
        program = check(graph, find_target(device))
        formats = {step.name: program.buffers[step.output.buffer].format for step in program.steps}
        assert formats["a"] == formats["b+sum"] == split
        assert formats["tanh"] == "float32"


def test_siblings_of_other_shapes_are_not_joined() -> None:
    def joined(one: Conv2d, large: Conv2d, activate: bool = False) -> bool:
        graph = Graph("siblings")
        x = graph.add("relu", ReLU(), graph.input("x", Shape(8, 8, 16)))
        a, b = graph.add("one", one, x), graph.add("large", large, x)
        if activate:
            a = graph.add("activated", ReLU(), a)
        graph.output(graph.add("both", Concat(), a, b))
        steps = check(graph, Anything()).steps
        return any(isinstance(step, Gemm) and step.centre_channels for step in steps)

    one, large = Conv2d(16, 64, 1), Conv2d(16, 64, 3, padding=1)
    assert joined(one, large) and joined(Conv2d(16, 64, 1, bias=False), large)
    assert not joined(large, one) and not joined(one, large, activate=True)
    assert not joined(one, one)
    assert not joined(one, Conv2d(16, 64, 2, padding=1, dilation=2))  # none at the centre
    assert joined(one, Conv2d(16, 64, 3, padding=((0, 2), (1, 1))))


@pytest.mark.parametrize("kernels", [(1, 1, 1), (1, 1, 3), (1, 3, 1)])
def test_a_step_is_joined_once(kernels: tuple[int, ...]) -> None:
    """As in an Inception module: several convolutions of one map, side by side."""
    graph = Graph("three siblings")
    x = graph.add("relu", ReLU(), graph.input("x", Shape(8, 8, 64)))
    parts = [
        graph.add(f"c{i}", Conv2d(64, 64, kernel, padding=kernel // 2), x)
        for i, kernel in enumerate(kernels)
    ]
    graph.output(graph.add("all", Concat(), *parts))
    for target in TARGETS.values():
        check(graph, target)


def test_siblings_are_joined_before_somebody_reads_either() -> None:
    graph = Graph("read in between")
    x = graph.add("relu", ReLU(), graph.input("x", Shape(8, 8, 64)))
    large = graph.add("large", Conv2d(64, 64, 3, padding=1), x)
    reader = graph.add("reader", Conv2d(64, 64, 1), large)
    graph.output(graph.add("both", Concat(), graph.add("one", Conv2d(64, 64, 1), x), large))
    graph.output(reader)
    for device in (Anything(), find_target("cuda:hopper")):
        names = [step.name for step in check(graph, device).steps]
        assert names.index("one|large") < names.index("reader")


def test_a_softmax_that_one_sibling_reads_is_not_lost() -> None:
    graph = Graph("softmax of one")
    x = graph.add("relu", ReLU(), graph.input("x", Shape(8, 8, 16)))
    one = graph.add("one", Conv2d(16, 64, 1), graph.add("softmax", Softmax(), x))
    graph.output(graph.add("both", Concat(), one, graph.add("l", Conv2d(16, 64, 3, padding=1), x)))
    check(graph, Anything())


def test_a_finish_that_finishes_itself_is_refused() -> None:
    """And not followed until the stack is full."""
    program = lower(chain(Conv2d(32, 32, 3), Conv2d(32, 32, 1)), None)
    conv, squeeze = program.steps
    assert isinstance(conv, Gemm) and isinstance(squeeze, Gemm)
    finish = replace(squeeze, input=replace(squeeze.input, buffer=NOWHERE))
    object.__setattr__(finish, "finish", finish)
    step = replace(conv, output=finish.output, finish=finish)
    for device in ("cuda:hopper", "cpu:portable"):
        with pytest.raises(ValueError, match="a finish that has a finish"):
            find_target(device).kernel(step, program.buffers)


def test_a_kernel_of_more_weights_than_memory_is_refused() -> None:
    """Its taps would be counted for years."""
    program = lower(chain(Conv2d(32, 32, 1)), None)
    (conv,) = program.steps
    assert isinstance(conv, Gemm)
    axis = replace(conv.phases[0].y, taps=1 << 28)
    step = replace(conv, kernel_size=(1 << 28, 1 << 28), phases=(Phase(axis, axis),))
    with pytest.raises(ValueError, match="a constant of impossible size"):
        find_target("cuda:hopper").kernel(step, program.buffers)


def products_with(activation):
    graph = Graph("products")
    x = graph.input("x", Shape(16, 16, 64))
    y = graph.add("second", Conv2d(64, 64, 3, padding=1), graph.add("first", Conv2d(64, 64, 1), x))
    y = graph.add("activation", activation, y)
    graph.output(graph.add("third", Conv2d(64, 64, 1), y))
    return graph


@pytest.mark.parametrize(
    "activation", [SiLU(), Clip(0, 6), Sigmoid(), HardSigmoid(), HardSwish()], ids=str
)
def test_hopper_products_know_the_quick_activations(activation):
    program = lower(products_with(activation), None, device="cuda:hopper")
    kinds = [type(step).__name__ for step in program.steps if "operands" not in step.name]
    assert kinds == ["Gemm"] * 3
    assert all("wgmma" in kernel for kernel in program.kernels if "pointwise" not in kernel)


@pytest.mark.parametrize("activation", [GELU(), PReLU(64)], ids=str)
def test_what_hopper_products_do_not_know_is_a_step_behind_them(activation):
    graph = products_with(activation)
    program = lower(graph, None, device="cuda:hopper")
    kinds = [type(step).__name__ for step in program.steps if "operands" not in step.name]
    assert kinds == ["Gemm", "Gemm", "Pointwise", "Gemm"]
    assert all("wgmma" in kernel for kernel in program.kernels if "pointwise" not in kernel)
    ampere = lower(graph, None, device="cuda:ampere")
    assert [type(step).__name__ for step in ampere.steps] == ["Gemm"] * 3
