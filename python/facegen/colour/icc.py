"""Colour profiles made of the few numbers that describe a space of RGB."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# x and y of white, red, green and blue, in the order of PNG's cHRM.
SRGB_PRIMARIES = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
P3_PRIMARIES = (0.3127, 0.329, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06)
BT2020_PRIMARIES = (0.3127, 0.329, 0.708, 0.292, 0.17, 0.797, 0.131, 0.046)

_D50 = np.array([0.9642, 1.0, 0.8249])  # XYZ of white in all profiles
_BRADFORD = np.array(  # cones' answers to XYZ, by which profiles adapt white
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)


@dataclass(frozen=True)
class Curve:
    """An ICC parametric curve from a value, 0 to 1, to light: its number and its parameters."""

    kind: int
    parameters: tuple[float, ...]


SRGB_CURVE = Curve(3, (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045))  # IEC 61966-2-1


def power(exponent: float) -> Curve:
    return Curve(0, (exponent,))


def rgb_profile(primaries: Sequence[float], curve: Curve) -> bytes | None:
    """A profile (ICC version 4), None where the primaries span no space.

    Parameters
    ----------
    primaries
        x and y of white, red, green and blue.
    curve
        The same for the three colours.
    """
    colorants = _colorants(np.asarray(primaries, float).reshape(4, 2))
    if colorants is None:
        return None
    tone = _tone(curve)
    tags = {b"wtpt": _xyz(_D50)}
    for name, colorant in zip((b"r", b"g", b"b"), colorants.T, strict=True):
        tags |= {name + b"XYZ": _xyz(colorant), name + b"TRC": tone}
    return _packed(b"RGB ", tags)


def grey_profile(curve: Curve) -> bytes:
    """A profile (ICC version 4) of greys."""
    return _packed(b"GRAY", {b"wtpt": _xyz(_D50), b"kTRC": _tone(curve)})


def _colorants(xy: np.ndarray) -> np.ndarray | None:
    """XYZ of the three primaries under D50, as columns (3, 3)."""
    if not np.isfinite(xy).all() or (xy[:, 1] < 1e-4).any() or np.abs(xy).max() > 2:
        return None
    xyz = np.stack([xy[:, 0] / xy[:, 1], np.ones(4), (1 - xy.sum(axis=1)) / xy[:, 1]])  # Y = 1
    white, primaries = xyz[:, 0], xyz[:, 1:]
    if abs(np.linalg.det(primaries)) < 1e-6:
        return None
    primaries = primaries * np.linalg.solve(primaries, white)  # that add up to white
    cones, cones_d50 = _BRADFORD @ white, _BRADFORD @ _D50
    if (cones < 1e-4).any():
        return None
    colorants = np.linalg.solve(_BRADFORD, np.diag(cones_d50 / cones) @ _BRADFORD) @ primaries
    return colorants if np.abs(colorants).max() < 100 else None


def _tone(curve: Curve) -> bytes:
    numbers = b"".join(_fixed(value) for value in curve.parameters)
    return b"para" + bytes(4) + struct.pack(">HH", curve.kind, 0) + numbers


def _fixed(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


def _xyz(values: np.ndarray) -> bytes:
    return b"XYZ " + bytes(4) + b"".join(_fixed(float(value)) for value in values)


def _packed(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    """Header, table of tags and their contents, which all have whole words."""
    table, content = struct.pack(">I", len(tags)), b""
    for name, tag in tags.items():
        place = 128 + 4 + 12 * len(tags) + len(content)
        table += name + struct.pack(">II", place, len(tag))
        content += tag
    size = 128 + len(table) + len(content)
    header = struct.pack(">I4xI4s4s4s12x4s", size, 0x04300000, b"mntr", space, b"XYZ ", b"acsp")
    return header.ljust(68, b"\0") + _xyz(_D50)[8:] + bytes(48) + table + content
