"""What a file of weights holds, and what is said where it is another network than wanted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from facegen import Colorizer, DigitClassifier, FacegenError, FormatError, Generator, Segmenter
from facegen.networks import NETWORKS, files
from facegen.networks.files import read
from facegen.weights import npz, pytorch, write

LENET = NETWORKS["lenet"]


@pytest.mark.parametrize("name", ["a.bin", "a.safetensors", "a.npz"])
def test_another_network_is_named(
    tmp_path: Path, weights: dict[str, np.ndarray], name: str
) -> None:
    path = tmp_path / name
    write(path, NETWORKS["dcgan"], weights)
    for model, wanted in ((Colorizer, "colorizer"), (Segmenter, "segmentation")):
        message = rf"{name}: holds a dcgan network, expected a {wanted} network"
        with pytest.raises(FormatError, match=message):
            model(path, device="cpu")
    found, tensors = read(path, [LENET, NETWORKS["dcgan"]])
    assert found is NETWORKS["dcgan"] and tensors.keys() == weights.keys()
    with pytest.raises(FormatError, match="expected a lenet or a pix2pix network"):
        read(path, [LENET, NETWORKS["pix2pix"]])


def test_what_is_damaged_keeps_its_own_message(tmp_path: Path) -> None:
    weights = LENET.initial_weights(1)
    weights.pop("conv1.bias")
    npz.write(tmp_path / "a.npz", weights)
    with pytest.raises(FormatError, match=r"a\.npz: tensor 'conv1.bias' is missing"):
        read(tmp_path / "a.npz", [LENET])
    (tmp_path / "a.bin").write_bytes(b"x" * 100)
    with pytest.raises(FormatError, match=r"a\.bin: found 100 bytes, which is no network.bin's"):
        Generator(tmp_path / "a.bin")


def test_a_checkpoint_where_none_is_read(tmp_path: Path) -> None:
    """Whether PyTorch is there or not, it would not help."""
    path = tmp_path / "x.pth"
    path.write_bytes(pytorch.BARE_MAGIC + b"and no more")
    message = "x.pth: is a PyTorch checkpoint, expected a lenet or a lenet-binary network"
    with pytest.raises(FormatError, match=message):
        DigitClassifier(path)


def test_a_checkpoint_without_pytorch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    resnet = NETWORKS["resnet18"]
    weights = resnet.initial_weights(3)
    state = {
        name: torch.from_numpy(weights[entry.name].transpose(np.argsort(entry.axes)).copy())
        for name, entry in resnet.foreign["pytorch"].items()
    }
    for bare in (False, True):
        path = tmp_path / f"{bare}.pth"
        torch.save(state, path, _use_new_zipfile_serialization=not bare)
        with monkeypatch.context() as without:
            without.setitem(__import__("sys").modules, "torch", None)
            found, tensors = read(path, [resnet])
        assert found is resnet
        assert all(np.array_equal(tensors[name], weights[name]) for name in weights)


@pytest.mark.parametrize(
    ("name", "way"), [("resnet18", "facegen init resnet18 "), ("dcgan", "default:dcgan")]
)
def test_a_bare_name_is_no_file(name: str, way: str) -> None:
    with pytest.raises(FacegenError, match=f"^{name}: expected a file of weights.*{way}"):
        files.resolve(name)
