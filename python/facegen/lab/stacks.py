"""Stacks of layers in a few words, as lectures write them: "1x1xC/4, 3x3xC/4, 1x1xC".

=============== =================================================================
``3x3x64``      a convolution of 3x3 pixels to 64 channels
``3x3xC``       to C channels: as many as go into the stack; also ``2C``, ``C/4``
``3x3xdw``      depthwise: each channel by itself
``pool2x2``     a max pool, of the stride 2
``x3``          behind a layer: three of them, one after the other
``s2 p0 d2 g4`` stride, padding, dilation, groups
``,``           what follows
=============== =================================================================

Without ``p`` a convolution is padded so that a stride of 1 keeps the map's size. There are no
biases: the counts are those of papers.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from fractions import Fraction

from facegen.errors import FacegenError
from facegen.nn import Conv2d, Graph, MaxPool2d, Shape
from facegen.nn.graph import Tensor
from facegen.nn.window import Padding

MOST_LAYERS = 200
_STEP = re.compile(
    r"(pool)?(\d{1,6})x(\d{1,6})(?:x(dw|\d{1,6}|\d{0,6}C(?:/\d{1,6})?))?", re.I | re.ASCII
)
_WIDTH = re.compile(r"(\d*)C(?:/(\d+))?", re.I | re.ASCII)
_MORE = re.compile(r"([spdgx])(\d{1,6})", re.ASCII)
EXPECTED = "a stack as '3x3x64 x3' or '1x1xC/4, 3x3xC/4, 1x1xC' (facegen lab cost --help)"


@dataclass(frozen=True)
class Width:
    """A number of channels: `factor` times C, or `factor` alone."""

    factor: Fraction
    of_c: bool = True

    def at(self, c: int, where: str) -> int:
        """As a number; a FacegenError where it is no whole one."""
        count = self.factor * (c if self.of_c else 1)
        if count.denominator != 1 or count < 1:
            raise FacegenError(f"{where}: {count} channels, expected a whole number, at least 1")
        return int(count)


C = Width(Fraction(1))


@dataclass(frozen=True)
class Step:
    """One layer of a stack, `times` times."""

    kernel: tuple[int, int]
    width: Width | None  # None: each channel by itself
    is_pool: bool = False
    stride: int | None = None
    padding: int | None = None
    dilation: int = 1
    groups: int = 1
    times: int = 1

    @property
    def pads(self) -> Padding:
        if self.padding is not None or self.is_pool:
            return self.padding or 0
        (top, bottom), (left, right) = (
            ((k - 1) * self.dilation // 2, -(-(k - 1) * self.dilation // 2)) for k in self.kernel
        )
        return (top, bottom), (left, right)


@dataclass(frozen=True)
class Stack:
    """Layers one after another, over C channels."""

    text: str
    steps: tuple[Step, ...]

    @property
    def own_channels(self) -> int | None:
        """C where none is stated: what its last layer of a stated width makes."""
        stated = [s.width.factor for s in self.steps if s.width and not s.width.of_c]
        return int(stated[-1]) if stated else None

    def graph(self, height: int, width: int, channels: int) -> Graph:
        """The layers over a map of that size and C channels.

        Raises
        ------
        FacegenError
            They do not fit together, or not over the map.
        """
        graph = Graph(self.text)
        try:
            x = graph.input("map", Shape(height, width, channels))
            for number, step in enumerate((s for s in self.steps for _ in range(s.times)), 1):
                x = self._add(graph, step, number, channels, x)
        except ValueError as error:
            raise FacegenError(f"stack {self.text!r}: {error}") from None
        graph.output(x)
        return graph

    def weights(self) -> dict[int, Fraction] | None:
        """Of all convolutions as a polynomial of C, power -> factor; None where C plays no part."""
        powers: dict[int, Fraction] = defaultdict(Fraction)
        before, any_c = C, False
        for step in (s for s in self.steps for _ in range(s.times)):
            if step.is_pool:
                continue
            after = step.width or before
            any_c |= step.width is None or after.of_c
            inner = Width(Fraction(1), False) if step.width is None else before
            factor = step.kernel[0] * step.kernel[1] * inner.factor * after.factor / step.groups
            powers[inner.of_c + after.of_c] += factor
            before = after
        return dict(powers) if any_c else None

    def _add(self, graph: Graph, step: Step, number: int, c: int, x: Tensor) -> Tensor:
        name = f"layer{number}"
        if step.is_pool:
            return graph.add(name, MaxPool2d(step.kernel, step.stride, step.pads), x)
        before = x.shape.channels
        width = step.width.at(c, f"stack {self.text!r}") if step.width else before
        conv = Conv2d(
            before, width, step.kernel, step.stride or 1, step.pads, step.dilation,
            bias=False, groups=step.groups if step.width else before,
        )  # fmt: skip
        return graph.add(name, conv, x)


def is_stack(text: str) -> bool:
    """Whether a text is meant as a stack rather than as a network's name."""
    first = text.strip().partition(",")[0].partition(" ")[0]
    return _STEP.match(first) is not None


def parse(text: str) -> Stack:
    """The stack of a text.

    Raises
    ------
    FacegenError
        A word of it means nothing; the message names it.

    Examples
    --------
    >>> parse("3x3xC x3").weights()
    {2: Fraction(27, 1)}
    """
    steps = tuple(_step(part.split(), text) for part in text.split(","))
    if sum(step.times for step in steps) > MOST_LAYERS:
        raise FacegenError(f"stack {text!r}: more than {MOST_LAYERS:,} layers")
    return Stack(" ".join(text.split()), steps)


def polynomial(powers: dict[int, Fraction]) -> str:
    """As people write it: "27 C²", "9 C + 1 C²"."""
    signs = {0: "", 1: " C", 2: " C²"}
    return " + ".join(
        f"{float(factor):.6g}{signs[power]}" for power, factor in sorted(powers.items())
    )


def _step(words: list[str], text: str) -> Step:
    match = _STEP.fullmatch(words[0]) if words else None
    if match is None:
        found = words[0] if words else "nothing"
        raise FacegenError(f"stack {text!r}: expected {EXPECTED}, found {found!r}")
    pool, height, width, channels = match.groups()
    if pool and channels:
        raise FacegenError(f"stack {text!r}: a pool keeps its channels, found {words[0]!r}")
    more: dict[str, int] = {}
    for word in words[1:]:
        stated = _MORE.fullmatch(word)
        if stated is None or stated[1] in more:
            raise FacegenError(f"stack {text!r}: expected s2, p0, d2, g4 or x3, found {word!r}")
        more[stated[1]] = int(stated[2])
    if min(int(height), int(width), *(n for letter, n in more.items() if letter != "p")) < 1:
        raise FacegenError(f"stack {text!r}: expected numbers of at least 1 in {' '.join(words)!r}")
    return Step(
        (int(height), int(width)),
        None if channels and channels.lower() == "dw" else _width(channels, text),
        is_pool=bool(pool),
        stride=more.get("s"),
        padding=more.get("p"),
        dilation=more.get("d", 1),
        groups=more.get("g", 1),
        times=more.get("x", 1),
    )


def _width(text: str | None, stack: str) -> Width:
    if text is None:
        return C
    if text.isdecimal():
        return Width(Fraction(int(text)), False)
    match = _WIDTH.fullmatch(text)
    assert match is not None, "the step's pattern has it"
    if match[2] is not None and int(match[2]) == 0:
        raise FacegenError(f"stack {stack!r}: expected C by at least 1, found {text!r}")
    return Width(Fraction(int(match[1] or 1), int(match[2] or 1)))
