"""PyTorch checkpoints of both file layouts, damaged ones, and what must not be in them."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_formats import DCGAN, LAYOUT, TINY, tiny_weights

from facegen import FormatError
from facegen.networks import NETWORKS
from facegen.networks.recognise import read_any
from facegen.weights import digest, pytorch, sniff

NAMES = {"a.weight": "a.0.weight", "a.bias": "a.0.bias", "b.weight": "b.weight"}
CHECKPOINT = {NAMES[entry.name]: entry for entry in LAYOUT}
NETWORK = replace(TINY, foreign={"pytorch": CHECKPOINT})

torch: Any
try:
    import torch
except ImportError:
    torch = None
needs_torch = pytest.mark.skipif(torch is None, reason="PyTorch is not installed")


def state_dict() -> dict[str, Any]:
    """Of the tiny network, in the layout of the file."""
    state = {}
    for name, entry in CHECKPOINT.items():
        values = tiny_weights()[entry.name].transpose(np.argsort(entry.axes))
        state[name] = torch.from_numpy(np.ascontiguousarray(values))
    return state


@needs_torch
@pytest.mark.parametrize("bare", [False, True], ids=["zip", "bare"])
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_checkpoint_is_read(tmp_path: Path, bare: bool, wrapped: bool) -> None:
    path = tmp_path / "checkpoint"
    state = state_dict() | {"b.num_batches_tracked": torch.tensor(3)}
    content = {"epoch": 3, "state_dict": state} if wrapped else state
    torch.save(content, path, _use_new_zipfile_serialization=not bare)
    assert sniff(path).name == "pytorch"
    network, found = read_any(path, [DCGAN, NETWORK])
    assert network is NETWORK and digest(found) == digest(tiny_weights())
    assert all(values.flags.c_contiguous for values in found.values())


@needs_torch
def test_a_checkpoint_of_a_wrapped_module(tmp_path: Path) -> None:
    """Of several dicts the averages are read, and an error says so."""
    path = tmp_path / "x.pth"
    state = {f"module.{name}": values for name, values in state_dict().items()}
    other = {name: torch.zeros(1) for name in state}
    torch.save({"params": other, "params_ema": state, "step": torch.tensor(3)}, path)
    _, found = read_any(path, [NETWORK])
    assert digest(found) == digest(tiny_weights())
    torch.save({"params": state, "params_ema": other}, path)
    message = r"x.pth \(params_ema, the one taken of 2 state_dicts\): tensor 'a.0.weight': expected"
    with pytest.raises(FormatError, match=message):
        read_any(path, [NETWORK])


@needs_torch
def test_doubles_and_halves_become_floats(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    state = state_dict()
    state["a.0.bias"] = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    state["b.weight"] = state["b.weight"].half()
    torch.save(state, path)
    _, found = read_any(path, [NETWORK])
    assert {values.dtype for values in found.values()} == {np.dtype(np.float32)}
    np.testing.assert_array_equal(found["a.bias"], [1, 2, 3])


@needs_torch
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("a.0.bias"), "tensor 'a.0.bias' is missing"),
        (lambda s: s.update(x=torch.zeros(1)), "unknown tensor 'x'"),
        (lambda s: s.update({"a.0.bias": torch.zeros(4)}), r"'a.0.bias': expected shape \(3,\)"),
        (lambda s: s.update({"b.weight": torch.zeros(1).expand(2**20, 2**20)}), "expected shape"),
        (lambda s: s.update({"a.0.bias": torch.zeros(3).long()}), "expected float32, found int64"),
        (lambda s: s.update({"a.0.bias": torch.zeros(3).bool()}), "found bool"),
        (lambda s: s.update({"a.0.bias": torch.zeros(3).cfloat()}), "found complex64"),
        (lambda s: s.update({"a.0.bias": torch.zeros(3).to(torch.float8_e5m2)}), "found float8_e5"),
        (lambda s: s.update({"a.0.bias": torch.zeros(3).to_sparse()}), "sparse.* is not allowed"),
        (lambda s: s.update({"a.0.bias": torch.zeros(3, device="meta")}), "_meta_tensor.* allowed"),
        (lambda s: s.update({"a.0.bias": 3}), "'a.0.bias': expected a tensor, found int"),
        (lambda s: s.update({"a.0.bias": torch.tensor([0.0, float("nan"), 0])}), r"nan at \[1\]"),
    ],
)
def test_other_tensors_are_refused(
    tmp_path: Path, change: Callable[[dict], None], message: str
) -> None:
    path = tmp_path / "x.pth"
    state = state_dict()
    change(state)
    torch.save(state, path)
    with pytest.raises(FormatError, match=f"x.pth: .*{message}"):
        read_any(path, [DCGAN, NETWORK])


@needs_torch
@pytest.mark.parametrize("content", [[1, 2], "text", 3])
def test_what_is_no_state_dict_is_refused(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "x.pth"
    torch.save(content, path)
    with pytest.raises(FormatError, match="x.pth: expected a state_dict, found"):
        read_any(path, [NETWORK])


@needs_torch
def test_a_checkpoint_of_no_known_network_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    torch.save({"x": torch.zeros(1)}, path)
    with pytest.raises(FormatError, match=r"its 1 tensors are those of no network \(tiny\)"):
        read_any(path, [DCGAN, NETWORK])
    with pytest.raises(FormatError, match="there is none that is read"):
        read_any(path, [DCGAN])


class Hostile:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("made-by-a-pickle",)


@needs_torch
@pytest.mark.parametrize("bare", [False, True], ids=["zip", "bare"])
def test_pickles_run_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bare: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"a": Hostile()}, "x.pth", _use_new_zipfile_serialization=not bare)
    message = r"x.pth: '\S*mkdir' is not allowed in a file of weights: expected tensors and plain"
    with pytest.raises(FormatError, match=message):
        read_any("x.pth", [NETWORK])
    assert os.listdir() == ["x.pth"]


@needs_torch
@pytest.mark.parametrize("bare", [False, True], ids=["zip", "bare"])
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.999])
def test_truncated_checkpoints_are_refused(tmp_path: Path, bare: bool, kept: float) -> None:
    path = tmp_path / "x.pth"
    torch.save(state_dict(), path, _use_new_zipfile_serialization=not bare)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(FormatError, match="x.pth: "):
        read_any(path, [NETWORK])
    with pytest.raises(FormatError, match="x.pth: not a valid PyTorch checkpoint"):
        pytorch.read(path)


@needs_torch
def test_a_checkpoint_with_something_behind_it_is_refused(tmp_path: Path) -> None:
    """As PyTorch refuses it, which looks for the archive's end in a wrong place."""
    path = tmp_path / "x.pth"
    torch.save(state_dict(), path)
    path.write_bytes(path.read_bytes() + bytes(5000))
    with pytest.raises(FormatError, match="x.pth: not a valid PyTorch checkpoint"):
        pytorch.read(path)
    with pytest.raises(FileNotFoundError):
        pytorch.read(tmp_path / "missing.pth")


def test_compressed_members_are_refused(tmp_path: Path) -> None:
    """Before anything is unpacked, so a small file cannot fill the memory."""
    path = tmp_path / "x.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x/data.pkl", pickle.dumps({}))
        archive.writestr("x/data/0", bytes(1 << 20))
    assert sniff(path).name == "pytorch"
    with pytest.raises(FormatError, match="member 'x/data.pkl' is compressed"):
        read_any(path, [NETWORK])


@pytest.mark.parametrize("network", [n for n in NETWORKS.values() if "pytorch" in n.foreign])
def test_checkpoint_layouts_cover_the_graph(network: Any) -> None:
    entries = network.foreign["pytorch"].values()
    assert {entry.name: entry.shape for entry in entries} == network.shapes
