"""Image to image: the U-Net generator of pix2pix-tensorflow (Isola et al. 2017), e.g. edges2cats.

Every convolution is 4x4, stride 2, padding 1, with bias. `norm` is batch norm's formula with the
statistics of the image itself; on a 1x1 map it therefore yields its beta.

| step                                                              | output (HWC) |
|-------------------------------------------------------------------|--------------|
| image                                                             | 256x256x3    |
| encoder_1: conv                                                   | 128x128x64   |
| encoder_2: LeakyReLU(0.2), conv, norm                             | 64x64x128    |
| encoder_3: the same                                               | 32x32x256    |
| encoder_4                                                         | 16x16x512    |
| encoder_5                                                         | 8x8x512      |
| encoder_6                                                         | 4x4x512      |
| encoder_7                                                         | 2x2x512      |
| encoder_8                                                         | 1x1x512      |
| decoder_8: ReLU, tconv, norm                                      | 2x2x512      |
| decoder_7: concat(decoder_8, encoder_7), ReLU, tconv, norm        | 4x4x512      |
| decoder_6: concat(decoder_7, encoder_6), and so on                | 8x8x512      |
| decoder_5                                                         | 16x16x512    |
| decoder_4                                                         | 32x32x256    |
| decoder_3                                                         | 64x64x128    |
| decoder_2                                                         | 128x128x64   |
| decoder_1: concat(decoder_2, encoder_1), ReLU, tconv, tanh        | 256x256x3    |
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from facegen.engine import library_of
from facegen.errors import FormatError
from facegen.networks.model import Model
from facegen.networks.network import Network
from facegen.networks.seeded import seeded_weights
from facegen.nn import (
    Concat,
    Conv2d,
    ConvTranspose2d,
    Graph,
    InstanceNorm,
    LeakyReLU,
    ReLU,
    Shape,
    Tanh,
    Tensor,
)
from facegen.photos.kinds import photo_of
from facegen.photos.square import resized, squared
from facegen.shares import chunks
from facegen.weights.layout import Entry

if TYPE_CHECKING:
    from PIL.Image import Image

    from facegen.photos.kinds import FileOrImage, Picture, Several
    from facegen.photos.photo import Photo

IMAGE = Shape(256, 256, 3)
DEPTH = 8
ENCODER = (3, 64, 128, 256, 512, 512, 512, 512, 512)  # channels before and after each encoder
DECODER = (3, 64, 128, 256, 512, 512, 512, 512)  # channels of decoder_1 .. decoder_8
KERNEL = 4
SLOPE = 0.2

# Layers and parameters as TensorFlow names them.
_LAYERS = {"conv": "conv2d", "tconv": "conv2d_transpose", "norm": "batch_normalization"}
_PARAMETERS = {"weight": "kernel"}


def graph() -> Graph:
    """(256, 256, 3) -> (256, 256, 3), both -1 to 1."""
    g = Graph("pix2pix")
    x = g.input("image", IMAGE)
    encoded: dict[int, Tensor] = {}
    for i in range(1, DEPTH + 1):
        conv = Conv2d(ENCODER[i - 1], ENCODER[i], KERNEL, stride=2, padding=1)
        if i > 1:
            x = g.add(f"encoder_{i}.leaky_relu", LeakyReLU(SLOPE), x)
        x = g.add(f"encoder_{i}.conv", conv, x)
        if i > 1:
            x = g.add(f"encoder_{i}.norm", InstanceNorm(ENCODER[i]), x)
        encoded[i] = x
    for i in range(DEPTH, 0, -1):
        if i < DEPTH:
            x = g.add(f"decoder_{i}.concat", Concat(), x, encoded[i])
        x = g.add(f"decoder_{i}.relu", ReLU(), x)
        tconv = ConvTranspose2d(_decoder_input(i), DECODER[i - 1], KERNEL, stride=2, padding=1)
        x = g.add(f"decoder_{i}.tconv", tconv, x)
        if i > 1:
            x = g.add(f"decoder_{i}.norm", InstanceNorm(DECODER[i - 1]), x)
    g.output(g.add("tanh", Tanh(), x))
    return g


def tensorflow_name(name: str) -> str:
    """What pix2pix-tensorflow, and so a .pict, calls a canonical tensor.

    >>> tensorflow_name("encoder_1.conv.weight")
    'generator/encoder_1/conv2d/kernel'
    """
    block, layer, parameter = name.split(".")
    return f"generator/{block}/{_LAYERS[layer]}/{_PARAMETERS.get(parameter, parameter)}"


def _pict_layout() -> dict[str, Entry]:
    """The tensors of its network.bin with the same axes, but for those that are not used."""
    used = [entry for entry in _binary_layout() if entry.constant is None]
    return {tensorflow_name(entry.name): entry for entry in used}


def _decoder_input(i: int) -> int:
    """Channels that decoder_i reads: of the encoder alone, or of the decoder before it as well."""
    return ENCODER[i] if i == DEPTH else DECODER[i] + ENCODER[i]


def _binary_layout() -> list[Entry]:
    """TensorFlow's variables sorted by name: decoders first."""

    def norm(name: str, size: int) -> list[Entry]:
        def vector(part: str, constant: float | None = None) -> Entry:
            return Entry(f"{name}.norm.{part}", (size,), (0,), constant)

        # The moving averages are read over: each image is normalised by its own statistics.
        return [vector("beta"), vector("gamma"), vector("mean", 0.0), vector("var", 1.0)]

    layout = []
    for i in range(1, DEPTH + 1):
        name, out = f"decoder_{i}", DECODER[i - 1]
        if i > 1:
            layout += norm(name, out)
        shape = (KERNEL, KERNEL, out, _decoder_input(i))
        layout.append(Entry(f"{name}.tconv.bias", (out,), (0,)))
        layout.append(Entry(f"{name}.tconv.weight", shape, (2, 0, 1, 3)))
    for i in range(1, DEPTH + 1):
        name, out = f"encoder_{i}", ENCODER[i]
        if i > 1:
            layout += norm(name, out)
        shape = (KERNEL, KERNEL, ENCODER[i - 1], out)
        layout.append(Entry(f"{name}.conv.bias", (out,), (0,)))
        layout.append(Entry(f"{name}.conv.weight", shape, (3, 0, 1, 2)))
    return layout


def initial_weights(seed: int) -> dict[str, np.ndarray]:
    """Seeded weights whose pictures are coloured noise, not saturated."""
    strides = {f"decoder_{i}.tconv.weight": 2 for i in range(1, DEPTH + 1)}
    return seeded_weights(PIX2PIX.shapes, seed, strides)


class Pix2Pix(Model):
    """Pictures from pictures.

    Parameters
    ----------
    network
        A file of weights or a dict of them; the package has none of its own.
    device, threads, precision, algorithm
        As for `facegen.load`.

    Raises
    ------
    FacegenError, ValueError, OSError
        As for `facegen.load`.

    Examples
    --------
    >>> pix2pix = Pix2Pix("edges2cats_AtoB.pict")
    >>> pix2pix("drawing.png").save("cat.png")
    >>> pix2pix(np.full((256, 256, 3), 255, np.uint8)).shape
    (256, 256, 3)
    """

    @overload
    def __call__(self, pictures: FileOrImage) -> Image: ...

    @overload
    def __call__(self, pictures: np.ndarray) -> np.ndarray: ...

    @overload
    def __call__(self, pictures: Several) -> list[Any]: ...

    def __call__(self, pictures: Any) -> Any:
        """The network's picture of a picture, or of each of a batch.

        Parameters
        ----------
        pictures
            A path or a Pillow image of any size (resized to 256x256, what is transparent becomes
            white), or an array (256, 256, 3) of uint8, RGB; or a batch: a list of them, or one
            array (n, 256, 256, 3). Batches may be arrays of PyTorch, CuPy, JAX or another library,
            as for `Runner`: of uint8, or of floats from -1 to 1.

        Returns
        -------
        A Pillow image of 256x256 for a path or an image, an array of the same shape and type for an
        array; of a list a list. A picture's result is the same in any batch.

        Raises
        ------
        FormatError
            An array of another shape or type, or what is no readable picture.
        OSError
            A file cannot be read.
        """
        if library_of(pictures) is not None:
            as_bytes = str(pictures.dtype).endswith("uint8")
            return self.runner(pictures, pixels=as_bytes, as_pixels=as_bytes)
        if isinstance(pictures, (list, tuple)):
            parts = chunks(pictures, self.runner.batch)
            return [result for part in parts for result in self._of_list(part)]
        if isinstance(pictures, np.ndarray) and pictures.ndim == 4:
            _check(pictures)
            return self.pixels(pictures)
        return self._of_list([pictures])[0]

    def values(self, pixels: np.ndarray) -> np.ndarray:
        """What the network itself makes of pictures.

        Parameters
        ----------
        pixels
            (n, 256, 256, 3) uint8, RGB.

        Returns
        -------
        (n, 256, 256, 3) float32, RGB, -1 to 1.
        """
        return self.runner(pixels, pixels=True)

    def pixels(self, pixels: np.ndarray) -> np.ndarray:
        """The same as pictures: (n, 256, 256, 3) uint8 of (n, 256, 256, 3) uint8, RGB."""
        return self.runner(pixels, pixels=True, as_pixels=True)

    def prepare(self, picture: Picture | Photo) -> np.ndarray:
        """A picture of any kind as the network sees it: (256, 256, 3) uint8."""
        if isinstance(picture, np.ndarray):
            _check(picture[np.newaxis])
            return picture
        return squared(photo_of(picture))

    def compute(self, prepared: Sequence[np.ndarray]) -> np.ndarray:
        """The pictures of pictures that are prepared, (n, 256, 256, 3) uint8."""
        return self.pixels(np.stack(prepared))

    def finish(self, pixels: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
        """One of those pictures in another size (height, width), bicubic."""
        height, width = size
        return resized(pixels, height, width)

    def _of_list(self, pictures: Sequence[Any]) -> list[Any]:
        results = self.compute([self.prepare(picture) for picture in pictures])
        return [
            result if isinstance(picture, np.ndarray) else _image(result)
            for picture, result in zip(pictures, results, strict=True)
        ]


def _check(pixels: np.ndarray) -> None:
    if pixels.dtype != np.uint8 or pixels.shape[1:] != IMAGE:
        raise FormatError(
            f"pictures: expected uint8 of shape (256, 256, 3), "
            f"found {pixels.dtype} of {pixels.shape[1:]}"
        )


def _image(pixels: np.ndarray) -> Any:
    from PIL import Image

    return Image.fromarray(pixels)


PIX2PIX = Network(
    name="pix2pix",
    summary="image to image: 256x256 RGB -> 256x256 RGB",
    graph=graph,
    binary_layout=_binary_layout(),
    initial_weights=initial_weights,
    model=Pix2Pix,
    foreign={"pict": _pict_layout()},
)
