"""What is where in a picture: SqueezeNet's encoder and an FCN decoder, Pascal VOC's 21 classes.

| layer                            | output (HWC) | kernel/stride |
|----------------------------------|--------------|---------------|
| the encoder of `squeezenet`      | 13x13x512    |               |
| conv10, ReLU                     | 13x13x1000   | 1x1           |
| score_conv10 + score_pool8       | 13x13x21     | 1x1           |
| conv11, transposed, + score_pool4| 27x27x21     | 3x3/2         |
| conv12, transposed, + score_pool1| 55x55x21     | 3x3/2         |
| conv13, transposed               | 227x227x21   | 11x11/4       |

score_x: a 1x1 convolution of x to one map a class (skips: Long, Shelhamer, Darrell 2015). The
transposed convolutions have no padding and no bias. 1,348,951 parameters. Of other classes than
VOC's it has as many outputs as there are classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from facegen.cached import cached_property
from facegen.engine import Runner
from facegen.graphs import resized_graph
from facegen.media import voc
from facegen.networks.foreign import foreign_layout
from facegen.networks.imagenet import PIXEL_RANGE, from_bgr, prepare
from facegen.networks.model import Model, on_host
from facegen.networks.network import Network
from facegen.networks.per_size import PerSize, by_shape
from facegen.networks.squeezenet import IMAGE, conv_relu, encoder, seeded
from facegen.networks.squeezenet_names import caffe_name
from facegen.nn import Add, ArgMax, Conv2d, ConvTranspose2d, Graph, Shape, Tensor
from facegen.photos.kinds import rgb_pixels, split_batch
from facegen.shares import chunks

if TYPE_CHECKING:
    from facegen.photos.kinds import Picture, Several
    from facegen.photos.photo import Photo

NAME = "segmentation"
CLASSES = 21  # of Pascal VOC; 0 is the background
MOST_SIDE = 1024  # of a picture that is computed at its own size: some 1 GB of memory
_STRIDES = {"conv11": 2, "conv12": 2, "conv13": 4}


def graph(classes: int = CLASSES) -> Graph:
    """(227, 227, 3) -> (227, 227, classes) logits."""
    g = Graph(NAME if classes == CLASSES else f"{NAME} of {classes} classes")
    maps = encoder(g, g.input("image", IMAGE))
    x = conv_relu(g, "conv10", Conv2d(512, 1000, 1), maps.fire9)
    score_conv10 = _score(g, "conv10", x, classes)
    score = g.add("score", Add(), score_conv10, _score(g, "pool8", maps.pool8, classes))
    x = _enlarge(g, "conv11", 3, score)
    x = g.add("sum4", Add(), x, _score(g, "pool4", maps.pool4, classes))
    x = _enlarge(g, "conv12", 3, x)
    x = g.add("sum1", Add(), x, _score(g, "pool1", maps.pool1, classes))
    g.output(_enlarge(g, "conv13", 11, x))
    return g


def class_graph() -> Graph:
    """(227, 227, 3) -> (227, 227, 1): the class of each pixel, a 21st of the logits' bytes."""
    return with_classes(graph())


def with_classes(logits: Graph) -> Graph:
    """The same network up to the class of each pixel."""
    g = Graph(f"{logits.name} classes")
    tensors: dict[str, Tensor] = {}
    for node in logits.nodes:
        if node.layer is None:
            tensors[node.name] = g.input(node.name, node.shape)
        else:
            inputs = [tensors[name] for name in node.inputs]
            tensors[node.name] = g.add(node.name, node.layer, *inputs)
    (scores,) = logits.outputs
    g.output(g.add("class", ArgMax(), tensors[scores.name]))
    return g


def _score(g: Graph, name: str, x: Tensor, classes: int) -> Tensor:
    return g.add(f"score_{name}", Conv2d(x.shape.channels, classes, 1), x)


def _enlarge(g: Graph, name: str, kernel: int, x: Tensor) -> Tensor:
    classes = x.shape.channels
    tconv = ConvTranspose2d(classes, classes, kernel, stride=_STRIDES[name], bias=False)
    return g.add(name, tconv, x)


def initial_weights(seed: int) -> dict[str, np.ndarray]:
    """Seeded weights; their class maps mean nothing.

    The transposed convolutions interpolate, as untrained FCNs do (Long et al.): each class is
    enlarged bilinearly. A little of every other class is added, so that no weight is idle in tests.
    """
    strides = {f"{name}.weight": stride for name, stride in _STRIDES.items()}
    weights = seeded(graph(), seed, strides)
    for name, stride in strides.items():
        weights[name] *= np.float32(1 / 32)
        kernel = weights[name].shape[1]
        tent = np.maximum(0, 1 - np.abs(np.arange(kernel) - (kernel - 1) / 2) / stride)
        for i in range(CLASSES):
            weights[name][i, :, :, i] += np.outer(tent, tent).astype(np.float32)
    return weights


@dataclass(frozen=True)
class SegmentationNetwork(Network):
    """A network that `Segmenter` runs.

    Attributes
    ----------
    fitting_side
        The height or width next to another that its layers fit.
    graph_at
        Its graph for pictures of (height, width); None where its layers are the same at any.
    """

    fitting_side: Callable[[int], int] = int
    graph_at: Callable[[tuple[int, int]], Graph] | None = None


class Segmenter(Model):
    """The class of every pixel.

    The whole picture is resized to the size that the network was trained at, whatever its form, and
    the class map back to the picture's size; or it is computed at about its own size. Sizes below
    are those of the network `segmentation`.

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
    >>> segmenter = Segmenter("network.safetensors")
    >>> segmenter("street.jpg").shape
    (480, 640)
    """

    def _graph(self) -> Graph:
        return with_classes(self.network.graph())

    @overload
    def __call__(self, pictures: Picture, own_size: bool = False) -> np.ndarray: ...

    @overload
    def __call__(self, pictures: Several, own_size: bool = False) -> list[np.ndarray]: ...

    def __call__(self, pictures: Any, own_size: bool = False) -> Any:
        """The class map of a picture, or of each of a batch, in the picture's own size.

        The best class is found on the device, at 227x227, and its map enlarged pixel by pixel
        (nearest): 206 KB a picture leave the device instead of 4.3 MB of logits. Edges are steps of
        a 227th of the picture; for finer ones take `logits`, enlarge them and find the best class.

        Parameters
        ----------
        pictures
            A path, a Pillow image or an array (height, width, 3) of uint8; or a batch: a list of
            them, or one array (n, height, width, 3).
        own_size
            Compute each at the size next to its own that the layers fit (at most `MOST_SIDE`), for
            edges finer than a 227th of the picture. The network was trained at 227x227: what is
            larger there than it ever was may be taken for something else.

        Returns
        -------
        (height, width) uint8, places in `names`; of a list a list, of an array (n, height, width).

        Raises
        ------
        FormatError
            What is no picture, or another array.
        OSError
            A file cannot be read.
        """
        pictures = on_host(pictures)
        items, single = split_batch(pictures)
        maps: list[np.ndarray] = []
        for part in chunks(items, self.runner.batch):
            prepared, sizes = [], []  # of a picture of any size no more is kept
            for item in part:
                pixels = rgb_pixels(item)
                prepared.append(self.prepare(pixels, own_size))
                sizes.append(pixels.shape[:2])
            maps += map(self.finish, self.compute(prepared), sizes)
        if isinstance(pictures, np.ndarray) and not single:
            return np.stack(maps) if maps else np.empty(pictures.shape[:3], np.uint8)
        return maps[0] if single else maps

    @property
    def names(self) -> tuple[str, ...]:
        """The classes' names; 0 is the background."""
        return self.network.classes or voc.NAMES

    def prepare(self, picture: Picture | Photo, own_size: bool = False) -> np.ndarray:
        """The network's input of a picture, (227, 227, 3) float32, or of about its own size."""
        pixels = rgb_pixels(picture)
        size = computed_size(pixels.shape, self._known.fitting_side) if own_size else self._size
        assert self._known.prepare is not None  # such networks' descriptions have it
        return self._known.prepare(pixels, size)

    def compute(self, prepared: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The class maps of pictures that are prepared, each of its input's size, uint8."""
        return by_shape(prepared, self.classes)

    def finish(self, classes: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
        """A class map in another size (height, width): each pixel takes the nearest one's class."""
        from PIL import Image

        height, width = size
        resized = Image.fromarray(classes).resize((width, height), Image.Resampling.NEAREST)
        return np.array(resized)

    def classes(self, prepared: np.ndarray) -> np.ndarray:
        """The most probable class of each pixel, found on the device.

        Parameters
        ----------
        prepared
            (n, 227, 227, 3) float32, or of another size, as `prepare` gives them.

        Returns
        -------
        (n, 227, 227) uint8, places in `names`; of the size of `prepared`.
        """
        return self._runner_for(prepared.shape)(prepared)[..., 0].astype(np.uint8)

    def logits(self, prepared: np.ndarray) -> np.ndarray:
        """What the network says of each class at each pixel, before softmax.

        Parameters
        ----------
        prepared
            (n, 227, 227, 3) float32, as `prepare` gives them.

        Returns
        -------
        (n, 227, 227, classes) float32.
        """
        return self._logits_runner(prepared)

    def _runner_for(self, shape: tuple[int, ...]) -> Runner:
        """The runner for a batch (n, height, width, 3); its own refuses what fits none."""
        sides = shape[1:3]
        if sides == self._size or any(side != self._known.fitting_side(side) for side in sides):
            return self.runner
        return self._per_size((shape[1], shape[2]))

    @cached_property
    def _per_size(self) -> PerSize[tuple[int, int], Runner]:
        return PerSize(self._runner_at)

    def _runner_at(self, size: tuple[int, int]) -> Runner:
        if self._known.graph_at is not None:
            return self._runner_of(with_classes(self._known.graph_at(size)))
        return self._runner_of(resized_graph(self._graph(), [Shape(*size, IMAGE.channels)]))

    @property
    def _known(self) -> SegmentationNetwork:
        assert isinstance(self.network, SegmentationNetwork)
        return self.network

    @cached_property
    def _size(self) -> tuple[int, int]:
        """(height, width) of the network's own input."""
        height, width, _ = self.network.graph().inputs[0].shape
        return height, width

    @cached_property
    def _logits_runner(self) -> Runner:
        """Made when it is first asked for: the weights are packed a second time for it."""
        return self._runner_of(self.network.graph())

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in super().__getstate__().items() if k != "_logits_runner"}


def fitting_side(side: int) -> int:
    """The height or width next to `side` that the layers fit.

    Of a last map of m pixels the decoder makes 2m + 1, of these again twice and one, and the
    picture of those: each must be as large as the map of the encoder that it is added to, which is
    so of ``16 m + 19`` pixels. 227 have m = 13.
    """
    return 16 * max(1, round((side - 19) / 16)) + 19


def computed_size(
    picture: Sequence[int], fitting: Callable[[int], int] = fitting_side
) -> tuple[int, int]:
    """The height and width that a picture (height, width, ...) is computed at for its own size."""
    scale = min(1.0, MOST_SIDE / max(picture[:2]))
    height, width = (fitting(int(side * scale)) for side in picture[:2])
    return height, width


SEGMENTATION = SegmentationNetwork(
    name=NAME,
    summary="class of every pixel: 227x227 RGB -> 227x227, 21 classes of Pascal VOC",
    graph=graph,
    binary_layout=None,
    initial_weights=initial_weights,
    model=Segmenter,
    input_range=PIXEL_RANGE,
    foreign={"caffe": foreign_layout(graph(), caffe_name)},
    adapt=from_bgr,
    prepare=prepare,
    of_classes=graph,
    fitting_side=fitting_side,
)
