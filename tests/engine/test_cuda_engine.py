"""The CUDA engine as a whole: the DCGAN against the CPU, batches, memory, threads, several GPUs."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import tolerance
from engines import run_program
from facegen import Generator, kernels
from facegen.engine import Runner
from facegen.engine.cuda import cuda_module, usable_gpus, why_no_cuda
from facegen.engine.devices import parse_device
from facegen.errors import DeviceError
from facegen.networks import NETWORKS, dcgan
from facegen.nn import Conv2d, ConvTranspose2d, Graph, Shape, lower

pytestmark = pytest.mark.cuda

PRECISIONS = ["float32", "strict", "tf32", "float16"]

FLOAT32 = np.dtype(np.float32)


@pytest.fixture(scope="module")
def weights():
    return NETWORKS["dcgan"].initial_weights(5)


@pytest.fixture(scope="module")
def program(weights):
    return lower(dcgan.graph(), weights)


@pytest.fixture(scope="module")
def latents():
    return dcgan.latents(range(300)).reshape(-1, 1, 1, dcgan.LATENT)


@pytest.fixture(scope="module")
def on_cpu(program, latents):
    return Runner(program, "cpu", precision="strict")(latents)


# Five layers, none of which amplifies errors by more than about 2 (tests/networks/test_dcgan.py).
def bound(engine):
    return 10 * (np.sqrt(3200) * tolerance.EPS + tolerance.SPLIT_PRODUCT.get(engine, 0.0))


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_dcgan_agrees_with_the_cpu(precision, program, latents, on_cpu):
    faces = Runner(program, "cuda", precision=precision)(latents)
    error = np.abs(faces - on_cpu)
    print(f"{precision}: max {error.max():.2e} rms {np.sqrt((error**2).mean()):.2e}")
    tolerance.assert_within(
        faces, on_cpu.astype(np.float64), bound(f"cuda auto {precision}")
    )


@pytest.mark.parametrize("family", ["mma", "fma"])
def test_every_kernel_family_agrees(family, program, latents, on_cpu, monkeypatch):
    monkeypatch.setenv("FACEGEN_CUDA_KERNELS", family)
    faces = Runner(program, "cuda")(latents)
    tolerance.assert_within(faces, on_cpu.astype(np.float64), bound("cuda mma float32"))


def test_an_unknown_kernel_family(program, monkeypatch):
    monkeypatch.setenv("FACEGEN_CUDA_KERNELS", "magic")
    with pytest.raises(DeviceError, match="FACEGEN_CUDA_KERNELS: .* not magic"):
        Runner(program, "cuda")


@pytest.mark.parametrize("precision", PRECISIONS)
def test_neither_batch_nor_chunks_nor_repeats_change_a_bit(precision, program, latents):
    runner = Runner(program, "cuda", precision=precision)
    whole = runner(latents)
    assert runner(latents).tobytes() == whole.tobytes()
    # Small batches: as they come, then recorded as a graph, then replayed.
    for count in (1, 2, 7, 64, 65, 129):
        for first in (0, 100, 171):
            part = slice(first, first + count)
            assert runner(latents[part]).tobytes() == whole[part].tobytes(), (count, first)
    for max_batch in (1, 3, 50):
        few = Runner(program, "cuda", precision=precision, max_batch=max_batch)
        assert few(latents[:100]).tobytes() == whole[:100].tobytes(), max_batch


LARGE_LAYERS = {
    # Sums so long that the Hopper kernel adds them up in stretches.
    "rows of taps": Conv2d(512, 512, 3, padding=1, bias=False),
    "some taps of a row": Conv2d(1024, 40, 3, padding=1, bias=False),
    "some channels of a tap": Conv2d(2600, 256, 1, bias=False),
    "phases that share tiles": ConvTranspose2d(
        512, 64, 5, stride=2, padding=((1, 2), (1, 2)), bias=False
    ),
    # Tiles of one pixel of 256 images, whose copies to shared memory overtake one another.
    "slow copies": Conv2d(1024, 40, 1, bias=False),
}


@pytest.mark.parametrize("layer", LARGE_LAYERS.values(), ids=LARGE_LAYERS.keys())
def test_large_layers_are_accurate_and_the_same_in_any_batch(layer):
    generator = np.random.default_rng(0)
    shape = layer.parameters()["weight"]
    graph = Graph("large")
    graph.output(graph.add("layer", layer, graph.input("x", Shape(8, 8, shape[-1]))))
    program = lower(graph, {"layer.weight": generator.standard_normal(shape).astype(np.float32)})
    view = program.outputs[0]

    def run(images, precision):
        output = np.empty((len(images), view.height, view.width, view.channels), np.float32)
        run_program(program, [images], [output], f"cuda auto {precision}")
        return output

    few = generator.standard_normal((32, 8, 8, shape[-1])).astype(np.float32)
    got, want = run(few, "float32"), run(few, "strict")
    error = (got - want) / np.sqrt((want**2).mean())
    assert np.sqrt((error**2).mean()) <= 1e-5
    assert np.abs(error).max() <= 1e-4
    assert (run(few[7:8], "float32") == got[7:8]).all()
    many, of_many = np.tile(few, (16, 1, 1, 1)), np.tile(got, (16, 1, 1, 1))
    for _ in range(8 if shape[-1] == 1024 else 2):
        assert (run(many, "float32") == of_many).all()


def test_results_in_pinned_memory_are_the_same_and_independent(program, latents):
    runner = Runner(program, "cuda")
    for count in (60, 300):  # in one launch, and in chunks; the first of a size is not pinned
        kept = [runner(latents[:count]) for _ in range(4)]
        first = kept[0].copy()
        assert all(faces.tobytes() == first.tobytes() for faces in kept)
        del kept[1]
        again = runner(latents[::-1][:count])  # takes the memory that is free now
        assert all(faces.tobytes() == first.tobytes() for faces in kept)
        assert again[0].tobytes() == runner(latents[-1:])[0].tobytes()


def test_memory_of_the_pool():
    cuda = cuda_module()
    shape = (3, 5555, 1001)  # of a size that no other test has
    assert cuda.empty_pinned(shape, 0, FLOAT32) is None
    array = cuda.empty_pinned(shape, 0, FLOAT32)
    assert array.shape == shape and array.dtype == np.float32 and array.flags.c_contiguous
    address = array.ctypes.data
    array[...] = 1
    del array
    assert cuda.empty_pinned(shape, 0, FLOAT32).ctypes.data == address
    for _ in range(2):
        assert cuda.empty_pinned((1 << 40,), 0, FLOAT32) is None  # beyond the limit


def test_an_empty_batch(program, latents):
    assert Runner(program, "cuda")(latents[:0]).shape == (0, 64, 64, 3)


def test_all_gpus_together_give_the_bits_of_one(program, latents):
    one, every = Runner(program, "cuda")(latents), Runner(program, "all")
    assert every.device == "cuda:" + ",".join(map(str, usable_gpus()))
    for count in (300, 65, 2, 1):
        assert every(latents[:count]).tobytes() == one[:count].tobytes()


def test_several_threads_on_one_runner_and_on_two(program, latents):
    runners = [Runner(program, "cuda", precision=p) for p in ("float32", "float16")]
    alone = [runner(latents) for runner in runners]

    def run(i):
        return runners[i % 2](latents[i : i + 5 * i + 1])

    with ThreadPoolExecutor(8) as pool:
        for i, faces in enumerate(pool.map(run, range(40))):
            assert faces.tobytes() == alone[i % 2][i : i + 5 * i + 1].tobytes()


def test_short_memory_makes_chunks_smaller(program, latents, monkeypatch):
    whole = Runner(program, "cuda")(latents)
    one_image = 4 * (program.arena_floats + 112 + 3 * (100 + 64 * 64 * 3))
    monkeypatch.setenv("FACEGEN_CUDA_MEMORY_LIMIT", str(20 * one_image))
    runner = Runner(program, "cuda")
    for _ in range(2):
        assert runner(latents).tobytes() == whole.tobytes()


def test_no_memory_for_one_image(program, latents, monkeypatch):
    monkeypatch.setenv("FACEGEN_CUDA_MEMORY_LIMIT", "1000")
    runner = Runner(program, "cuda")
    with pytest.raises(DeviceError, match="1 images need .* bytes on cuda:0, more than the limit"):
        runner(latents)
    monkeypatch.delenv("FACEGEN_CUDA_MEMORY_LIMIT")
    Runner(program, "cuda")(latents[:1])  # the process goes on


def test_more_memory_than_the_gpu_has(latents):
    # 4096 x 4096 x 1024 floats an image: 64 GiB, and three of each.
    from facegen.nn import Graph, ReLU, Shape

    graph = Graph("huge")
    graph.output(graph.add("relu", ReLU(), graph.input("x", Shape(1 << 15, 1 << 15, 64))))
    cuda = cuda_module()
    executable = cuda.CudaExecutable(lower(graph, {}), 0)
    with pytest.raises(DeviceError, match="cudaErrorMemoryAllocation"):
        executable.time_resident(1, 1)


def test_gpus_that_are_not_there(program):
    count = len(cuda_module().devices())
    with pytest.raises(DeviceError, match=f"there is no usable cuda:{count}"):
        Runner(program, f"cuda:{count}")
    with pytest.raises(DeviceError, match="names a GPU twice"):
        Runner(program, "cuda:0,0")
    with pytest.raises(DeviceError, match=f"there is no cuda:{count}; this machine shows {count}"):
        cuda_module().CudaExecutable(program, count)


def test_auto_takes_the_gpu():
    assert why_no_cuda() == ""
    assert parse_device("auto") == parse_device("cuda")


def test_pickling(weights, latents):
    generator = Generator(weights, device="cuda", precision="float16")
    copy = pickle.loads(pickle.dumps(generator))
    assert copy.runner.device == generator.runner.device and copy.runner.precision == "float16"
    rows = latents[:3].reshape(3, -1)
    assert copy(rows).tobytes() == generator(rows).tobytes()


def test_wrong_arrays(program, latents):
    executable, queue = cuda_module().CudaExecutable(program), cuda_module().ChunkQueue(2, 1, 2)
    output = np.empty((2, 64, 64, 3), np.float32)
    with pytest.raises(ValueError, match="input 0 must hold 2 images of 100 values, found 150"):
        executable.run([np.zeros((2, 75), np.float32)], [output], queue)
    with pytest.raises(ValueError, match="the queue hands out 2 images, the arrays hold 1"):
        executable.run([latents[:1]], [output[:1]], queue)
    with pytest.raises(TypeError, match="must be a C-contiguous float32 array"):
        executable.run([latents[:2].astype(np.float64)], [output], queue)


def test_the_ops_take_a_device():
    x = np.random.default_rng(0).standard_normal((2, 9, 8, 16)).astype(np.float32)
    weight = np.random.default_rng(1).standard_normal((24, 3, 3, 16)).astype(np.float32)
    magnitude = kernels.conv2d(np.abs(x), np.abs(weight)).astype(np.float64)
    want = kernels.conv2d(x, weight).astype(np.float64)
    got = kernels.conv2d(x, weight, device="cuda")
    tolerance.assert_within(got, want, 2 * tolerance.gemm(magnitude, 144, "cuda auto float32"))
    np.testing.assert_array_equal(kernels.max_pool2d(x, 2, device="cuda"), kernels.max_pool2d(x, 2))
