"""Every algorithm on every layer of one list: what it takes, what comes out, what it says.

An algorithm is held to its own tolerance (facegen.kernels.algorithms), against the definition in
float64. That the algorithm asked for is the one that ran is read from the fitted program.
"""

from __future__ import annotations

import re

import numpy as np
import pytest
from one_layer import ISAS, draw, draw_weights, run_layer

import tolerance
from bench import reference
from engines import device_of
from facegen import kernels
from facegen.errors import DeviceError
from facegen.kernels.algorithms import ALGORITHMS, STRASSEN_GROWTH, definition, find
from facegen.nn import Conv2d, ConvTranspose2d, Graph, Linear, Shape, lower
from facegen.nn.fit import fit
from facegen.nn.program import ALGORITHM_NAMES
from facegen.nn.target import Target, find_target
from played_gpu import played_gpu

DCGAN = ((1, 2), (1, 2))
# layer, (n, h, w, in), what does not take it
LAYERS = {
    "3x3": (Conv2d(7, 9, 3, padding=1), (2, 9, 8, 7), ()),
    "1x1": (Conv2d(5, 18, 1), (2, 6, 7, 5), ("winograd",)),
    "5x5, many channels": (Conv2d(70, 33, 5, padding=2), (1, 11, 12, 70), ()),
    "2x4, odd padding": (Conv2d(6, 3, (2, 4), padding=((0, 2), (3, 1))), (2, 8, 9, 6), ()),
    "11x11": (Conv2d(3, 17, 11, padding=5), (2, 13, 20, 3), ("winograd",)),
    "7x7, two stretches of channels": (Conv2d(300, 5, 7, padding=3), (1, 9, 8, 300), ("winograd",)),
    "31x31": (Conv2d(2, 3, 31, padding=15), (1, 40, 33, 2), ("winograd",)),
    "11x11 on 4x5": (Conv2d(9, 4, 11, padding=5, bias=False), (1, 4, 5, 9), ("winograd",)),
    "stride 2": (Conv2d(6, 8, 3, stride=2, padding=1), (1, 11, 12, 6), ("fft",)),
    "strides 3 and 1": (Conv2d(6, 8, (7, 3), stride=(3, 1)), (1, 20, 9, 6), ("fft",)),
    "dilation": (Conv2d(6, 8, 3, padding=2, dilation=2), (2, 9, 10, 6), ()),
    "groups": (Conv2d(48, 96, 3, padding=1, groups=2), (1, 6, 7, 48), ()),
    "transposed, stride 2": (ConvTranspose2d(9, 6, 5, 2, DCGAN), (2, 5, 6, 9), ()),
    "transposed, stride 1": (ConvTranspose2d(9, 6, 3, 1, 1), (1, 5, 6, 9), ()),
    "transposed, smaller than its stride": (
        ConvTranspose2d(4, 6, 2, stride=3, output_padding=1),
        (1, 4, 5, 4),
        ("winograd",),
    ),
    "linear": (Linear(300, 40), (3, 1, 1, 300), ("winograd",)),
}
CASES = [
    pytest.param(algorithm.name, layer, id=f"{algorithm.name}: {layer}")
    for algorithm in ALGORITHMS
    for layer, (_, _, excluded) in LAYERS.items()
    if algorithm.name not in excluded
]
# A GPU has these, by plain float32 multiply-adds; "direct" is whichever of the two kernels suits.
GPU = "cuda auto strict"
GPU_KERNELS = {
    "naive": {"naive"},
    "direct": {"thin", "fma"},
    "im2col": {"im2col"},
    "winograd": {"winograd"},
}
# algorithm, layer, engine: every instruction set, and a GPU
RUNS = [
    *(pytest.param(*case.values, isa, id=f"{case.id}, {isa}") for case in CASES for isa in ISAS),
    *(
        pytest.param(*case.values, GPU, id=f"{case.id}, {GPU}", marks=pytest.mark.cuda)
        for case in CASES
        if case.values[0] in GPU_KERNELS
    ),
]
EXCLUDED = [
    pytest.param(name, layer, id=f"{name}: {layer}")
    for layer, (_, _, excluded) in LAYERS.items()
    for name in excluded
]


def run_definition(layer, x, weights):
    graph = Graph.of_layer("definition", layer, Shape(*x.shape[1:]))
    named = {f"layer.{name}": value for name, value in weights.items()}
    return reference.run_graph(graph, named, x)[0]


def kernels_of(name, layer, shape, target: Target):
    """The kernels that run: the very same fit is what an engine is given."""
    graph = Graph.of_layer("one layer", layer, Shape(*shape[1:]))
    return fit(lower(graph, None, name), target).kernels


@pytest.mark.parametrize(("name", "layer", "engine"), RUNS)
def test_agrees_with_the_definition(name, layer, engine):
    layer, shape, _ = LAYERS[layer]
    x, weights = draw(shape), draw_weights(layer)
    got = run_layer(layer, x, weights=weights, isa=engine, threads=2, algorithm=name)
    sizes = {key: np.abs(value) for key, value in weights.items()}
    magnitude = run_definition(layer, np.abs(x), sizes)
    bound = find(name).tolerance(layer, magnitude, "portable" if engine == GPU else engine)
    tolerance.assert_within(got, run_definition(layer, x, weights), bound)
    ran = set(kernels_of(name, layer, shape, device_of(engine)))
    if engine == GPU:
        assert ran <= GPU_KERNELS[name]
    else:
        assert ran <= {"thin", "direct", "indirect"} if name == "direct" else ran == {name}


@pytest.mark.parametrize(
    ("name", "layer", "engine"), [run for run in RUNS if run.values[2] in (ISAS[0], GPU)]
)
def test_the_same_bits_in_any_batch_and_for_any_threads(name, layer, engine):
    layer, (_, *shape), _ = LAYERS[layer]
    weights = draw_weights(layer)

    def run(x, threads=1):
        return run_layer(layer, x, weights=weights, isa=engine, threads=threads, algorithm=name)

    x = draw((3, *shape))
    batch = run(x)
    np.testing.assert_array_equal(run(x, threads=3), batch)
    alone = [run(x[i : i + 1]) for i in range(3)]
    np.testing.assert_array_equal(np.concatenate(alone), batch)
    if engine == GPU:  # scratch memory is for 8 images at a time
        np.testing.assert_array_equal(run(np.concatenate([x] * 4)), np.concatenate([batch] * 4))


@pytest.mark.parametrize(("name", "layer"), CASES)
@pytest.mark.parametrize("device", ["cuda", "cuda:ampere"])
def test_a_gpu_has_four_in_strict(name, layer, device):
    layer, shape, _ = LAYERS[layer]
    x = Shape(*shape[1:])
    strict = find_target(device, "strict")
    if name in GPU_KERNELS:
        assert set(kernels_of(name, layer, shape, strict)) <= GPU_KERNELS[name]
        assert find(name).why_not(layer, x, device) is None
        return
    with pytest.raises(ValueError, match="GPUs have the algorithms auto, direct, naive, im2col"):
        kernels_of(name, layer, shape, strict)
    assert "GPUs have the algorithms" in (find(name).why_not(layer, x, device) or "")


@pytest.mark.parametrize(
    ("name", "layer"), [case for case in EXCLUDED if case.values[0] in GPU_KERNELS]
)
def test_a_gpu_refuses_what_the_cpu_refuses_in_the_same_words(name, layer):
    layer, shape, _ = LAYERS[layer]
    x = Shape(*shape[1:])
    reason = find(name).why_not(layer, x)
    assert reason and find(name).why_not(layer, x, "cuda") == reason
    with pytest.raises(ValueError, match=re.escape(reason)):
        kernels_of(name, layer, shape, find_target("cuda", "strict"))


@pytest.mark.parametrize("precision", ["float32", "tf32", "float16"])
def test_a_gpu_has_no_algorithm_by_name_in_other_precisions(precision):
    layer, shape, _ = LAYERS["3x3"]
    target = find_target("cuda", precision)
    for name in ("naive", "im2col", "winograd"):
        with pytest.raises(ValueError, match='in precision "strict" alone'):
            kernels_of(name, layer, shape, target)
    assert kernels_of("direct", layer, shape, target) == kernels_of("auto", layer, shape, target)


def test_what_a_gpu_takes_by_itself_is_none_of_those_by_name():
    for layer, shape, _ in LAYERS.values():
        ran = kernels_of("auto", layer, shape, find_target("cuda", "strict"))
        assert set(ran) <= GPU_KERNELS["direct"]


def test_the_ops_ask_a_gpu_for_strict(monkeypatch):
    x, weight = draw((1, 9, 9, 4)), draw((5, 3, 3, 4), 1)
    with played_gpu() as gpu:
        for name in ("auto", *GPU_KERNELS):
            got = kernels.conv2d(x, weight, padding=1, device="cuda", algorithm=name)
            here = kernels.conv2d(x, weight, padding=1, algorithm=name)
            np.testing.assert_allclose(got, here, rtol=1e-4, atol=1e-4)
            kernels.conv_transpose2d(x, weight, stride=2, device="cuda:0", algorithm="im2col")
        assert gpu.precisions == ["float32", "strict"] + ["strict", "strict"] * 4
        for name in ("fft", "strassen"):
            with pytest.raises(ValueError, match=f"by algorithm '{name}': GPUs have the algor"):
                kernels.conv2d(x, weight, device="cuda", algorithm=name)
        with pytest.raises(ValueError, match="'winograd': it takes filters of 2 to 5 taps"):
            kernels.conv2d(x, weight[:, :1], device="cuda", algorithm="winograd")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(DeviceError, match="CUDA_VISIBLE_DEVICES hides every GPU"):
        kernels.conv2d(x, weight, device="cuda", algorithm="naive")


@pytest.mark.parametrize(("name", "layer"), EXCLUDED)
def test_a_layer_that_is_not_taken_is_refused_with_the_reason(name, layer):
    layer, shape, _ = LAYERS[layer]
    algorithm, x = find(name), Shape(*shape[1:])
    reason = algorithm.why_not(layer, x)
    assert reason and reason.startswith("it takes ")
    for ask in (algorithm.scratch_bytes, algorithm.weight_bytes, algorithm.multiplications):
        with pytest.raises(ValueError, match=re.escape(reason)):
            ask(layer, x)
    with pytest.raises(ValueError, match=re.escape(reason)):
        run_layer(layer, draw(shape), weights=draw_weights(layer), algorithm=name)


@pytest.mark.parametrize(("name", "layer"), CASES)
def test_costs(name, layer):
    layer, shape, _ = LAYERS[layer]
    algorithm, x = find(name), Shape(*shape[1:])
    assert algorithm.why_not(layer, x) is None
    weights = 4 * int(np.prod(layer.weight_shape))
    assert algorithm.weight_bytes(layer, x) >= weights
    assert algorithm.scratch_bytes(layer, x) >= 0
    products = algorithm.multiplications(layer, x)
    if name in ("naive", "direct"):
        groups = {part.groups for part in layer.parts}
        assert products == definition(layer, x) * (groups.pop() if len(groups) == 1 else 1)
    if name == "im2col":  # zeros between and around the pixels are multiplied
        rows = int(np.prod(layer.output_shape(x)[:2]))
        per_row = sum(p.out_channels * p.in_channels for p in layer.parts)
        taps = int(np.prod(layer.kernel_size))
        assert products == rows * taps * per_row
        assert algorithm.scratch_bytes(layer, x) >= 4 * rows * taps * layer.parts[0].in_channels


def test_winograd_multiplies_less():
    layer, x = Conv2d(64, 64, 3, padding=1), Shape(64, 64, 64)
    # 16 x 16 tiles of 36 points for 64 x 64 outputs of 9 taps
    assert find("winograd").multiplications(layer, x) == 256 * 36 * 64**2


def test_the_fft_multiplies_less():
    layer, x = Conv2d(64, 64, 11, padding=5), Shape(64, 64, 64)
    # 3 x 3 tiles of 32 x 32 numbers: 514 frequencies, three products each
    assert find("fft").multiplications(layer, x) == 9 * 3 * 514 * 64**2


def test_strassen_multiplies_less():
    layer, x = Conv2d(64, 64, 1), Shape(32, 32, 64)
    assert find("strassen").multiplications(layer, x) == 7 * 512 * 32 * 32


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize(
    ("layer", "side", "fft"),
    [
        (Conv2d(64, 64, 11, padding=5), 64, True),
        (Conv2d(64, 64, 7, padding=3), 64, True),
        (Conv2d(64, 64, 5, padding=2), 64, False),  # Winograd's
        (Conv2d(64, 64, 11, padding=5, stride=2), 64, False),
        (Conv2d(3, 64, 11, padding=5), 64, False),  # few channels to share the transforms
        (Conv2d(64, 64, 11, padding=5), 4, False),  # few outputs of a tile
    ],
    ids=str,
)
def test_auto_takes_the_fft_where_it_pays(layer, side, fft, isa):
    shape = (1, side, side, layer.in_channels)
    target = find_target(f"cpu:{isa}")
    assert (kernels_of("auto", layer, shape, target) == ("fft",)) == fft
    assert "fft" not in kernels_of("direct", layer, shape, target)


def test_the_list_is_the_one_that_programs_know():
    assert ALGORITHM_NAMES[0] == "auto"
    assert sorted(algorithm.name for algorithm in ALGORITHMS) == sorted(ALGORITHM_NAMES[1:])
    with pytest.raises(ValueError, match="one of \"naive\", .*not 'fastest'"):
        find("fastest")


def test_the_ops_take_names():
    x, weight = draw((1, 9, 9, 4)), draw((5, 3, 3, 4), 1)
    naive = kernels.conv2d(x, weight, algorithm="naive")
    close = {"rtol": 1e-4, "atol": 1e-4}
    np.testing.assert_allclose(kernels.conv2d(x, weight, algorithm="winograd"), naive, **close)
    assert not np.array_equal(kernels.conv2d(x, weight, algorithm="im2col"), naive)
    up = kernels.conv_transpose2d(x, weight, stride=2, algorithm="im2col")
    np.testing.assert_allclose(kernels.conv_transpose2d(x, weight, stride=2), up, **close)
    with pytest.raises(ValueError, match='algorithm must be one of "auto", .*not \'fastest\''):
        kernels.conv2d(x, weight, algorithm="fastest")
    with pytest.raises(ValueError, match="by algorithm 'winograd': it takes filters of 2 to 5"):
        kernels.conv2d(x, weight[:, :1], algorithm="winograd")


def test_depthwise_convolutions_have_a_kernel_of_their_own():
    layer, x = Conv2d(8, 8, 3, groups=8), Shape(9, 9, 8)
    assert find("direct").why_not(layer, x) is None
    assert find("direct").multiplications(layer, x) == definition(layer, x)
    assert "depthwise" in (find("naive").why_not(layer, x) or "")


@pytest.mark.parametrize("algorithm", ["auto", "naive", "blocked", "strassen"])
@pytest.mark.parametrize(
    "sizes", [(1, 1, 1), (5, 7, 3), (33, 300, 65), (130, 64, 31), (64, 1030, 64)], ids=str
)
def test_matmul(sizes, algorithm):
    m, k, n = sizes
    a, b = draw((m, k)), draw((k, n), 1)
    got = kernels.matmul(a, b, algorithm=algorithm, threads=1)
    magnitude = np.abs(a).astype(np.float64) @ np.abs(b)
    growth = STRASSEN_GROWTH * magnitude.max() if algorithm == "strassen" else magnitude
    bound = float(np.finfo(np.float32).eps) * (np.sqrt(k) + 2) * growth
    tolerance.assert_within(got, a.astype(np.float64) @ b, bound)
    again = kernels.matmul(np.asfortranarray(a), b, algorithm=algorithm, threads=3)
    np.testing.assert_array_equal(again, got)


def test_matmul_takes_strassen_by_its_name_alone(monkeypatch):
    asked = []
    monkeypatch.setattr("facegen._native.matmul", lambda *words: asked.append(words[3]))
    a = np.zeros((4096, 4096), np.float32)
    kernels.matmul(a, a)
    kernels.matmul(a, a, algorithm="strassen")
    assert asked == ["blocked", "strassen"]


def test_wrong_matrices():
    a = draw((3, 4))
    assert kernels.matmul(a[:0], draw((4, 2))).shape == (0, 2)
    np.testing.assert_array_equal(kernels.matmul(a[:, :0], draw((0, 2))), np.zeros((3, 2)))
    for arguments, error, message in (
        ((a, a), ValueError, "not as many columns"),
        ((a[0], a), ValueError, "a must be a matrix"),
        ((a.astype(float), a), TypeError, "a must be float32"),
    ):
        with pytest.raises(error, match=message):
            kernels.matmul(*arguments)
    with pytest.raises(ValueError, match='one of "auto", "naive", .*not \'fft\''):
        kernels.matmul(a, a.T, algorithm="fft")
    for threads in (0, 1.5, "2"):
        with pytest.raises(ValueError, match="threads must be a whole number, at least 1, not"):
            kernels.matmul(a, a.T, threads=threads)


def test_an_im2col_matrix_too_large_is_refused_before_it_is_made():
    layer, x = Conv2d(64, 8, 11, padding=5), Shape(400, 400, 64)
    for device in ("cpu", "cuda"):
        assert "1 GiB" in (find("im2col").why_not(layer, x, device) or "")
    assert find("direct").why_not(layer, x) is None
