"""Lowering changes no result: graphs interpreted directly and through their program agree."""

from __future__ import annotations

import numpy as np
import pytest
from interpreter import run_program

import graphs
from bench import reference
from facegen.nn import (
    Add,
    Affine,
    BatchNorm,
    Channels,
    ChannelShuffle,
    Concat,
    Conv2d,
    ConvTranspose2d,
    DepthToSpace,
    Graph,
    InstanceNorm,
    LeakyReLU,
    Linear,
    MaxPool2d,
    Pad2d,
    PReLU,
    ReLU,
    Reshape,
    Shape,
    SpaceToDepth,
    Tanh,
    lower,
)
from facegen.nn.program import ALGORITHM_NAMES, Gemm, MaxPool, Pointwise, Rearrange, Resample
from random_weights import random_weights


def check(graph: Graph, seed: int = 0, batch: int = 2):
    """Lower `graph` with random weights, compare it with its definition, return the program."""
    rng = np.random.default_rng(seed)
    weights = random_weights(graph, rng)
    inputs = [rng.standard_normal((batch, *tensor.shape)) for tensor in graph.inputs]
    program = lower(graph, weights, dtype=np.float64)
    expected = reference.run_graph(graph, weights, *inputs)
    computed = run_program(program, *inputs)
    for want, got in zip(expected, computed, strict=True):
        rms = np.sqrt((want**2).mean()) or 1.0
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-12 * rms)
    return program


@pytest.mark.parametrize(
    "make", [graphs.dcgan_like, graphs.unet_like, graphs.fire_like, graphs.eccv16_like]
)
def test_networks_agree_with_their_definition(make):
    check(make())


@pytest.mark.parametrize("seed", range(150))
def test_random_graphs_agree_with_their_definition(seed):
    kinds = graphs.ALL_KINDS if seed % 2 else graphs.KINDS
    check(graphs.random_graph(seed, kinds=kinds), seed)


def kinds(program) -> list[str]:
    return [type(step).__name__ for step in program.steps]


def test_dcgan_is_one_step_a_convolution():
    program = check(graphs.dcgan_like())
    assert [step.name for step in program.steps] == [
        "proj+bn0+relu0",
        "tconv1+bn1+relu1",
        "tconv2+tanh",
    ]
    assert [step.epilogue.activation for step in program.steps] == ["relu", "relu", "tanh"]
    assert program.steps[-1].output.buffer == program.outputs[0].buffer
    assert program.buffers[program.outputs[0].buffer].kind == "output"


def test_fire_module_writes_its_concatenation_in_place():
    program = check(graphs.fire_like())
    assert "Pointwise" not in kinds(program)
    left, right = (s for s in program.steps if s.name.startswith("fire2.expand"))
    assert left.output.buffer == right.output.buffer
    assert (left.output.offset, right.output.offset) == (0, 6)
    assert left.output.pixel_stride == right.output.pixel_stride == 12


def test_sum_is_an_epilogue():
    program = check(graphs.fire_like())
    (step,) = (s for s in program.steps if "sum" in s.name)
    assert isinstance(step, Gemm) and step.epilogue.other is not None


def test_batch_norm_after_relu_is_the_scale_and_shift_of_the_epilogue():
    program = check(graphs.eccv16_like())
    step = next(s for s in program.steps if s.name == "conv2+relu2+bn2")
    assert (step.epilogue.activation, step.epilogue.scale, step.epilogue.shift) == (
        "relu",
        "conv2.scale",
        "conv2.shift",
    )
    upsample = next(s for s in program.steps if isinstance(s, Resample))
    assert upsample.epilogue.scale == "upsample.scale" and upsample.epilogue.shift is None


def test_skip_connection_costs_one_pass_over_the_encoder():
    """The leaky ReLU fuses with the encoder; a Pointwise ReLU writes into the concatenation."""
    program = check(graphs.unet_like())
    pointwise = [step for step in program.steps if isinstance(step, Pointwise)]
    assert [step.name for step in pointwise] == ["relu_3[1]", "relu_2[1]", "relu_1[1]"]
    assert all(step.output.pixel_stride == 2 * step.output.channels for step in pointwise)


def test_a_value_with_two_readers_is_not_changed_by_fusion():
    graph = Graph("two readers")
    x = graph.input("x", Shape(4, 4, 2))
    y = graph.add("conv", Conv2d(2, 2, 3, padding=1), x)
    graph.output(graph.add("relu", ReLU(), y))
    graph.output(y)
    assert kinds(check(graph)) == ["Gemm", "Pointwise"]


def test_an_output_is_not_changed_by_fusion_through_a_reshape():
    graph = Graph("reshaped output")
    x = graph.input("x", Shape(1, 1, 8))
    y = graph.add("linear", Linear(8, 8), x)
    z = graph.add("reshape", Reshape(Shape(2, 2, 2)), y)
    graph.output(graph.add("bn", BatchNorm(2), z))
    graph.output(y)
    assert kinds(check(graph)) == ["Gemm", "Pointwise"]


def test_sum_waits_for_its_later_summand():
    """Only the earlier GEMM can take the sum: it moves behind the norm."""
    graph = Graph("late summand")
    x = graph.input("x", Shape(4, 4, 2))
    a = graph.add("conv", Conv2d(2, 3, 1), x)
    b = graph.add("other", Conv2d(2, 3, 3, padding=1), x)
    b = graph.add("norm", InstanceNorm(3), b)
    graph.output(graph.add("relu", ReLU(), graph.add("sum", Add(), a, b)))
    assert [step.name for step in check(graph).steps] == ["other", "norm", "conv+sum+relu"]


def test_sum_of_a_reshaped_convolution_is_a_step_of_its_own():
    graph = Graph("reshaped summand")
    x = graph.input("x", Shape(2, 2, 2))
    bias = graph.input("bias", Shape(1, 1, 8))
    y = graph.add("conv", Conv2d(2, 2, 1), x)
    y = graph.add("flat", Reshape(Shape(1, 1, 8)), y)
    graph.output(graph.add("sum", Add(), y, bias))
    assert kinds(check(graph)) == ["Gemm", "Pointwise"]


def test_batch_norm_over_joined_pixels_is_a_step_of_its_own():
    """One output channel of the convolution meets several channels of the norm."""
    graph = Graph("joined pixels")
    x = graph.input("x", Shape(2, 2, 2))
    y = graph.add("conv", Conv2d(2, 2, 1), x)
    y = graph.add("flat", Reshape(Shape(1, 1, 8)), y)
    graph.output(graph.add("bn", BatchNorm(8), y))
    assert kinds(check(graph)) == ["Gemm", "Pointwise"]


def test_one_pixel_read_as_several_within_a_concatenation():
    graph = Graph("split pixel")
    x = graph.input("x", Shape(1, 1, 4))
    y = graph.add("linear", Linear(4, 16), x)
    y = graph.add("reshape", Reshape(Shape(2, 2, 4)), y)
    z = graph.input("z", Shape(2, 2, 3))
    graph.output(graph.add("concat", Concat(), z, y))
    assert kinds(check(graph)) == ["Gemm", "Pointwise", "Pointwise"]


@pytest.mark.parametrize("slope", [0.0, 0.2, -0.2])
@pytest.mark.parametrize("relu_first", [False, True])
def test_relu_beside_leaky_relu(slope, relu_first):
    """The ReLU reads the leaky ReLU's result where that comes first and keeps the signs."""
    graph = Graph("both")
    x = graph.input("x", Shape(4, 4, 2))
    x = graph.add("conv", Conv2d(2, 2, 1), x)
    layers = [("leaky", LeakyReLU(slope)), ("relu", ReLU())]
    for name, layer in layers[::-1] if relu_first else layers:
        graph.output(graph.add(name, layer, x))
    shared = slope >= 0 and not relu_first
    assert len(check(graph).steps) == (2 if shared else 3)


def test_residual_block():
    graph = Graph("residual")
    x = graph.input("x", Shape(4, 4, 2))
    y = graph.add("conv", Conv2d(2, 2, 3, padding=1), x)
    y = graph.add("bn", BatchNorm(2), y)
    y = graph.add("sum", Add(), y, x)
    graph.output(graph.add("relu", ReLU(), y))
    assert [step.name for step in check(graph).steps] == ["conv+bn+sum+relu"]


def test_affine_folds_into_weights_and_into_a_norm():
    graph = Graph("affine")
    x = graph.input("x", Shape(4, 4, 2))
    x = graph.add("conv", Conv2d(2, 3, 3, padding=1, bias=False), x)
    x = graph.add("affine", Affine(2, 0.5), x)
    x = graph.add("relu", ReLU(), x)
    y = graph.add("norm", InstanceNorm(3), x)
    y = graph.add("affine2", Affine(3, -1), y)
    graph.output(graph.add("leaky", LeakyReLU(0.1), y))
    program = check(graph)
    assert [step.name for step in program.steps] == ["conv+affine+relu", "norm+affine2+leaky"]
    assert program.steps[0].bias == "conv.bias"
    assert all(step.epilogue.scale is None for step in program.steps)


def test_a_part_that_cannot_be_written_in_place_is_copied():
    graph = Graph("copies")
    x = graph.input("x", Shape(2, 2, 2))
    y = graph.add("conv", Conv2d(2, 2, 1), x)
    first = graph.add("first", Concat(), x, y, y)  # an input, in place, already placed
    second = graph.add("second", Concat(), first, y)
    graph.output(second)
    assert [step.name for step in check(graph).steps] == [
        "conv",
        "first[0]",
        "first[2]",
        "second[1]",
    ]


def test_a_part_read_in_another_shape_stays_packed():
    graph = Graph("packed")
    x = graph.input("x", Shape(2, 2, 4))
    y = graph.add("conv", Conv2d(4, 4, 1), x)
    graph.output(graph.add("concat", Concat(), y, y))
    graph.output(graph.add("reshape", Reshape(Shape(1, 1, 16)), y))
    check(graph)


def test_input_as_output_is_copied():
    graph = Graph("identity")
    x = graph.input("x", Shape(2, 2, 4))
    graph.output(x)
    graph.output(x)
    assert kinds(check(graph)) == ["Pointwise", "Pointwise"]


def test_unused_layers_are_dropped():
    graph = Graph("unused")
    x = graph.input("x", Shape(2, 2, 4))
    graph.input("unused_input", Shape(1, 1, 1))
    graph.add("unused", Conv2d(4, 4, 1), x)
    graph.output(graph.add("relu", ReLU(), x))
    assert kinds(check(graph)) == ["Pointwise"]


def test_max_pool_takes_an_activation():
    graph = Graph("pool")
    x = graph.input("x", Shape(5, 5, 2))
    x = graph.add("pool", MaxPool2d(3, 2, padding=1, ceil_mode=True), x)
    graph.output(graph.add("relu", ReLU(), x))
    (step,) = check(graph).steps
    assert isinstance(step, MaxPool) and step.epilogue.activation == "relu"


@pytest.mark.parametrize("stride", [1, 2, 3, 4])
@pytest.mark.parametrize("kernel", [1, 2, 3, 5])
@pytest.mark.parametrize("padding", [0, ((0, 1), (2, 0)), ((2, 2), (0, 3))])
@pytest.mark.parametrize("output_padding", [0, (1, 2)])
def test_transposed_convolution(stride, kernel, padding, output_padding):
    """Kernel smaller than the stride (phases without taps) and padding beyond it included."""
    graph = Graph("tconv")
    x = graph.input("x", Shape(5, 6, 2))
    layer = ConvTranspose2d(2, 3, kernel, stride, padding, output_padding)
    try:
        x = graph.add("tconv", layer, x)
    except ValueError as error:
        assert "leaves nothing" in str(error)
        return
    graph.output(graph.add("relu", ReLU(), x))
    assert kinds(check(graph)) == ["Gemm"]


def test_memory_is_reused():
    graph = Graph("chain")
    x = graph.input("x", Shape(4, 4, 4))
    for i in range(10):
        x = graph.add(f"conv{i}", Conv2d(4, 4, 3, padding=1), x)
    graph.output(x)
    assert check(graph).arena_floats == 2 * 4 * 4 * 4


def test_constants_are_rounded_once():
    graph = graphs.dcgan_like()
    weights = random_weights(graph, np.random.default_rng(1))
    exact = lower(graph, weights, dtype=np.float64).constants
    rounded = lower(graph, weights).constants
    assert exact.keys() == rounded.keys()
    for name, constant in rounded.items():
        assert constant.dtype == np.float32 and constant.flags.c_contiguous
        np.testing.assert_array_equal(constant, exact[name].astype(np.float32))


def test_constants_that_float32_does_not_hold(recwarn):
    """What the file's numbers make is infinite, and nobody is warned of it."""
    graph = Graph("large")
    x = graph.input("x", Shape(2, 2, 3))
    x = graph.add("large", Affine(1e30), graph.add("larger", Affine(1e30), x))
    graph.output(graph.add("norm", BatchNorm(3, 0.0), x))
    weights = {name: np.zeros(shape) for name, shape in graph.parameters.items()}
    program = lower(graph, weights)
    assert not all(np.isfinite(values).all() for values in program.constants.values())
    assert not recwarn.list


def test_structure_without_weights():
    graph = graphs.unet_like()
    weights = random_weights(graph, np.random.default_rng(1))
    structure = lower(graph, None)
    assert structure.steps == lower(graph, weights).steps
    assert not structure.constants


@pytest.mark.parametrize("algorithm", ALGORITHM_NAMES)
def test_the_algorithm_is_passed_on(algorithm):
    steps = lower(graphs.dcgan_like(), None, algorithm).steps
    assert {step.algorithm for step in steps} == {algorithm}


def test_wrong_weights_are_named():
    graph = graphs.dcgan_like()
    weights = random_weights(graph, np.random.default_rng(1))
    with pytest.raises(ValueError, match=r"lack bn1.beta, of shape \(6,\)"):
        lower(graph, {k: v for k, v in weights.items() if k != "bn1.beta"})
    with pytest.raises(ValueError, match=r"bn1.beta .* must have shape \(6,\), not \(5,\)"):
        lower(graph, {**weights, "bn1.beta": np.zeros(5, np.float32)})
    with pytest.raises(ValueError, match="no parameter named bn9.beta"):
        lower(graph, {**weights, "bn9.beta": np.zeros(5, np.float32)})


def test_wrong_arguments():
    graph = Graph("empty")
    graph.input("x", Shape(1, 1, 1))
    with pytest.raises(ValueError, match="has no output"):
        lower(graph, None)
    with pytest.raises(ValueError, match="must be one of .auto., .*, not 'fastest'"):
        lower(graphs.dcgan_like(), None, "fastest")


def test_printed_program():
    text = str(lower(graphs.dcgan_like(), None))
    assert "tconv1+bn1+relu1" in text
    assert "gemm 5x5 4 phases, relu" in text
    assert "3 steps" in text


def test_a_part_that_is_activated_and_copied_keeps_both_values():
    graph = Graph("reshaped part")
    x = graph.input("x", Shape(2, 2, 4))
    x = graph.add("conv", Conv2d(4, 4, 1, bias=False), x)
    x = graph.add("reshape", Reshape(Shape(2, 4, 2)), x)
    x = graph.add("concat", Concat(), x)
    graph.output(graph.add("relu", ReLU(), x))
    weight = np.eye(4, dtype=np.float32).reshape(4, 1, 1, 4)
    batch = np.arange(-8, 8, dtype=np.float32).reshape(1, 2, 2, 4)
    (got,) = run_program(lower(graph, {"conv.weight": weight}), batch)
    np.testing.assert_array_equal(got, np.maximum(batch, 0).reshape(1, 2, 4, 2))


def test_parts_of_a_split_are_windows():
    """ShuffleNet V2's unit: nothing is copied but the half that goes by, into the concatenation."""
    graph = Graph("unit")
    x = graph.input("x", Shape(4, 4, 8))
    x = graph.add("stem", Conv2d(8, 8, 1), x)
    left = graph.add("left", Channels(0, 4), x)
    right = graph.add("right", Channels(4, 4), x)
    right = graph.add("conv", Conv2d(4, 4, 3, padding=1), right)
    y = graph.add("concat", Concat(), left, right)
    y = graph.add("shuffle", ChannelShuffle(2), y)
    graph.output(graph.add("last", Conv2d(8, 3, 1), y))
    program = check(graph)
    assert kinds(program) == ["Gemm", "Gemm", "Pointwise", "Gemm"]
    conv = program.steps[1]
    assert (conv.input.offset, conv.input.channels, conv.input.pixel_stride) == (4, 4, 8)
    assert program.steps[-1].name == "shuffle+last"  # whose weights are permuted


def test_parts_that_are_outputs_or_reshaped_are_copied():
    graph = Graph("parts")
    x = graph.add("conv", Conv2d(2, 6, 1), graph.input("x", Shape(2, 3, 2)))
    graph.output(graph.add("first", Channels(0, 2), x))
    part = graph.add("second", Channels(2, 4), x)
    graph.output(graph.add("flat", Reshape(Shape(1, 1, 24)), part))
    inner = graph.add("inner", Channels(1, 2), graph.add("outer", Channels(2, 3), x))
    graph.output(graph.add("relu", ReLU(), inner))
    graph.output(graph.add("of_input", Channels(1, 1), graph.inputs[0]))
    program = check(graph)
    assert kinds(program) == ["Gemm", "Pointwise", "Pointwise", "Pointwise", "Pointwise"]


def test_a_shuffle_that_others_read_is_a_step():
    graph = Graph("shuffled")
    x = graph.input("x", Shape(2, 3, 6))
    y = graph.add("shuffle", ChannelShuffle(3), x)
    graph.output(graph.add("conv", Conv2d(6, 2, 1), y))
    graph.output(y)
    assert kinds(check(graph)) == ["Shuffle", "Gemm"]


@pytest.mark.parametrize("groups", [1, 4])
def test_zeros_around_a_map_are_the_padding_of_the_convolution_behind(groups):
    graph = Graph("padded")
    x = graph.input("x", Shape(5, 6, 4))
    x = graph.add("pad", Pad2d(((1, 0), (2, 3))), x)
    graph.output(graph.add("conv", Conv2d(4, 4, 3, padding=1, groups=groups), x))
    assert kinds(check(graph)) == ["Gemm" if groups == 1 else "Depthwise"]


def test_zeros_that_several_convolutions_read_are_the_padding_of_each():
    graph = Graph("padded")
    x = graph.add("pad", Pad2d(((1, 0), (2, 3))), graph.input("x", Shape(5, 6, 4)))
    graph.output(graph.add("one", Conv2d(4, 4, 3, padding=1), x))
    graph.output(graph.add("other", Conv2d(4, 5, 3), x))
    assert kinds(check(graph)) == ["Gemm", "Gemm"]


def test_other_borders_stay_steps():
    graph = Graph("padded")
    x = graph.input("x", Shape(5, 6, 4))
    y = graph.add("edge", Pad2d(1, "edge"), x)
    graph.output(graph.add("conv", Conv2d(4, 4, 3), y))
    z = graph.add("zeros", Pad2d(1), x)
    graph.output(graph.add("other", Conv2d(4, 4, 3), z))
    graph.output(z)
    assert kinds(check(graph)) == ["Resample", "Gemm", "Resample", "Gemm"]


@pytest.mark.parametrize("block", [1, 2, 3])
@pytest.mark.parametrize("product", [Conv2d(5, 36, 3, padding=1), ConvTranspose2d(5, 36, 2, 2)])
def test_channels_that_become_pixels_lie_side_by_side(product, block):
    """As PyTorch's pixel shuffle has them not: weights, bias, norms and slopes change places."""
    channels = product.out_channels
    graph = Graph("super-resolution")
    x = graph.add("product", product, graph.input("x", Shape(4, 3, 5)))
    x = graph.add("norm", BatchNorm(channels), x)
    x = graph.add("prelu", PReLU(channels), x)
    x = graph.add("late", BatchNorm(channels), x)
    graph.output(graph.add("shuffle", DepthToSpace(block, depth_first=False), x))
    program = check(graph)
    assert kinds(program) == ["Gemm", "Rearrange"]
    assert isinstance(program.steps[1], Rearrange) and program.steps[1].depth_first


def test_channels_stay_where_others_see_them():
    graph = Graph("seen")
    x = graph.input("x", Shape(4, 3, 5))
    seen = graph.add("seen", Conv2d(5, 12, 3, padding=1), x)
    graph.output(graph.add("up", DepthToSpace(2, depth_first=False), seen))
    graph.output(seen)
    added = graph.add("added", Add(), graph.add("conv", Conv2d(5, 12, 1), x), seen)
    graph.output(graph.add("up2", DepthToSpace(2, depth_first=False), added))
    grouped = graph.add("grouped", Conv2d(5, 20, 1, groups=5), x)
    graph.output(graph.add("up3", DepthToSpace(2, depth_first=False), grouped))
    steps = check(graph).steps
    assert not any(step.depth_first for step in steps if isinstance(step, Rearrange))


def test_an_activation_goes_before_a_rearrangement():
    graph = Graph("late")
    x = graph.add("conv", Conv2d(3, 12, 1), graph.input("x", Shape(4, 6, 3)))
    x = graph.add("relu", ReLU(), graph.add("up", DepthToSpace(2, depth_first=False), x))
    x = graph.add("down", SpaceToDepth(2), graph.add("conv2", Conv2d(3, 3, 3), x))
    graph.output(graph.add("tanh", Tanh(), x))
    assert kinds(check(graph)) == ["Gemm", "Rearrange", "Gemm", "Rearrange"]


def test_a_norm_before_its_activation_is_one_step():
    """As a network has them that normalises what it concatenated, with whatever follows."""
    graph = Graph("pre-activation")
    x = graph.input("x", Shape(4, 5, 6))
    y = graph.add("relu", ReLU(), graph.add("norm", BatchNorm(6), x))
    y = graph.add("conv", Conv2d(6, 3, 3, padding=1), y)
    x = graph.add("concat", Concat(), x, y)
    y = graph.add("second", Affine(0.5, -1), graph.add("first", BatchNorm(9), x))
    y = graph.add("behind", BatchNorm(9), graph.add("slopes", PReLU(9), y))
    graph.output(graph.add("added", Add(), x, y))
    graph.output(graph.add("alone", BatchNorm(9), x))
    program = check(graph)
    found = sorted(kinds(program))
    assert found == ["Depthwise", "Depthwise", "Gemm", "Pointwise", "Pointwise", "Pointwise"]
