"""Steps that the CUDA engine merges or splits: small graphs against the CPU, alone and together."""

from __future__ import annotations

import numpy as np
import pytest

from engines import ISAS, run_program
from facegen import _native
from facegen.engine import Runner
from facegen.engine.cuda import cuda_module
from facegen.nn import (
    ConvTranspose2d,
    Graph,
    ReLU,
    Shape,
    lower,
)
from facegen.nn.fit import fit
from merged_graphs import BUILDERS, fire, fires_and_pool, pools_of_two, u_net, wide_steps
from random_weights import random_weights

pytestmark = pytest.mark.cuda

# Of outputs, relative to their rms: a rounding of operands for each layer (docs/accuracy.md: 1e-5
# and 3e-4), and what norms over as few as 4 pixels make of it. A wrong element is off by about 1.
RMS = {"float32": 1e-4, "float16": 1e-2}
LARGEST = {"float32": 5e-3, "float16": 0.5}


@pytest.mark.parametrize("precision", ["float32", "float16"])
@pytest.mark.parametrize("build", BUILDERS, ids=lambda build: build.__name__)
def test_merged_steps_agree_with_the_cpu_and_with_themselves(build, precision):
    graph = Graph(build.__name__)
    build(graph)
    program = lower(graph, random_weights(graph, np.random.default_rng(3)))
    view = program.outputs[0]
    image = program.inputs[0]
    shape = (11, image.height, image.width, image.channels)
    images = np.random.default_rng(4).standard_normal(shape).astype(np.float32)

    def run(batch, engine):
        output = np.empty((len(batch), view.height, view.width, view.channels), np.float32)
        run_program(program, [batch], [output], engine)
        return output

    want = run(images, ISAS[0]).astype(np.float64)
    got = run(images, f"cuda auto {precision}")
    assert np.isfinite(got).all()
    error = (got - want) / np.sqrt((want**2).mean())
    print(f"{build.__name__} {precision}: rms {np.sqrt((error**2).mean()):.1e} "
          f"largest {np.abs(error).max():.1e}")
    assert np.sqrt((error**2).mean()) <= RMS[precision]
    assert np.abs(error).max() <= LARGEST[precision]
    # One and eight images are split as far as possible, the others are not.
    for count in (1, 8):
        assert (run(images[2 : 2 + count], f"cuda auto {precision}") == got[2 : 2 + count]).all()


@pytest.mark.parametrize("precision", ["float32", "float16"])
@pytest.mark.parametrize(
    "build",
    [fire, fires_and_pool, wide_steps, u_net, pools_of_two],
    ids=lambda build: build.__name__,
)
def test_a_single_image_sees_nothing_of_those_before(build, precision):
    """Kernels of small batches start early, in memory where others' results lay a moment before."""
    graph = Graph(build.__name__)
    build(graph)
    program = lower(graph, random_weights(graph, np.random.default_rng(3)))
    image = program.inputs[0]
    shape = (5, image.height, image.width, image.channels)
    images = np.random.default_rng(4).standard_normal(shape).astype(np.float32)
    runner = Runner(program, "cuda", precision=precision)
    whole = runner(images)
    for i in list(range(5)) * 10:
        assert (runner(images[i : i + 1]) == whole[i : i + 1]).all()


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_what_is_the_same_of_every_image_is_kept_between_batches(precision):
    """The innermost norm of the U-Net is over one pixel: what follows from it alone runs once."""
    graph = Graph("u_net")
    u_net(graph)
    program = lower(graph, random_weights(graph, np.random.default_rng(5)))
    images = np.random.default_rng(6).standard_normal((11, 16, 16, 3)).astype(np.float32)
    whole = Runner(program, "cuda", precision=precision)(images)
    runner = Runner(program, "cuda", precision=precision)
    for count in (1, 1, 1, 11, 3, 1):  # three times: as it comes, recorded as a graph, replayed
        assert (runner(images[:count]) == whole[:count]).all()


@pytest.mark.parametrize("build", BUILDERS, ids=lambda build: build.__name__)
def test_what_runs_are_the_kernels_that_a_graph_is_for(build):
    """The GPU's own names, beside what tests/nn/test_fit.py reads off the program."""
    graph = Graph(build.__name__)
    build(graph)
    program = lower(graph, random_weights(graph, np.random.default_rng(5)))
    cuda = cuda_module()
    capability = cuda.devices()[0]["capability"]
    if capability[0] != 9:
        pytest.skip("only Hopper has these kernels")
    fitted = fit(program, _native.FitCuda(*capability, "float32", "auto"))
    names = [name for name, _ in cuda.CudaExecutable(fitted).time_steps(1, 1)]
    assert names == list(fitted.kernels[fitted.constant_steps :])


def test_relu_of_nan_in_the_last_layer():
    graph = Graph("last")
    x = graph.input("x", Shape(6, 128, 128))
    x = graph.add("tconv", ConvTranspose2d(128, 3, 4, stride=2, padding=1), x)
    graph.output(graph.add("relu", ReLU(), x))
    program = lower(graph, random_weights(graph, np.random.default_rng(3)))
    images = np.random.default_rng(4).standard_normal((2, 6, 128, 128)).astype(np.float32)
    images[0, 2, 5, 7] = np.nan
    want, got = (np.empty((2, 12, 256, 3), np.float32) for _ in range(2))
    run_program(program, [images], [want], ISAS[0])
    run_program(program, [images], [got], "cuda auto float32")
    assert np.isnan(want).any()
    np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
