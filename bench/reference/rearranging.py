"""The same numbers elsewhere: channels in another order, or as pixels."""

from __future__ import annotations

from bench.reference.parts import Array


def channel_shuffle(x: Array, groups: int) -> Array:
    n, h, w, c = x.shape
    return x.reshape(n, h, w, groups, c // groups).swapaxes(3, 4).reshape(x.shape)


def depth_to_space(x: Array, block: int, depth_first: bool) -> Array:
    n, h, w, c = x.shape
    out = c // block**2
    if depth_first:
        x = x.reshape(n, h, w, block, block, out).transpose(0, 1, 3, 2, 4, 5)
    else:
        x = x.reshape(n, h, w, out, block, block).transpose(0, 1, 4, 2, 5, 3)
    return x.reshape(n, h * block, w * block, out)


def space_to_depth(x: Array, block: int, depth_first: bool) -> Array:
    n, h, w, c = x.shape
    x = x.reshape(n, h // block, block, w // block, block, c)
    x = x.transpose((0, 1, 3, 2, 4, 5) if depth_first else (0, 1, 3, 5, 2, 4))
    return x.reshape(n, h // block, w // block, c * block**2)
