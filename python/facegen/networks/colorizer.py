"""Colours for grey pictures (Zhang, Isola, Efros: Colorful Image Colorization, ECCV 2016).

Reads the lightness L of CIE L*a*b*, writes the colours a and b.

| block | layers                                                            | output (HWC) |
|-------|-------------------------------------------------------------------|--------------|
| input | L, then (L - 50) / 100                                            | 256x256x1    |
| 1     | conv 1->64; conv 64->64 /2; bn                                    | 128x128x64   |
| 2     | conv 64->128; conv 128->128 /2; bn                                | 64x64x128    |
| 3     | conv 128->256; conv 256->256; conv 256->256 /2; bn                | 32x32x256    |
| 4     | conv 256->512; 2 conv 512->512; bn                                | 32x32x512    |
| 5, 6  | 3 conv 512->512, dilation 2; bn                                   | 32x32x512    |
| 7     | 3 conv 512->512; bn                                               | 32x32x512    |
| 8     | tconv 512->256 4x4 /2; 2 conv 256->256; conv 256->313 1x1         | 64x64x313    |
| out   | softmax; conv 313->2 1x1 without bias; x 110; bilinear x 4        | 256x256x2    |

Every conv is 3x3 if not said otherwise, keeps the size (or halves it: /2), and has a ReLU after
it, but for the two 1x1 ones. Each batch norm (bn) stands after a ReLU.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from facegen.engine import library_of
from facegen.errors import FormatError
from facegen.media.colorization import SIDE, network_lightness, with_colours
from facegen.networks.foreign import torch_name
from facegen.networks.model import Model, on_host
from facegen.networks.network import Network
from facegen.networks.seeded import seeded_weights
from facegen.nn import (
    Affine,
    BatchNorm,
    Conv2d,
    ConvTranspose2d,
    Graph,
    ReLU,
    Shape,
    Softmax,
    Tensor,
    Upsample,
)
from facegen.numbers.floats import as_float32
from facegen.photos.kinds import opened
from facegen.shares import chunks
from facegen.weights.layout import Entry

if TYPE_CHECKING:
    from PIL.Image import Image

    from facegen.photos.kinds import FileOrImage, Picture, Several
    from facegen.photos.photo import Photo

BINS = 313  # colours that it tells apart
AB_SCALE = 110.0
WIDTH = 64  # channels of block 1, of which those of all others are multiples

# Output channels of the convs of blocks 1 to 7, and what the last of them divides the size by.
BLOCKS: tuple[tuple[tuple[int, ...], int], ...] = (
    ((64, 64), 2),
    ((128, 128), 2),
    ((256, 256, 256), 2),
    ((512, 512, 512), 1),
    ((512, 512, 512), 1),
    ((512, 512, 512), 1),
    ((512, 512, 512), 1),
)
DILATED = (5, 6)


def graph(side: int = SIDE, width: int = WIDTH) -> Graph:
    """(side, side, 1) of L -> (side, side, 2) of a and b.

    The published network has width 64, and was trained at 256.
    """
    g = Graph("colorizer")
    x = g.add("softmax", Softmax(), _scores(g, side, width))
    x = g.add("model_out", Conv2d(BINS, 2, kernel=1, bias=False), x)
    # Both are linear, so they change places: the factor then folds into the weights before it.
    x = g.add("unnormalize", Affine(AB_SCALE), x)
    g.output(g.add("upsample", Upsample(scale=4), x))
    return g


def score_graph(side: int = SIDE, width: int = WIDTH) -> Graph:
    """What is trained of it: (side, side, 1) of L -> (side / 4, side / 4, 313), before softmax."""
    g = Graph("colorizer")
    g.output(_scores(g, side, width))
    return g


def _scores(g: Graph, side: int, width: int) -> Tensor:
    x = g.input("L", Shape(side, side, 1))
    # A step of its own: zeros around a map stand for L = 50, so it cannot be part of conv1_1.
    x = g.add("normalize", Affine(0.01, -0.5), x)
    channels = 1
    for block, (widths, stride) in enumerate(BLOCKS, start=1):
        dilation = 2 if block in DILATED else 1
        for i, of_64 in enumerate(widths, start=1):
            before, channels = channels, of_64 * width // WIDTH
            conv = Conv2d(
                before,
                channels,
                kernel=3,
                stride=stride if i == len(widths) else 1,
                padding=dilation,
                dilation=dilation,
            )
            x = g.add(f"conv{block}_{i}", conv, x)
            x = g.add(f"relu{block}_{i}", ReLU(), x)
        x = g.add(f"bn{block}", BatchNorm(channels), x)

    last = 4 * width
    x = g.add("tconv8_1", ConvTranspose2d(channels, last, kernel=4, stride=2, padding=1), x)
    x = g.add("relu8_1", ReLU(), x)
    for i in (2, 3):
        x = g.add(f"conv8_{i}", Conv2d(last, last, kernel=3, padding=1), x)
        x = g.add(f"relu8_{i}", ReLU(), x)
    return g.add("conv8_313", Conv2d(last, BINS, kernel=1), x)


def _binary_layout() -> list[Entry]:
    """PyTorch's named_parameters(), then its buffers."""
    layout, statistics = [], []
    for node in graph().nodes:
        if isinstance(node.layer, BatchNorm):
            size = (node.layer.channels,)
            layout += [Entry(f"{node.name}.{part}", size, (0,)) for part in ("gamma", "beta")]
            statistics += [Entry(f"{node.name}.{part}", size, (0,)) for part in ("mean", "var")]
        elif isinstance(node.layer, Conv2d | ConvTranspose2d):
            k, r, s, c = node.layer.parameters()["weight"]
            if isinstance(node.layer, Conv2d):
                layout.append(Entry(f"{node.name}.weight", (k, c, r, s), (0, 2, 3, 1)))
            else:
                layout.append(Entry(f"{node.name}.weight", (c, k, r, s), (1, 2, 3, 0)))
            if node.layer.bias:
                layout.append(Entry(f"{node.name}.bias", (k,), (0,)))
    return layout + statistics


def _checkpoint_layout() -> dict[str, Entry]:
    """The state_dict of eccv16 in github.com/richzhang/colorization, by its names.

    ReLUs count as modules there: conv2_2 is model2.2, and bn2 after its ReLU model2.4.
    """
    modules = {"model_out": "model_out", "conv8_313": "model8.6"}
    for block, (widths, _) in enumerate(BLOCKS, start=1):
        modules |= {f"conv{block}_{i + 1}": f"model{block}.{2 * i}" for i in range(len(widths))}
        modules[f"bn{block}"] = f"model{block}.{2 * len(widths)}"
    modules |= {"tconv8_1": "model8.0", "conv8_2": "model8.2", "conv8_3": "model8.4"}
    layout = {}
    for entry in _binary_layout():
        layer, _, part = entry.name.partition(".")
        layout[torch_name(modules[layer], part)] = entry
    return layout


def initial_weights(seed: int) -> dict[str, np.ndarray]:
    """Seeded weights whose colours vary from place to place; they mean nothing.

    What reaches the softmax is so alike that its factors have to be larger than those that keep
    the scale, and so have the colours of the 313, to differ in their average.
    """
    weights = seeded_weights(COLORIZER.shapes, seed, {"tconv8_1.weight": 2})
    for name, factor in (("conv8_313.weight", 4.0), ("model_out.weight", 4.0)):
        weights[name] *= np.float32(factor)
    return weights


class Colorizer(Model):
    """Colours for grey pictures.

    Parameters
    ----------
    network
        A file of weights or a dict of them; what ``facegen fetch colorizer`` brought if None.
    device, threads, precision, algorithm
        As for `facegen.load`.

    Raises
    ------
    FacegenError, ValueError, OSError
        As for `facegen.load`.

    Examples
    --------
    >>> colorizer = Colorizer("network.bin")
    >>> colorizer("grey.jpg").save("colour.png")
    >>> colorizer.predict_ab(np.full((1, 256, 256), 50.0)).shape
    (1, 2, 256, 256)
    """

    @overload
    def __call__(self, pictures: FileOrImage, strength: float = 1.0) -> Image: ...

    @overload
    def __call__(self, pictures: np.ndarray, strength: float = 1.0) -> np.ndarray: ...

    @overload
    def __call__(self, pictures: Several, strength: float = 1.0) -> list[Any]: ...

    def __call__(self, pictures: Any, strength: float = 1.0) -> Any:
        """Colour pictures at their full size; each keeps its own lightness.

        Parameters
        ----------
        pictures
            A path, a Pillow image, or an array (height, width, 3) or (height, width) of uint8,
            uint16 or floats from 0 to 1; a list of them, or an array (n, height, width, 3).
        strength
            What a and b are multiplied by: 0 is grey, 1 the colours as they are.

        Returns
        -------
        A Pillow image (RGB, or RGBA where the picture has alpha) for a path or an image, an array
        (height, width, 3) of the same type for an array; a list for a list, and an array
        (n, height, width, 3) for one of several pictures.

        Raises
        ------
        FormatError
            What is no picture, or no readable one.
        OSError
            A file cannot be read.
        """
        pictures = on_host(pictures)
        if isinstance(pictures, (list, tuple)):
            return self._colour(pictures, strength)
        if isinstance(pictures, np.ndarray) and pictures.ndim == 4:
            results = self._colour(list(pictures), strength)
            return np.stack(results) if results else pictures
        return self._colour([pictures], strength)[0]

    def predict_ab(self, L: Any) -> np.ndarray:
        """The colours of lightnesses.

        Parameters
        ----------
        L
            (n, 256, 256), 0 to 100. Arrays of PyTorch, CuPy, JAX or another library as for
            `Runner`; nobody looks at their numbers.

        Returns
        -------
        (n, 2, 256, 256) float32: the planes a and b of each picture; of the same library, and on
        the same device.

        Raises
        ------
        FormatError
            Another shape, no real numbers, or NaN or infinity among them.
        """
        if library_of(L) is not None:
            planes: np.ndarray = self.runner(L[:, None], layout="NCHW")
            return planes
        return planar(self.ab(_checked_lightness(L)))

    def ab(self, lightness: np.ndarray) -> np.ndarray:
        """(n, 256, 256) of L to (n, 256, 256, 2) of a and b, as the network has them."""
        ab: np.ndarray = self.runner(lightness[..., np.newaxis])
        return ab

    def prepare(self, picture: Picture | Photo) -> np.ndarray:
        """The network's input of a picture of any kind: (256, 256) of L."""
        return network_lightness(opened(picture)[0])

    def compute(self, prepared: Sequence[np.ndarray]) -> np.ndarray:
        """The planes a and b of pictures that are prepared, (n, 2, 256, 256) float32."""
        return planar(self.ab(np.stack(prepared)))

    def finish(
        self,
        pixels: np.ndarray,
        ab: np.ndarray,
        strength: float,
        threads: int | None = None,
        out: np.ndarray | None = None,
        advance: Callable[[int], None] = lambda rows: None,
    ) -> np.ndarray:
        """A picture with its own lightness in colour: `with_colours`."""
        return with_colours(pixels, ab, strength, threads, out, advance)

    def _colour(self, pictures: Sequence[Any], strength: float) -> list[Any]:
        results = []
        for part in chunks(pictures, DECODED_AT_ONCE):
            batch = [opened(picture) for picture in part]
            ab = self.compute([self.prepare(pixels) for pixels, _ in batch])
            for (pixels, as_given), planes in zip(batch, ab, strict=True):
                results.append(as_given(self.finish(pixels, planes, strength)))
        return results


DECODED_AT_ONCE = 8  # pictures that are in memory at their full size, until they have colours


def planar(ab: np.ndarray) -> np.ndarray:
    """(n, h, w, 2) as it comes from the network to planes (n, 2, h, w)."""
    return np.ascontiguousarray(ab.transpose(0, 3, 1, 2))


def _checked_lightness(values: Any) -> np.ndarray:
    """L as C-contiguous (n, 256, 256) float32."""
    values = np.asarray(values)
    if values.dtype.kind not in "fiu":
        raise FormatError(f"L: expected real numbers, found {values.dtype}")
    if values.ndim != 3 or values.shape[1:] != (SIDE, SIDE):
        raise FormatError(f"L: expected shape (n, {SIDE}, {SIDE}), found {values.shape}")
    values = as_float32(values)
    finite = np.isfinite(values)
    if not finite.all():
        n, y, x = np.argwhere(~finite)[0]
        raise FormatError(f"L: found {values[n, y, x]} at [{n}, {y}, {x}]")
    return values


COLORIZER = Network(
    name="colorizer",
    summary="greyscale to colour: 256x256 L -> 256x256 a, b",
    graph=graph,
    binary_layout=_binary_layout(),
    initial_weights=initial_weights,
    model=Colorizer,
    input_range=(0.0, 100.0),
    foreign={"pytorch": _checkpoint_layout()},
)
