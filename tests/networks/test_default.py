"""The network that comes with the package."""

from __future__ import annotations

import doctest
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

import facegen
from engines import ISAS, device_of, run_program
from facegen import DigitClassifier, FacegenError, FormatError, Generator
from facegen.networks import NETWORKS, binary_lenet, dcgan, default
from facegen.networks.files import resolve
from facegen.networks.traits import directions
from facegen.nn import Graph, Tensor, lower
from facegen.nn.fit import fit
from facegen.numbers import idx
from facegen.train.split import split
from facegen.weights import write
from shared_data import SHARED_DATA

MNIST = SHARED_DATA / "mnist"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights: dict) -> Path:
    """A default network of seeded weights."""
    file = tmp_path / "faces.safetensors"
    write(file, NETWORKS["dcgan"], weights, half=True)
    card = {"sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
    (tmp_path / "faces.json").write_text(json.dumps(card))
    monkeypatch.setattr(default, "_folder", lambda: tmp_path)
    return tmp_path


def test_it_is_used_where_none_is_named(folder: Path, tmp_path: Path) -> None:
    expected = Generator(folder / "faces.safetensors", device="cpu").generate([3])
    for generator in (Generator(device="cpu"), Generator("default"), facegen.load()):
        np.testing.assert_array_equal(generator.generate([3]), expected)


def test_a_file_of_that_name_goes_first(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("default").write_bytes(b"no network")
    with pytest.raises(FormatError, match="default: found 10 bytes"):
        Generator("default")


def test_networks_by_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve(None) == resolve("default:dcgan") == folder / "faces.safetensors"
    assert resolve("default:faces") == folder / "faces.safetensors"
    assert resolve("faces.bin") == "faces.bin"
    for path, network in (("default:vgg", "dcgan"), ("default", "vgg")):
        with pytest.raises(FacegenError, match="no weights of vgg come with the package"):
            resolve(path, network)


def test_a_damaged_file_is_refused(folder: Path) -> None:
    file = folder / "faces.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(FormatError, match="expected SHA-256"):
        Generator()


@pytest.mark.parametrize("card", [b"{", b"{}", b"[]", b"\xff", b'{"sha256": 1}', b'{"file": 2}'])
def test_a_damaged_card_is_refused(folder: Path, card: bytes) -> None:
    (folder / "faces.json").write_bytes(card)
    with pytest.raises(FormatError, match="install again"):
        Generator()


def test_an_installation_without_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(default, "_folder", lambda: tmp_path)
    with pytest.raises(FacegenError, match="no default network 'faces'; name another"):
        Generator()


@pytest.mark.parametrize("name", ["faces", "faces128"])
class TestShipped:
    def test_card(self, name: str) -> None:
        card = default.card(name)
        assert card["name"] == name
        for key in ("data", "command", "seed", "steps", "seconds", "licence", "limits", "sha256"):
            assert card[key] not in (None, "")

    def test_layers_have_8_significant_bits(self, name: str) -> None:
        """Which is why wheels pack them small."""
        for key, values in Generator(name, device="cpu").weights.items():
            if key.endswith(".weight"):
                halves = values.astype(np.float16)
                assert not (halves.view(np.uint16)[np.abs(halves) >= 2.0**-14] & 7).any(), key

    def test_traits_are_this_networks(self, name: str) -> None:
        """And they do what they say: lighter backdrops are lighter."""
        found = directions(name)
        assert {"smile", "glasses", "age", "turn", "skin"} <= set(found.names)
        generator = Generator(name, device="cpu")
        z = generator.latents(range(8))
        dark, light = (generator(found.move(z, {"backdrop": by})) for by in (-1.5, 1.5))
        corners = [faces[:, :8, :8].mean() for faces in (dark, light)]
        assert corners[0] + 0.2 < corners[1]

    def test_faces_differ_and_are_no_noise(self, name: str) -> None:
        faces = Generator(name, device="cpu").generate(range(32))
        by = faces.shape[1] // 16
        small = faces.reshape(32, 16, by, 16, by, 3).mean(axis=(2, 4)).reshape(32, -1)
        distances = np.linalg.norm(small[:, None] - small, axis=2)
        assert distances[~np.eye(32, dtype=bool)].min() > 1.0
        # Neighbouring pixels of a picture are alike.
        rough = np.abs(np.diff(faces, axis=2)).mean(axis=(1, 2, 3)) / faces.std(axis=(1, 2, 3))
        assert rough.max() < 0.5

    def test_a_small_step_is_a_small_change(self, name: str) -> None:
        a, b = dcgan.latents([1, 2])
        path = np.linspace(a, b, 33).astype(np.float32)
        faces = Generator(name, device="cpu")(path)
        steps = np.abs(np.diff(faces, axis=0)).mean(axis=(1, 2, 3))
        assert steps.max() < 0.25 * np.abs(faces[-1] - faces[0]).mean()


@pytest.mark.parametrize("name", ["load", "Generator", "DigitClassifier", "Batcher"])
def test_examples(name: str) -> None:
    """Those of docstrings that use the package's own networks."""
    names = {key: getattr(facegen, key) for key in facegen.__all__} | {"np": np, "facegen": facegen}
    (found,) = doctest.DocTestFinder(recurse=False).find(getattr(facegen, name), name, globs=names)
    assert found.examples and doctest.DocTestRunner().run(found).failed == 0


class TestDigits:
    def test_file_and_card(self) -> None:
        assert default.path("digits").stat().st_size < 2_000_000
        card = default.card("digits")
        for key in ("data", "command", "seed", "epochs", "licence", "limits", "sha256"):
            assert card[key] not in (None, "")
        text = (default._folder() / "digits.md").read_text(encoding="utf-8")
        assert card["sha256"] in text and f"{card['evaluation']['right']} of the 1,000" in text

    @pytest.mark.skipif(not MNIST.exists(), reason="../shared/data/mnist is not there")
    def test_the_thousand_that_it_never_saw(self) -> None:
        images = idx.read(MNIST / "t10k-images-idx3-ubyte.gz", dimensions=3)
        labels = idx.read(MNIST / "t10k-labels-idx1-ubyte.gz", dimensions=1)
        _, held_out = split(len(images), 1000)
        guesses = DigitClassifier(device="cpu")(images[held_out])
        right = int((guesses.digits == labels[held_out]).sum())
        # Other instruction sets round otherwise: one image may be a close call.
        assert abs(right - default.card("digits")["evaluation"]["right"]) <= 1 and right >= 990


class TestBinary:
    def test_file_and_card(self) -> None:
        assert default.path("binary").stat().st_size < 300_000
        card = default.card("binary")
        for key in ("data", "command", "seed", "epochs", "licence", "limits", "sha256"):
            assert card[key] not in (None, "")
        text = (default._folder() / "binary.md").read_text(encoding="utf-8")
        assert card["sha256"] in text and f"{card['evaluation']['right']} of the 1,000" in text

    def test_weights_are_signs_and_steps(self) -> None:
        weights = DigitClassifier("binary", device="cpu").weights
        for name in ("conv2.weight", "hidden.weight", "score.weight"):
            assert set(np.unique(weights[name])) == {-1, 1}
        assert (weights["conv1.weight"] * 256 % 1 == 0).all()

    def test_the_same_bits_on_every_instruction_set(self) -> None:
        """All that is behind the sums of the last layer is one sum and the softmax."""
        graph = binary_lenet.graph()
        scores = Graph("scores")
        values: dict[str, Tensor] = {}
        for node in graph.nodes:
            if node.name == "norm4":
                break
            reads = [values[name] for name in node.inputs]
            values[node.name] = (
                scores.input(node.name, node.shape)
                if node.layer is None
                else scores.add(node.name, node.layer, *reads)
            )
        scores.output(values["score"])
        weights = DigitClassifier("binary", device="cpu").weights
        program = lower(scores, {name: weights[name] for name in scores.parameters})
        images = np.random.default_rng(0).integers(0, 256, (20, 28, 28, 1)) / np.float32(255)
        images = images.astype(np.float32)
        found = [np.empty((20, 1, 1, 10), np.float32) for _ in ISAS]
        for isa, scores_of_isa in zip(ISAS, found, strict=True):
            kernels = fit(program, device_of(isa)).kernels
            assert list(kernels).count("binary") == 3
            run_program(program, [images], [scores_of_isa], isa)
        for other in found[1:]:
            np.testing.assert_array_equal(other, found[0])
        assert (found[0] % 2 == 0).all()  # sums of 512 signs

    @pytest.mark.skipif(not MNIST.exists(), reason="../shared/data/mnist is not there")
    def test_the_thousand_that_it_was_not_trained_on(self) -> None:
        images = idx.read(MNIST / "t10k-images-idx3-ubyte.gz", dimensions=3)
        labels = idx.read(MNIST / "t10k-labels-idx1-ubyte.gz", dimensions=1)
        _, held_out = split(len(images), 1000)
        guesses = DigitClassifier("binary", device="cpu")(images[held_out])
        right = int((guesses.digits == labels[held_out]).sum())
        assert right == default.card("binary")["evaluation"]["right"] >= 985
