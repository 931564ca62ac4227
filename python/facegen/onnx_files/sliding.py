"""A window as a node states it: its sides, its steps, and its padding."""

from __future__ import annotations

from dataclasses import dataclass

from facegen.nn import Tensor
from facegen.onnx_files.node import Node
from facegen.onnx_files.value import Value

Pair = tuple[int, int]
Pads = tuple[Pair, Pair]  # (top, bottom), (left, right)


@dataclass(frozen=True)
class Sliding:
    """A window over a map, or over a row (n, channels, width), which is a map one pixel high."""

    node: Node
    x: Tensor
    rank: int  # sides that the file's arrays have: 2, or 1 of a row
    kernel: Pair
    stride: Pair
    dilation: Pair

    @classmethod
    def of(cls, node: Node, kernel: tuple[int, ...] | None = None) -> Sliding:
        """The window of a node; `kernel` is that of its weight, if it has one.

        Raises
        ------
        ValueError
            The node reads neither a map nor a row, or states another kernel, or too many numbers.
        """
        value = node.value()
        rank = len(value.shape) - 1
        if rank not in (1, 2) or (kernel is not None and len(kernel) != rank):
            raise ValueError(
                "expected a map (n, channels, height, width) or a row (n, channels, width), found "
                f"an array of {rank + 2} dimensions"
            )
        stated = _pair(node, "kernel_shape", rank, 0)
        sides = stated if kernel is None else (kernel[0] if rank == 2 else 1, kernel[-1])
        if stated not in ((0, 0), (1, 0), sides):
            raise ValueError(f"its kernel_shape {stated} differs from its weight's {sides}")
        stride, dilation = _pair(node, "strides", rank, 1), _pair(node, "dilations", rank, 1)
        return cls(node, node.draft.as_map(value), rank, sides, stride, dilation)

    @property
    def reach(self) -> Pair:
        """Pixels from the first that a window reads to its last."""
        y, x = ((k - 1) * gap + 1 for k, gap in zip(self.kernel, self.dilation, strict=True))
        return y, x

    def pads(self) -> Pads:
        """Of a convolution or a pool, stated or by auto_pad."""
        auto = self.node.get("auto_pad", "NOTSET")
        if auto == "NOTSET":
            return self._stated()
        if auto == "VALID":
            return (0, 0), (0, 0)
        totals = []
        for size, reach, step in zip(self.x.shape[:2], self.reach, self.stride, strict=False):
            outputs = -(-size // max(step, 1))
            totals.append(max((outputs - 1) * step + reach - size, 0))
        return _halves(totals, auto == "SAME_UPPER")

    def transposed(self) -> tuple[Pads, Pair]:
        """Padding and output padding of a transposed convolution.

        Stated, or what leaves the output's stated size; where that is more than there is, the rest
        is padded behind.
        """
        extra = _pair(self.node, "output_padding", self.rank, 0)
        auto, sizes = self.node.get("auto_pad", "NOTSET"), self.node.get("output_shape", None)
        if auto == "VALID" and sizes is None:
            return ((0, 0), (0, 0)), extra
        if auto == "NOTSET" and sizes is None:
            return self._stated(), extra
        if sizes is None:
            sizes = [s * step for s, step in zip(self.x.shape, self.stride, strict=False)]
        sizes = (1, *sizes)[-2:]
        totals = [
            step * (size - 1) + more + reach - after
            for size, reach, step, more, after in zip(
                self.x.shape, self.reach, self.stride, extra, sizes, strict=False
            )
        ]
        behind = [more + max(0, -total) for more, total in zip(extra, totals, strict=True)]
        halves = _halves([max(0, total) for total in totals], auto == "SAME_UPPER")
        return halves, (behind[0], behind[1])

    def value(self, y: Tensor) -> Value:
        """An output as the file has it."""
        height, width, channels = y.shape
        return Value(y, (channels, height, width) if self.rank == 2 else (channels, width))

    def _stated(self) -> Pads:
        pads = self.node.get("pads", [0] * (2 * self.rank))
        if len(pads) != 2 * self.rank:
            raise ValueError(f"expected {2 * self.rank} pads, found {len(pads)}")
        front, back = ([0, *pads[i : i + self.rank]][-2:] for i in (0, self.rank))
        return (front[0], back[0]), (front[1], back[1])


def _pair(node: Node, attribute: str, rank: int, default: int) -> Pair:
    """An attribute's numbers for height and width; a row has the neutral ones for its height."""
    found = node.get(attribute, [default] * rank)
    if len(found) != rank:
        raise ValueError(f"expected {rank} {attribute}, found {len(found)}")
    neutral = 0 if attribute == "output_padding" else 1
    first, last = [neutral, *found][-2:]
    return int(first), int(last)


def _halves(totals: list[int], more_behind: bool) -> Pads:
    """Each total before and behind; an odd one has one more behind, or one more before."""
    small = [total // 2 for total in totals]
    large = [total - half for total, half in zip(totals, small, strict=True)]
    front, back = (small, large) if more_behind else (large, small)
    return (front[0], back[0]), (front[1], back[1])
