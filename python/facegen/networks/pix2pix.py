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
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from facegen.cached import cached_property
from facegen.engine import Runner, library_of
from facegen.errors import FormatError
from facegen.graphs import resized_graph
from facegen.networks.model import Model
from facegen.networks.network import Network
from facegen.networks.per_size import PerSize, by_shape
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
from facegen.photos.square import SIDE, on_paper, resized
from facegen.shares import chunks
from facegen.weights.layout import Entry

if TYPE_CHECKING:
    from PIL.Image import Image

    from facegen.photos.kinds import FileOrImage, Picture, Several
    from facegen.photos.photo import Photo

IMAGE = Shape(SIDE, SIDE, 3)
MOST_SIDE = 2048  # of a picture that is computed at its own size: some 2 GB of memory
Size = tuple[int, int] | Literal["own"]
DEPTH = 8
WIDTH = 64  # channels of encoder_1, of which all others are multiples
ENCODER = (3, 64, 128, 256, 512, 512, 512, 512, 512)  # channels before and after each encoder
DECODER = (3, 64, 128, 256, 512, 512, 512, 512)  # channels of decoder_1 .. decoder_8
KERNEL = 4
SLOPE = 0.2

# Layers and parameters as TensorFlow names them.
_LAYERS = {"conv": "conv2d", "tconv": "conv2d_transpose", "norm": "batch_normalization"}
_PARAMETERS = {"weight": "kernel"}


def graph(width: int = WIDTH) -> Graph:
    """(256, 256, 3) -> (256, 256, 3), both -1 to 1; the published network has width 64."""
    encoder, decoder = (
        [IMAGE.channels, *(c * width // WIDTH for c in channels[1:])]
        for channels in (ENCODER, DECODER)
    )
    g = Graph("pix2pix")
    x = g.input("image", IMAGE)
    encoded: dict[int, Tensor] = {}
    for i in range(1, DEPTH + 1):
        conv = Conv2d(encoder[i - 1], encoder[i], KERNEL, stride=2, padding=1)
        if i > 1:
            x = g.add(f"encoder_{i}.leaky_relu", LeakyReLU(SLOPE), x)
        x = g.add(f"encoder_{i}.conv", conv, x)
        if i > 1:
            x = g.add(f"encoder_{i}.norm", InstanceNorm(encoder[i]), x)
        encoded[i] = x
    for i in range(DEPTH, 0, -1):
        if i < DEPTH:
            x = g.add(f"decoder_{i}.concat", Concat(), x, encoded[i])
        x = g.add(f"decoder_{i}.relu", ReLU(), x)
        tconv = ConvTranspose2d(x.shape.channels, decoder[i - 1], KERNEL, stride=2, padding=1)
        x = g.add(f"decoder_{i}.tconv", tconv, x)
        if i > 1:
            x = g.add(f"decoder_{i}.norm", InstanceNorm(decoder[i - 1]), x)
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
    def __call__(self, pictures: FileOrImage, size: Size = (SIDE, SIDE)) -> Image: ...

    @overload
    def __call__(self, pictures: np.ndarray, size: Size = (SIDE, SIDE)) -> np.ndarray: ...

    @overload
    def __call__(self, pictures: Several, size: Size = (SIDE, SIDE)) -> list[Any]: ...

    def __call__(self, pictures: Any, size: Size = (SIDE, SIDE)) -> Any:
        """The network's picture of a picture, or of each of a batch.

        Parameters
        ----------
        pictures
            A path or a Pillow image of any size (resized to `size`, what is transparent becomes
            white), or an array (256, 256, 3) of uint8, RGB; or a batch: a list of them, or one
            array (n, 256, 256, 3). Batches may be arrays of PyTorch, CuPy, JAX or another library,
            as for `Runner`: of uint8, or of floats from -1 to 1. The sides of arrays may be any
            multiples of 256.
        size
            (height, width) that the network computes paths and images at, multiples of 256; or
            "own", the multiples next to the picture's own size (at most `MOST_SIDE`). It was
            trained at 256x256: larger pictures are drawn of smaller strokes.

        Returns
        -------
        A Pillow image of `size` for a path or an image, an array of the same shape and type for an
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
            runner = self._runner_for(tuple(pictures.shape))
            return runner(pictures, pixels=as_bytes, as_pixels=as_bytes)
        if isinstance(pictures, (list, tuple)):
            parts = chunks(pictures, self.runner.batch)
            return [result for part in parts for result in self._of_list(part, size)]
        if isinstance(pictures, np.ndarray) and pictures.ndim == 4:
            _check(pictures)
            return self.pixels(pictures)
        return self._of_list([pictures], size)[0]

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
        return self._runner_for(pixels.shape)(pixels, pixels=True)

    def pixels(self, pixels: np.ndarray) -> np.ndarray:
        """The same as pictures: (n, 256, 256, 3) uint8 of (n, 256, 256, 3) uint8, RGB."""
        return self._runner_for(pixels.shape)(pixels, pixels=True, as_pixels=True)

    def prepare(self, picture: Picture | Photo, size: Size = (SIDE, SIDE)) -> np.ndarray:
        """A picture of any kind as the network sees it: (height, width, 3) uint8."""
        if isinstance(picture, np.ndarray):
            _check(picture[np.newaxis])
            return picture
        photo = photo_of(picture)
        return on_paper(photo, *computed_size(size, photo.pixels.shape))

    def compute(self, prepared: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The pictures of pictures that are prepared, each of its own size, uint8."""
        return by_shape(prepared, self.pixels)

    def finish(self, pixels: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
        """One of those pictures in another size (height, width), bicubic."""
        height, width = size
        return resized(pixels, height, width)

    def _of_list(self, pictures: Sequence[Any], size: Size) -> list[Any]:
        results = self.compute([self.prepare(picture, size) for picture in pictures])
        return [
            result if isinstance(picture, np.ndarray) else _image(result)
            for picture, result in zip(pictures, results, strict=True)
        ]

    def _runner_for(self, shape: tuple[int, ...]) -> Runner:
        """The runner for a batch (n, height, width, 3); its own refuses what fits none."""
        if len(shape) != 4 or shape[1:3] == (SIDE, SIDE) or not _is_size(shape[1:3]):
            return self.runner
        return self._per_size((shape[1], shape[2]))

    @cached_property
    def _per_size(self) -> PerSize[tuple[int, int], Runner]:
        return PerSize(self._runner_at)

    def _runner_at(self, size: tuple[int, int]) -> Runner:
        return self._runner_of(resized_graph(self._graph(), [Shape(*size, IMAGE.channels)]))


def computed_size(size: Size, picture: Sequence[int]) -> tuple[int, int]:
    """The height and width that the network computes a picture (height, width, ...) at.

    Raises
    ------
    ValueError
        `size` is no pair of multiples of 256, nor "own".
    """
    if size == "own":
        scale = min(1.0, MOST_SIDE / max(picture[:2]))
        height, width = (max(1, round(side * scale / SIDE)) * SIDE for side in picture[:2])
        return height, width
    if isinstance(size, str) or len(size) != 2 or not _is_size(size):
        raise ValueError(
            f"size must be (height, width), multiples of {SIDE}, or 'own', not {size!r}"
        )
    return size


def _is_size(size: Sequence[int]) -> bool:
    return all(side > 0 and side % SIDE == 0 for side in size)


def _check(pixels: np.ndarray) -> None:
    fits = pixels.shape[3:] == (3,) and _is_size(pixels.shape[1:3])
    if pixels.dtype != np.uint8 or not fits:
        raise FormatError(
            f"pictures: expected uint8 of shape (256, 256, 3), or multiples of 256, "
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
