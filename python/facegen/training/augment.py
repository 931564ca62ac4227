"""Data augmentation: batches of pictures changed at random, for any task, on CPU or GPU.

Pictures are float tensors (n, c, h, w) with values in -1 to 1. Each kind is a plain function of the
pictures and of how much each of them is changed; `Augmentation` draws the amounts. All of it is
differentiable, so that a discriminator may see augmented pictures only and the generator still
learns through them (Zhao et al. 2020, "Differentiable augmentation").

All geometric kinds are one resampling. A 3x3 matrix takes a point of the result to the point of the
picture that is seen there, both in coordinates where the picture spans -1 to 1, x to the right and
y down: so a matrix product chains kinds, and pictures are interpolated once.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torch.nn import functional

# Luma of ITU-R BT.601.
_LUMA = (0.299, 0.587, 0.114)

# --- geometry: amounts (n,) -> matrices (n, 3, 3) ------------------------------------------------


def translation(x: Tensor, y: Tensor) -> Tensor:
    """Moves the picture right by `x` and down by `y`, in shares of its width and height."""
    one, zero = torch.ones_like(x), torch.zeros_like(x)
    return _matrix([one, zero, -2 * x], [zero, one, -2 * y])


def rotation(angle: Tensor) -> Tensor:
    """Turns clockwise by `angle` in degrees; pictures are square."""
    turn = torch.deg2rad(angle)
    cos, sin, zero = turn.cos(), turn.sin(), torch.zeros_like(turn)
    return _matrix([cos, sin, zero], [-sin, cos, zero])


def scaling(zoom: Tensor) -> Tensor:
    """Enlarges by the factor `zoom` about the centre."""
    return stretch(zoom, zoom)


def stretch(x: Tensor, y: Tensor) -> Tensor:
    """Enlarges by a factor of its own in each direction."""
    zero = torch.zeros_like(x)
    return _matrix([1 / x, zero, zero], [zero, 1 / y, zero])


def shear(angle: Tensor) -> Tensor:
    """Leans upright lines to the right by `angle` in degrees."""
    one, zero = torch.ones_like(angle), torch.zeros_like(angle)
    return _matrix([one, torch.deg2rad(angle).tan(), zero], [zero, one, zero])


def _matrix(first: list[Tensor], second: list[Tensor]) -> Tensor:
    last = torch.zeros_like(first[0]), torch.zeros_like(first[0]), torch.ones_like(first[0])
    rows = [torch.stack(row, dim=-1) for row in (first, second, last)]
    return torch.stack(rows, dim=-2)


def warp(
    pictures: Tensor, matrix: Tensor, lens: Tensor | None = None, side: int | None = None
) -> Tensor:
    """Resample pictures bilinearly; what lies outside is mirrored in.

    Parameters
    ----------
    pictures
        (n, c, h, w)
    matrix
        (n, 3, 3), from points of the result to points of the picture.
    lens
        (n,) radial distortion: a point at radius r (1 at the middle of an edge) shows what is at
        r (1 + lens r^2). Positive is a barrel, negative a pincushion.
    side
        Of the result, (n, c, side, side); the pictures' own height and width if None.
    """
    n, channels, height, width = pictures.shape
    if side is not None:
        height = width = side
    identity = torch.eye(2, 3, device=pictures.device).expand(n, 2, 3)
    points = functional.affine_grid(identity, [n, channels, height, width], align_corners=False)
    if lens is not None:
        radius2 = points.square().sum(dim=-1, keepdim=True)
        points = points * (1 + lens.view(n, 1, 1, 1) * radius2)
    flat = points.reshape(n, -1, 2) @ matrix[:, :2, :2].mT + matrix[:, None, :2, 2]
    points = flat.view(n, height, width, 2).to(pictures.dtype)
    return functional.grid_sample(
        pictures, points, mode="bilinear", padding_mode="reflection", align_corners=False
    )


def horizontal_flip(pictures: Tensor, which: Tensor) -> Tensor:
    """Mirror those of the pictures where `which`, (n,) bool, is set."""
    return torch.where(which.view(-1, 1, 1, 1), pictures.flip(3), pictures)


def random_resized_crop(
    pictures: Tensor,
    side: int,
    generator: torch.Generator,
    scale: tuple[float, float] = (0.6, 1.0),
) -> Tensor:
    """A square of a random size and place of each picture, resized to (n, c, side, side).

    `scale` is the least and the largest side of the square, as a share of the picture's.
    """
    n, device = len(pictures), pictures.device
    share = _uniform(n, *scale, device, generator)
    room = (1 - share) / 2  # of the square's centre to either side
    x, y = (_uniform(n, -1.0, 1.0, device, generator) * room for _ in range(2))
    return warp(pictures, translation(x, y) @ scaling(1 / share), side=side)


def multi_crop(pictures: Tensor, side: int) -> Tensor:
    """The corners, the centre and their mirror images: (n, 10, c, side, side)."""
    height, width = pictures.shape[2:]
    if not 0 < side <= min(height, width):
        raise ValueError(f"crops of side {side} do not fit pictures of {height} x {width}")
    bottom, right = height - side, width - side
    places = [(0, 0), (0, right), (bottom, 0), (bottom, right), (bottom // 2, right // 2)]
    crops = [pictures[:, :, y : y + side, x : x + side] for y, x in places]
    return torch.stack([*crops, *(crop.flip(3) for crop in crops)], dim=1)


def average_over_crops(
    predict: Callable[[Tensor], Tensor], pictures: Tensor, side: int
) -> Tensor:
    """A classifier's prediction averaged over the ten crops of each picture, (n, ...)."""
    crops = multi_crop(pictures, side)
    n, views = crops.shape[:2]
    predictions = predict(crops.flatten(0, 1))
    return predictions.view(n, views, *predictions.shape[1:]).mean(dim=1)


# --- colour: amounts (n,) ------------------------------------------------------------------------


def brightness(pictures: Tensor, amount: Tensor) -> Tensor:
    """Adds `amount`; the values span 2."""
    return pictures + amount.view(-1, 1, 1, 1)


def contrast(pictures: Tensor, factor: Tensor) -> Tensor:
    """Multiplies the differences from each picture's mean."""
    mean = pictures.mean(dim=(1, 2, 3), keepdim=True)
    return mean + (pictures - mean) * factor.view(-1, 1, 1, 1)


def saturation(pictures: Tensor, factor: Tensor) -> Tensor:
    """Multiplies the differences from grey: 0 is a grey picture, 1 changes nothing."""
    grey = (pictures * _luma(pictures)).sum(dim=1, keepdim=True)
    return grey + (pictures - grey) * factor.view(-1, 1, 1, 1)


def hue(pictures: Tensor, angle: Tensor) -> Tensor:
    """Turns the colours about the axis of grey by `angle` in degrees (Rodrigues' formula)."""
    turn = torch.deg2rad(angle)
    axis = 3**-0.5
    cross = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]], device=pictures.device) * axis
    cos, sin = turn.cos().view(-1, 1, 1), turn.sin().view(-1, 1, 1)
    matrix = cos * torch.eye(3, device=pictures.device) + sin * cross + (1 - cos) * axis**2
    return torch.einsum("nij,njhw->nihw", matrix.to(pictures.dtype), pictures)


def colour_axes(pictures: Tensor) -> Tensor:
    """Principal axes of the colours of all pixels, each of length one standard deviation, (3, 3).

    Row i is axis i: `pca_jitter` adds multiples of the rows.
    """
    pixels = pictures.transpose(0, 1).reshape(pictures.shape[1], -1).double()
    values, vectors = torch.linalg.eigh(torch.cov(pixels))
    return (vectors * values.clamp(min=0).sqrt()).mT.to(pictures.dtype)


def pca_jitter(pictures: Tensor, amounts: Tensor, axes: Tensor) -> Tensor:
    """Shifts each picture along the colour axes (Krizhevsky et al. 2012); `amounts` is (n, 3)."""
    return pictures + (amounts @ axes).view(-1, 3, 1, 1)


def _luma(pictures: Tensor) -> Tensor:
    return torch.tensor(_LUMA, device=pictures.device, dtype=pictures.dtype).view(1, 3, 1, 1)


def cutout(pictures: Tensor, x: Tensor, y: Tensor, share: float) -> Tensor:
    """Greys out a square, `share` of the side, about `x`, `y`: each (n,), 0 to 1 in the picture."""
    height, width = pictures.shape[2:]
    column = (torch.arange(width, device=pictures.device) + 0.5) / width
    row = (torch.arange(height, device=pictures.device) + 0.5) / height
    inside_x = (column - x.view(-1, 1)).abs() < share / 2  # (n, w)
    inside_y = (row - y.view(-1, 1)).abs() < share / 2  # (n, h)
    hidden = inside_y.view(-1, 1, height, 1) & inside_x.view(-1, 1, 1, width)
    return pictures.masked_fill(hidden, 0.0)


# --- all at once ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Augmentation:
    """How strongly each kind may change a picture; a strength of 0 leaves the kind out.

    Called as ``augmentation(pictures, generator)``: amounts are drawn for every picture, and the
    same generator state gives the same pictures. With all strengths 0 they come back as they are.

    Attributes
    ----------
    flip
        Probability of a mirror image.
    translate
        Largest shift each way, as a share of the side.
    rotate, shear
        Largest angle either way, in degrees.
    scale, stretch
        Largest enlargement or reduction less 1, of both sides alike or of one against the other.
    lens
        Largest radial distortion either way, see `warp`.
    brightness, pca
        Largest shift of values (-1 to 1); standard deviations along the colour axes.
    contrast, saturation
        Largest factor less 1.
    hue
        Largest angle either way, in degrees.
    cutout
        Side of a grey square somewhere, as a share of the side.
    axes
        (3, 3) of `colour_axes`, for `pca`; taken from the pictures at hand if None.
    """

    flip: float = 0.0
    translate: float = 0.0
    rotate: float = 0.0
    shear: float = 0.0
    scale: float = 0.0
    stretch: float = 0.0
    lens: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    pca: float = 0.0
    cutout: float = 0.0
    axes: Tensor | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            strength = getattr(self, field.name)
            if field.name != "axes" and not (math.isfinite(strength) and strength >= 0):
                raise ValueError(f"{field.name}: expected 0 or more, found {strength}")

    def __call__(self, pictures: Tensor, generator: torch.Generator) -> Tensor:
        """(n, c, h, w) -> the same shape; not clamped: colours may leave -1 to 1."""
        pictures = self._geometry(pictures, generator)
        return self._colour(pictures, generator)

    def _geometry(self, pictures: Tensor, generator: torch.Generator) -> Tensor:
        n, device = len(pictures), pictures.device

        def around_zero(strength: float) -> Tensor:
            return _uniform(n, -strength, strength, device, generator)

        def around_one(strength: float) -> Tensor:
            return torch.exp(around_zero(math.log1p(strength)))

        if self.flip:
            chance = _uniform(n, 0.0, 1.0, device, generator)
            pictures = horizontal_flip(pictures, chance < self.flip)
        matrices = []
        if self.translate:
            matrices.append(translation(around_zero(self.translate), around_zero(self.translate)))
        if self.rotate:
            matrices.append(rotation(around_zero(self.rotate)))
        if self.shear:
            matrices.append(shear(around_zero(self.shear)))
        if self.scale:
            matrices.append(scaling(around_one(self.scale)))
        if self.stretch:
            ratio = around_one(self.stretch).sqrt()
            matrices.append(stretch(ratio, 1 / ratio))
        lens = around_zero(self.lens) if self.lens else None
        if matrices or lens is not None:
            chain = torch.eye(3, device=device).expand(n, 3, 3)
            for matrix in matrices:
                chain = chain @ matrix
            pictures = warp(pictures, chain, lens)
        return pictures

    def _colour(self, pictures: Tensor, generator: torch.Generator) -> Tensor:
        n, device = len(pictures), pictures.device

        def amounts(low: float, high: float) -> Tensor:
            return _uniform(n, low, high, device, generator).to(pictures.dtype)

        if self.brightness:
            pictures = brightness(pictures, amounts(-self.brightness, self.brightness))
        if self.contrast:
            factor = torch.exp(amounts(-1, 1) * math.log1p(self.contrast))
            pictures = contrast(pictures, factor)
        if self.saturation:
            pictures = saturation(pictures, amounts(1 - self.saturation, 1 + self.saturation))
        if self.hue:
            pictures = hue(pictures, amounts(-self.hue, self.hue))
        if self.pca:
            axes = colour_axes(pictures.detach()) if self.axes is None else self.axes
            draws = torch.randn(n, 3, device=device, generator=generator).to(pictures.dtype)
            pictures = pca_jitter(pictures, self.pca * draws, axes.to(pictures))
        if self.cutout:
            pictures = cutout(pictures, amounts(0.0, 1.0), amounts(0.0, 1.0), self.cutout)
        return pictures


def _uniform(
    n: int, low: float, high: float, device: torch.device, generator: torch.Generator
) -> Tensor:
    return low + (high - low) * torch.rand(n, device=device, generator=generator)


NONE = Augmentation()
# For small sets, before the discriminator: the policy of Zhao et al. 2020 in milder steps, and a
# little of each geometric kind; flips are the data loader's.
SMALL_SET = Augmentation(
    translate=0.1,
    rotate=5.0,
    scale=0.1,
    stretch=0.05,
    brightness=0.3,
    contrast=0.3,
    saturation=0.6,
    cutout=0.35,
)
