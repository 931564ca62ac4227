"""Arrays of any owner: NumPy, PyTorch and whoever speaks DLPack, on the host and on GPUs.

What a call makes of them must be, to the bit, what it makes of NumPy arrays (n, h, w, c) of the
same numbers.
"""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from facegen import _native
from facegen.engine import Runner
from facegen.nn import Conv2d, Graph, LeakyReLU, Shape, Tanh, lower
from facegen.numbers.pixels import from_uint8, to_uint8

torch = pytest.importorskip("torch")

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)]
SHAPE = Shape(12, 10, 3)


def program(channels: int = 3) -> Any:
    """(12, 10, 3) -> (6, 5, channels), within -1 to 1."""
    graph = Graph("small")
    x = graph.add("conv1", Conv2d(3, 16, 3, padding=1), graph.input("x", SHAPE))
    x = graph.add("leaky", LeakyReLU(0.2), x)
    x = graph.add("conv2", Conv2d(16, channels, 4, stride=2, padding=1), x)
    graph.output(graph.add("tanh", Tanh(), x))
    random = np.random.default_rng(5)
    weights = {
        name: (random.standard_normal(shape) * 0.2).astype(np.float32)
        for name, shape in graph.parameters.items()
    }
    return lower(graph, weights)


@pytest.fixture(scope="module")
def runners() -> Iterator[Callable[[str], Runner]]:
    made: dict[str, Runner] = {}

    def runner(device: str) -> Runner:
        if device not in made:
            made[device] = Runner(program(), device)
        return made[device]

    yield runner
    made.clear()


def batch(count: int = 7, seed: int = 1) -> np.ndarray:
    shape = (count, SHAPE.height, SHAPE.width, SHAPE.channels)
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def tensor(x: np.ndarray, device: str) -> Any:
    return torch.from_numpy(x.copy()).to(device)


def nchw(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2))


# --- on the host --------------------------------------------------------------------------------


@pytest.mark.parametrize("device", DEVICES)
def test_numpy_writes_into_out(runners: Any, device: str) -> None:
    runner, x = runners(device), batch()
    expected = runner(x)
    out = np.full(expected.shape, np.nan, np.float32)
    assert runner(x, out=out) is out
    np.testing.assert_array_equal(out, expected)
    wide = np.full((7, 6, 5, 6), np.nan, np.float32)
    runner(x, out=wide[..., ::2])
    np.testing.assert_array_equal(wide[..., ::2], expected)
    assert np.isnan(wide[..., 1::2]).all()


@pytest.mark.parametrize("device", DEVICES)
def test_numpy_in_other_orders(runners: Any, device: str) -> None:
    runner, x = runners(device), batch()
    expected = runner(x)
    np.testing.assert_array_equal(runner(nchw(x), layout="NCHW"), nchw(expected))
    out = np.empty(nchw(expected).shape, np.float32)
    runner(nchw(x), layout="NCHW", out=out)
    np.testing.assert_array_equal(out, nchw(expected))
    backwards = np.ascontiguousarray(x[::-1, ::-1])[::-1, ::-1]
    np.testing.assert_array_equal(runner(backwards), expected)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("count", [1, 7, 200])
def test_pixels_are_the_reference_program_s(runners: Any, device: str, count: int) -> None:
    runner = runners(device)
    pixels = np.random.default_rng(2).integers(0, 256, batch(count).shape, np.uint8)
    expected = runner(from_uint8(pixels))
    np.testing.assert_array_equal(runner(pixels, pixels=True), expected)
    as_pixels = runner(pixels, pixels=True, as_pixels=True)
    assert as_pixels.dtype == np.uint8
    np.testing.assert_array_equal(as_pixels, to_uint8(expected))
    np.testing.assert_array_equal(runner(pixels), runner(pixels.astype(np.float32)))  # numbers


@pytest.mark.parametrize("device", DEVICES)
def test_tensors_on_the_host(runners: Any, device: str) -> None:
    runner, x = runners(device), batch()
    expected = runner(x)
    result = runner(torch.from_numpy(x))
    assert type(result) is torch.Tensor
    np.testing.assert_array_equal(result.numpy(), expected)
    halves = torch.from_numpy(x).bfloat16()
    result = runner(halves)
    assert result.dtype == torch.bfloat16
    rounded = torch.from_numpy(runner(halves.float().numpy())).bfloat16()
    assert torch.equal(result, rounded)
    assert runner(torch.from_numpy(x).double()).dtype == torch.float32
    out = torch.full(expected.shape, torch.nan)
    assert runner(torch.from_numpy(x), out=out) is out
    np.testing.assert_array_equal(out.numpy(), expected)


class OnlyDlpack:
    """An array of a library that nobody has heard of."""

    def __init__(self, x: Any) -> None:
        self._x = x

    def __dlpack__(self, **options: Any) -> Any:
        return self._x.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self._x.__dlpack_device__()


def test_whoever_speaks_dlpack(runners: Any) -> None:
    runner, x = runners("cpu"), batch()
    result = runner(OnlyDlpack(x))
    assert type(result) is np.ndarray
    np.testing.assert_array_equal(result, runner(x))


def test_a_capsule_is_taken_once() -> None:
    x = np.arange(24, dtype=np.float32).reshape(2, 3, 4).transpose(2, 0, 1)
    capsule = x.__dlpack__()
    lent = _native.Borrowed(capsule)
    assert (lent.shape, lent.strides) == ((4, 2, 3), (1, 12, 4))
    assert (lent.dtype, lent.device, lent.read_only) == ("float32", (1, 0), False)
    assert lent.pointer == x.ctypes.data
    with pytest.raises(ValueError, match="nobody has taken yet"):
        _native.Borrowed(capsule)
    with pytest.raises(TypeError):
        _native.Borrowed(3)


@pytest.mark.parametrize(("rank", "sizes"), [(4, 0), (-1, 64)])
def test_a_capsule_without_sizes_is_refused(rank: int, sizes: int) -> None:
    # DLPack's DLManagedTensor, as words of 8 bytes: data; device; rank and float32; shape and
    # what comes after it.
    about = (rank & 0xFFFFFFFF) | (2 | 32 << 8 | 1 << 16) << 32
    words = (ctypes.c_uint64 * 8)(64, 2, about, sizes, 0, 0, 0, 0)
    new = ctypes.pythonapi.PyCapsule_New
    new.restype = ctypes.py_object
    new.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    with pytest.raises(ValueError, match=f"{rank} dimensions without their sizes"):
        _native.Borrowed(new(ctypes.addressof(words), b"dltensor", None))


@pytest.mark.parametrize("device", DEVICES)
def test_what_is_wrong_is_said(runners: Any, device: str) -> None:
    runner, x = runners(device), batch()
    with pytest.raises(ValueError, match="needs a gradient"):
        runner(torch.from_numpy(x).requires_grad_())
    with pytest.raises(ValueError, match=r"of shape \(n, 12, 10, 3\), .*layout='NCHW'"):
        runner(torch.from_numpy(nchw(x)))
    with pytest.raises(ValueError, match="layout must be NHWC or NCHW"):
        runner(x, layout="CHW")
    with pytest.raises(ValueError, match=r"out: expected float32 of shape \(7, 6, 5, 3\)"):
        runner(x, out=np.empty((7, 6, 5, 3)))
    frozen = np.empty((7, 6, 5, 3), np.float32)
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match="out is read-only"):
        runner(x, out=frozen)
    memory = np.zeros(10_000, np.float32)
    inside = memory[: x.size].reshape(x.shape)
    with pytest.raises(ValueError, match="overlaps"):
        runner(inside, out=memory[100 : 100 + 630].reshape(7, 6, 5, 3))
    with pytest.raises(ValueError, match="of one library"):
        runner(x, out=torch.empty(7, 6, 5, 3))
    with pytest.raises(ValueError, match="on meta"):
        runner(torch.from_numpy(x).to("meta"))


def test_outs_in_memory_that_cannot_hold_them(runners: Any) -> None:
    runner, x = runners("cpu"), batch()
    one = np.zeros((1, 6, 5, 3), np.float32)
    spread = np.lib.stride_tricks.as_strided(one, (7, 6, 5, 3), (0, *one.strides[1:]))
    with pytest.raises(ValueError, match="out overlaps itself"):
        runner(x, out=spread)
    with pytest.raises(ValueError, match="out: expected 1 of arrays, found 0"):
        runner(x, out=[])
    halves = torch.empty(7, 6, 5, 3, dtype=torch.bfloat16)
    with pytest.raises(ValueError, match="out cannot be written|out: expected float32"):
        runner(torch.from_numpy(x), out=halves)


@pytest.mark.parametrize("dtype", [np.complex64, "M8[s]", "S4", object])
def test_what_are_no_real_numbers_is_refused(runners: Any, dtype: Any) -> None:
    with pytest.raises(ValueError, match="array 0: expected real numbers"):
        runners("cpu")(np.zeros(batch().shape, dtype))


def test_tensors_without_plain_memory_are_refused(runners: Any) -> None:
    sparse = torch.from_numpy(batch()).to_sparse()
    with pytest.raises(ValueError, match="array 0 can"):
        runners("cpu")(sparse)


# --- on a GPU ------------------------------------------------------------------------------------


@pytest.mark.cuda
@pytest.mark.parametrize("count", [1, 7, 64, 300])
def test_tensors_stay_on_the_gpu(runners: Any, count: int) -> None:
    runner, x = runners("cuda"), batch(count)
    expected = runner(x)
    for _ in range(4):  # plain, recorded, launched
        result = runner(tensor(x, "cuda"))
        assert result.is_cuda and result.dtype == torch.float32
        np.testing.assert_array_equal(result.cpu().numpy(), expected)
    images = tensor(nchw(x), "cuda")
    for given in (images, images.contiguous(memory_format=torch.channels_last)):
        result = runner(given, layout="NCHW")
        assert result.shape == images.shape[:1] + (3, 6, 5)
        np.testing.assert_array_equal(result.cpu().numpy(), nchw(expected))
    assert result.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.cuda
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_halves_on_the_gpu(runners: Any, dtype: str) -> None:
    runner, halves = runners("cuda"), tensor(batch(), "cuda").to(getattr(torch, dtype))
    expected = torch.from_numpy(runner(halves.float().cpu().numpy())).to(halves.dtype)
    result = runner(halves)
    assert result.dtype == halves.dtype
    assert torch.equal(result.cpu(), expected)


@pytest.mark.cuda
def test_bytes_on_the_gpu(runners: Any) -> None:
    runner = runners("cuda")
    pixels = np.random.default_rng(3).integers(0, 256, batch().shape, np.uint8)
    result = runner(tensor(pixels, "cuda"), pixels=True, as_pixels=True)
    np.testing.assert_array_equal(
        result.cpu().numpy(), runner(pixels, pixels=True, as_pixels=True)
    )
    numbers = runner(tensor(pixels, "cuda"))
    np.testing.assert_array_equal(numbers.cpu().numpy(), runner(pixels.astype(np.float32)))


@pytest.mark.cuda
def test_any_strides_on_the_gpu(runners: Any) -> None:
    runner, x = runners("cuda"), batch()
    expected = runner(x)
    wide = torch.full((14, 12, 20, 4), torch.nan, device="cuda")
    view = wide[::2, :, 1::2, :3]
    view.copy_(tensor(x, "cuda"))
    out = torch.full((7, 6, 5, 8), torch.nan, device="cuda")
    assert runner(view, out=out[..., 2:5]) is not None
    np.testing.assert_array_equal(out[..., 2:5].cpu().numpy(), expected)
    assert out[..., :2].isnan().all() and out[..., 5:].isnan().all()
    shifted = torch.empty(x.size + 1, device="cuda")[1:].view(x.shape)  # no multiple of 32 bytes
    shifted.copy_(tensor(x, "cuda"))
    np.testing.assert_array_equal(runner(shifted).cpu().numpy(), expected)


@pytest.mark.cuda
def test_work_is_in_the_order_of_the_current_stream(runners: Any) -> None:
    """A long kernel makes the input, and another overwrites it behind the call."""
    runner, x = runners("cuda"), batch(64)
    expected = runner(x)
    stream = torch.cuda.Stream()
    slow = torch.randn(4096, 4096, device="cuda")
    torch.cuda.synchronize()
    for _ in range(5):
        with torch.cuda.stream(stream):
            given = torch.zeros(x.shape, device="cuda")
            for _ in range(10):
                slow = slow @ slow * 1e-3
            given.copy_(torch.from_numpy(x).pin_memory(), non_blocking=True)
            result = runner(given)
            given.zero_()
            copied = result.clone()
        stream.synchronize()
        np.testing.assert_array_equal(copied.cpu().numpy(), expected)


@pytest.mark.cuda
def test_calls_on_several_streams_share_no_memory_at_once(runners: Any) -> None:
    runner = runners("cuda")
    given = [tensor(batch(64, seed), "cuda") for seed in range(4)]
    expected = [runner(x.cpu().numpy()) for x in given]
    streams = [torch.cuda.Stream() for _ in given]
    torch.cuda.synchronize()
    results: list[Any] = []
    for _ in range(6):
        results = []
        for stream, x in zip(streams, given, strict=True):
            with torch.cuda.stream(stream):
                results.append(runner(x))
    torch.cuda.synchronize()
    for result, exact in zip(results, expected, strict=True):
        np.testing.assert_array_equal(result.cpu().numpy(), exact)


@pytest.mark.cuda
def test_dlpack_alone_on_the_gpu(runners: Any) -> None:
    runner, x = runners("cuda"), batch()
    expected = runner(x)
    for _ in range(3):
        result = runner(OnlyDlpack(tensor(x, "cuda")))
        gc.collect()
        np.testing.assert_array_equal(result.numpy(), expected)
        np.testing.assert_array_equal(np.asarray(result), expected)
        taken = torch.from_dlpack(result)
        del result
        np.testing.assert_array_equal(taken.cpu().numpy(), expected)
    out = OnlyDlpack(torch.empty(expected.shape, device="cuda"))
    runner(OnlyDlpack(tensor(x, "cuda")), out=out)
    np.testing.assert_array_equal(torch.from_dlpack(out).cpu().numpy(), expected)


class OnlyInterface:
    """As Numba's arrays are."""

    def __init__(self, x: Any) -> None:
        self._x = x
        self.__cuda_array_interface__ = x.__cuda_array_interface__


@pytest.mark.cuda
def test_the_cuda_array_interface(runners: Any) -> None:
    runner, x = runners("cuda"), batch()
    expected = runner(x)
    np.testing.assert_array_equal(runner(OnlyInterface(tensor(x, "cuda"))).numpy(), expected)
    turned = tensor(nchw(x), "cuda").permute(0, 2, 3, 1)
    np.testing.assert_array_equal(runner(OnlyInterface(turned)).numpy(), expected)


@pytest.mark.cuda
def test_cupy_and_jax(runners: Any) -> None:
    runner, x = runners("cuda"), batch()
    expected = runner(x)
    cupy = pytest.importorskip("cupy", reason="CuPy is not installed")
    result = runner(cupy.asarray(x))
    assert isinstance(result, cupy.ndarray)
    np.testing.assert_array_equal(cupy.asnumpy(result), expected)
    result = runner(cupy.asarray(nchw(x)), layout="NCHW")
    np.testing.assert_array_equal(cupy.asnumpy(result), nchw(expected))


@pytest.mark.cuda
def test_no_images_and_empty_outputs(runners: Any) -> None:
    result = runners("cuda")(torch.empty(0, 12, 10, 3, device="cuda"))
    assert result.shape == (0, 6, 5, 3) and result.is_cuda


@pytest.mark.cuda
def test_what_is_wrong_on_the_gpu_is_said(runners: Any) -> None:
    runner, x = runners("cuda"), tensor(batch(), "cuda")
    with pytest.raises(ValueError, match="this computes on the CPU"):
        runners("cpu")(x)
    with pytest.raises(ValueError, match="needs a gradient"):
        runner(x.requires_grad_())
    x = x.detach()
    with pytest.raises(ValueError, match="float64"):
        runner(x.double())
    with pytest.raises(ValueError, match="overlap"):
        memory = torch.zeros(10_000, device="cuda")
        runner(memory[: x.numel()].view(x.shape), out=memory[64 : 64 + 630].view(7, 6, 5, 3))
    with pytest.raises(ValueError, match=r"out: expected shape \(7, 6, 5, 3\)"):
        runner(x, out=torch.empty(7, 6, 5, 2, device="cuda"))
    with pytest.raises(ValueError, match="in one place"):
        runner(x, out=torch.empty(7, 6, 5, 3))
    graph = torch.cuda.CUDAGraph()
    with pytest.raises(Exception, match="captured"), torch.cuda.graph(graph):
        runner(x)


@pytest.mark.cuda
def test_batches_larger_than_a_chunk() -> None:
    small = Runner(program(), "cuda", max_batch=32)
    x = batch(100)
    expected = small(x)
    for _ in range(3):
        np.testing.assert_array_equal(small(tensor(x, "cuda")).cpu().numpy(), expected)
        out = torch.empty(100, 3, 6, 5, device="cuda", dtype=torch.float16)
        small(tensor(nchw(x), "cuda"), layout="NCHW", out=out)
        np.testing.assert_array_equal(out.cpu().numpy(), nchw(expected).astype(np.float16))
