"""Tensors of checkpoints as PyTorch itself reads them: every type, stride and way to share."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facegen import FormatError
from facegen.networks.recognise import read_any
from facegen.weights import pytorch

torch = pytest.importorskip("torch", reason="PyTorch is not installed")


def check(path: Path, state: dict[str, Any], bare: bool = False) -> None:
    """What is read of a file is what PyTorch reads of it, bit for bit."""
    torch.save(state, path, _use_new_zipfile_serialization=not bare)
    want = torch.load(path, weights_only=True)
    found = pytorch.read(path)
    assert list(found) == list(want) and found.shapes == {
        n: tuple(t.shape) for n, t in want.items()
    }
    for name, tensor in want.items():
        tensor = tensor.detach()
        values = (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
        assert found[name].dtype == values.dtype, name
        assert found[name].tobytes() == values.tobytes(), name


@pytest.mark.parametrize("bare", [False, True], ids=["zip", "bare"])
def test_every_type(tmp_path: Path, bare: bool) -> None:
    names = (
        "float32 float64 float16 bfloat16 int64 int32 int16 int8 uint8 bool complex64 complex128"
    )
    values = torch.randn(3, 4) * 50
    state = {name: values.to(getattr(torch, name)) for name in names.split()}
    state["empty"] = torch.zeros(0, 3)
    state["scalar"] = torch.tensor(3.5)
    check(tmp_path / "x.pth", state, bare)


def test_types_of_version_3(tmp_path: Path) -> None:
    values = torch.arange(5)
    types = (torch.uint16, torch.uint32, torch.uint64)
    check(tmp_path / "x.pth", {str(dtype): values.to(dtype) for dtype in types})


def test_bfloat16_of_every_value(tmp_path: Path) -> None:
    bits = np.arange(1 << 16, dtype=np.uint16).view(np.int16)
    check(tmp_path / "x.pth", {"a": torch.from_numpy(bits).view(torch.bfloat16)})


@pytest.mark.parametrize("bare", [False, True], ids=["zip", "bare"])
def test_every_stride(tmp_path: Path, bare: bool) -> None:
    flat = torch.randn(1000)
    image = torch.randn(2, 3, 5, 7)
    state = {
        "channels_last": image.contiguous(memory_format=torch.channels_last),
        "transposed": image.permute(3, 1, 0, 2),
        "part": flat[17:91],
        "another part": flat[100:700].view(20, 30),
        "every third": flat[2::3],
        "diagonal": flat[:900].view(30, 30).diagonal(),
        "expanded": flat[5:6].expand(40, 30),
        "overlapping": flat.as_strided((10, 10), (3, 2), 4),
        "no elements": flat[1000:],
        "nothing of it": image[:, 1:1],
        "halves": torch.randn(8).bfloat16()[3:],
    }
    check(tmp_path / "x.pth", state, bare)


def test_shared_storages(tmp_path: Path) -> None:
    """Flattened weights, as optimizers make them, and tied ones."""
    flat = torch.randn(60)
    state = {str(i): flat[10 * i : 10 * i + 10].view(2, 5) for i in range(6)}
    other = torch.randn(3)
    check(tmp_path / "x.pth", state | {"a": other, "tied": other, "again": flat[:1]})


def test_parameters_and_modules(tmp_path: Path) -> None:
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 1), torch.nn.Linear(4, 5))
    parameter = torch.nn.Parameter(torch.randn(3))
    parameter.note = "kept beside it"
    check(tmp_path / "x.pth", OrderedDict(module.state_dict(), one=parameter))
    check(tmp_path / "x.pth", dict(module.named_parameters()), bare=True)


def test_a_batch_norm_of_torch(tmp_path: Path) -> None:
    """Counts are left out, and so are the dict's attributes: the modules' versions."""
    torch.save(torch.nn.BatchNorm2d(4).state_dict(), tmp_path / "x.pth")
    names = ["weight", "bias", "running_mean", "running_var"]
    assert list(pytorch.read(tmp_path / "x.pth")) == names


@pytest.mark.parametrize("bare", [False, True], ids=["zip", "bare"])
@pytest.mark.filterwarnings("ignore")  # PyTorch's, of sources that it cannot find
def test_whole_models_are_recognised(tmp_path: Path, bare: bool) -> None:
    module = torch.nn.Sequential(torch.nn.Linear(2, 2))
    torch.save(module, tmp_path / "x.pth", _use_new_zipfile_serialization=not bare)
    message = r"whole model \('torch.nn.modules.container.Sequential'\).*model.state_dict\(\)"
    with pytest.raises(FormatError, match=message):
        pytorch.read(tmp_path / "x.pth")
    torch.save({"model": module}, tmp_path / "x.pth", _use_new_zipfile_serialization=not bare)
    with pytest.raises(FormatError, match=message):
        pytorch.read(tmp_path / "x.pth")


@pytest.mark.filterwarnings("ignore")  # torch.jit is said to be old
def test_programs_are_recognised(tmp_path: Path) -> None:
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(tmp_path / "x.pth"))
    with pytest.raises(FormatError, match="holds a TorchScript program, expected a state_dict"):
        pytorch.read(tmp_path / "x.pth")


def test_exported_programs_are_recognised(tmp_path: Path) -> None:
    module = torch.nn.Linear(2, 2).eval()
    program = torch.export.export(module, (torch.zeros(1, 2),))
    torch.export.save(program, tmp_path / "x.pt2")
    said = r"torch.export, expected a state_dict; .*save\(torch.export.load\(FILE\).state_dict"
    with pytest.raises(FormatError, match=said):
        read_any(tmp_path / "x.pt2", [])
    # What the message says to do does it.
    torch.save(torch.export.load(tmp_path / "x.pt2").state_dict, tmp_path / "x.pth")
    assert list(pytorch.read(tmp_path / "x.pth")) == ["weight", "bias"]


def test_a_file_of_other_protocols(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1)}, tmp_path / "x.pth", pickle_protocol=4)
    with pytest.raises(FormatError, match="found protocol 4, expected 2"):
        pytorch.read(tmp_path / "x.pth")


def test_a_training_checkpoint(tmp_path: Path) -> None:
    """With all that stands beside weights: optimizer, schedule, settings, histories, numbers."""
    from argparse import Namespace

    module = torch.nn.Linear(2, 3)
    optimizer = torch.optim.Adam(module.parameters())
    module(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    content = {
        "epoch": 3,
        "best_acc": torch.tensor(0.5),
        "optimizer": optimizer.state_dict(),
        "args": Namespace(lr=0.1, sizes=[1, 2]),
        "history": np.arange(3.0),
        "best": np.float64(0.5),
        "seen": {1, 2},
        "rng": torch.get_rng_state(),
        "device": torch.device("cpu"),
        "dtype": torch.float32,
        "size": torch.Size([1, 2]),
        "bytes": b"123",
        "model": module.state_dict(),
    }
    for bare in (False, True):
        torch.save(content, tmp_path / "x.pth", _use_new_zipfile_serialization=not bare)
        found = pytorch.read(tmp_path / "x.pth")
        np.testing.assert_array_equal(found["weight"], module.weight.detach().numpy())
        assert list(found) == ["weight", "bias"]


def test_memory_of_a_large_file(tmp_path: Path) -> None:
    """One tensor at a time: the largest counts, not their sum."""
    import tracemalloc

    state = {str(i): torch.zeros(1 << 20) for i in range(16)}
    torch.save(state, tmp_path / "x.pth")
    tracemalloc.start()
    try:
        for values in pytorch.read(tmp_path / "x.pth").values():
            assert values.shape == (1 << 20,)
            del values
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10 << 20
