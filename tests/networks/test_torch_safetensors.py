"""Weights as .safetensors by PyTorch's names: the same networks as from checkpoints."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

import facegen
from facegen import FormatError
from facegen.cli.main import main
from facegen.loading import read_network
from facegen.networks import NETWORKS, Network
from facegen.networks.families import dcgan_tutorial
from facegen.weights import digest

Tensors = dict[str, np.ndarray]


def state_dict(network: Network, weights: Tensors) -> Tensors:
    """Canonical weights as a module has them, with the counts of its batch norms."""
    tensors: Tensors = {}
    for name, entry in network.foreign["pytorch"].items():
        if entry.constant is None:
            values = weights[entry.name].transpose(np.argsort(entry.axes))
        else:
            values = np.full(entry.file_shape, entry.constant, np.float32)
        tensors[name] = np.ascontiguousarray(values)
        if name.endswith("running_mean"):
            count = name.replace("running_mean", "num_batches_tracked")
            tensors[count] = np.array(7, np.int64)
    return tensors


def small() -> tuple[Network, Tensors]:
    network = dcgan_tutorial.network(dcgan_tutorial.Sizes((10, 16, 8, 3)))
    return network, network.initial_weights(3)


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.module.", "netG."])
def test_names_of_a_module(tmp_path: Path, prefix: str, metadata: dict[str, str] | None) -> None:
    network, weights = small()
    tensors = {f"{prefix}{name}": each for name, each in state_dict(network, weights).items()}
    if prefix == "netG.":
        tensors["netD.main.0.weight"] = np.zeros((2, 2), np.float32)
    path = tmp_path / "g.safetensors"
    safetensors.numpy.save_file(tensors, path, metadata)
    found, read = read_network(path)
    assert found.name == network.name and digest(read) == digest(weights)
    assert type(facegen.load(path, device="cpu")) is facegen.Generator
    assert type(facegen.Generator(path, device="cpu")) is facegen.Generator


@pytest.mark.parametrize("name", ["resnet18", "colorizer"])
def test_networks_of_the_package(tmp_path: Path, name: str) -> None:
    network = NETWORKS[name]
    weights = network.initial_weights(1)
    path = tmp_path / "x.safetensors"
    safetensors.numpy.save_file(state_dict(network, weights), path)
    found, read = read_network(path)
    assert found is network and digest(read) == digest(weights)


def test_half_types(tmp_path: Path) -> None:
    """float16, float64 and bfloat16, whose numbers are all float32's."""
    network, weights = small()
    rounded = {k: np.float32(np.float16(v)) for k, v in weights.items()}
    wide = {
        name: each if each.dtype.kind == "i" else each.astype([np.float16, np.float64][i % 2])
        for i, (name, each) in enumerate(state_dict(network, rounded).items())
    }
    path = tmp_path / "g.safetensors"
    safetensors.numpy.save_file(wide, path)
    assert digest(read_network(path)[1]) == digest(rounded)

    cut = {k: (v.view(np.uint32) & 0xFFFF0000).view(np.float32) for k, v in weights.items()}
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    from safetensors.torch import save_file

    halves = {
        name: torch.from_numpy(each).bfloat16() if each.dtype == np.float32 else torch.tensor(7)
        for name, each in state_dict(network, cut).items()
    }
    save_file(halves, path)
    assert digest(read_network(path)[1]) == digest(cut)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("main.1.bias"), "tensor 'main.1.bias' is missing"),
        (lambda t: t.update(x=np.zeros(3, np.float32)), "unknown tensor 'x'"),
        (
            lambda t: t.update({"main.1.bias": np.zeros(16, np.int32)}),
            "tensor 'main.1.bias': expected float32, found int32",
        ),
        (
            lambda t: t.update({"main.1.bias": np.zeros(15, np.float32)}),
            r"tensor 'main.1.bias': expected shape \(16,\), found \(15,\)",
        ),
        (
            lambda t: t.update({"main.1.bias": np.full(16, np.nan, np.float32)}),
            "tensor 'main.1.bias' holds nan",
        ),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, change, message: str) -> None:
    network, weights = small()
    tensors = state_dict(network, weights)
    change(tensors)
    path = tmp_path / "g.safetensors"
    safetensors.numpy.save_file(tensors, path)
    with pytest.raises(FormatError, match=f"g.safetensors: .*{message}"):
        facegen.load(path)


def test_canonical_names_stay_ours(tmp_path: Path) -> None:
    """LeNet's are the same in both; without metadata the shapes say which it is."""
    network = NETWORKS["lenet"]
    weights = network.initial_weights(2)
    path = tmp_path / "x.safetensors"
    safetensors.numpy.save_file(weights, path)
    found, read = read_network(path)
    assert found is network and digest(read) == digest(weights)
    broken = {**weights, "conv1.weight": np.zeros((2, 2), np.float32)}
    safetensors.numpy.save_file(broken, path)
    with pytest.raises(FormatError, match="x.safetensors"):
        read_network(path)


def test_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network, weights = small()
    path = tmp_path / "g.safetensors"
    safetensors.numpy.save_file(state_dict(network, weights), path)
    assert main(["inspect", str(path)]) == 0
    out = capsys.readouterr().out
    assert "network : dcgan-tutorial" in out and "format  : safetensors" in out
    copy = str(tmp_path / "copy.safetensors")
    assert main(["convert", str(path), copy]) == 0
    assert "verified" in capsys.readouterr().out
    seeds = ["generate", "--seeds", "0-1", "--device", "cpu", "-o"]
    for file in (path, copy):
        assert main([*seeds, f"{file}.npy", "-n", str(file)]) == 0
    np.testing.assert_array_equal(np.load(f"{path}.npy"), np.load(f"{copy}.npy"))
