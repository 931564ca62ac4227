"""Options of `facegen run` about pictures: what becomes of them before they go in."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from facegen.errors import FacegenError

if TYPE_CHECKING:
    from facegen.graphs import End
    from facegen.loading import Size
    from facegen.photos.preparation import Preparation


class Numbers(click.ParamType):
    """Finite numbers with commas between them, as "0.485,0.456,0.406"."""

    name = "numbers"

    def __init__(self, *counts: int) -> None:
        self._counts = counts

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[float, ...]:
        try:
            numbers = tuple(float(word) for word in str(value).split(","))
        except ValueError:
            numbers = ()
        if len(numbers) not in self._counts or not all(map(math.isfinite, numbers)):
            wanted = " or ".join(map(str, self._counts))
            self.fail(f"expected {wanted} numbers with commas between them, found {value!r}")
        return numbers


def _size_of(word: str) -> Size:
    if word == "own":
        return "any"
    sides = word.split(",")
    if len(sides) != 2 or not all(side.isdecimal() and 0 < int(side) < 2**15 for side in sides):
        raise click.BadParameter(f"expected HEIGHT,WIDTH or own, found {word!r}")
    return int(sides[0]), int(sides[1])


_PICTURES = (
    click.option(
        "--range",
        "range_",
        metavar="LOW,HIGH",
        type=Numbers(2),
        default="0,1",
        show_default=True,
        help="What black and white are, of pictures in and out; mostly 0,1, -1,1 or 0,255.",
    ),
    click.option(
        "--mean",
        type=Numbers(1, 3),
        default="0",
        help="Subtracted from inputs then: 1 number, or R,G,B.",
    ),
    click.option(
        "--std",
        type=Numbers(1, 3),
        default="1",
        help="And what they are divided by: 1 number, or R,G,B.",
    ),
    click.option("--bgr", is_flag=True, help="The network has blue first, in and out."),
    click.option(
        "--fit",
        type=click.Choice(["stretch", "crop"]),
        default="stretch",
        show_default=True,
        help="Pictures of another form: all of them, stretched, or the largest part in the middle.",
    ),
    click.option(
        "--size",
        metavar="HEIGHT,WIDTH|own",
        callback=lambda context, option, word: None if word is None else _size_of(word),
        help="Of the maps that go in, where the network's layers are for any; own: that of each "
        "picture. The file's if not given.",
    ),
)


def pictures(command: Callable[..., Any]) -> Callable[..., Any]:
    """--range, --mean, --std, --bgr and --fit, as `preparation` takes them, and --size."""
    for option in reversed(_PICTURES):
        command = option(command)
    return command


def preparation(
    ends: Sequence[End],
    own_size: bool,
    range_: tuple[float, float],
    mean: tuple[float, ...],
    std: tuple[float, ...],
    bgr: bool,
    fit: str,
) -> Preparation:
    """How pictures become the one input."""
    from facegen.photos.preparation import Preparation

    if len(ends) != 1 or len(ends[0].shape) != 3 or ends[0].shape[0] not in (1, 3):
        found = ", ".join(map(str, ends))
        raise FacegenError(
            f"pictures are for networks of one input (n, 3 or 1, height, width); this has {found}, "
            "and takes arrays (.npy)"
        )
    channels, height, width = ends[0].shape
    try:
        return Preparation(height, width, channels, *range_, mean, std, bgr, fit, own_size)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
