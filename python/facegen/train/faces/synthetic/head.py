"""The head: its pose, its outline, and where on the face each pixel lies.

The picture spans -1..1 both ways, y down. Behind each pixel lies a point of a dome: a unit sphere
whose width narrows towards the chin. Turning the sphere back by the pose gives the place (u, v) on
the face, in the same units, seen from the front: the eyes lie at v = 0, u = -0.25 and 0.25, the
mouth at v = 0.41. So all that is drawn in (u, v) moves and foreshortens together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from facegen.train.faces.synthetic.draws import Draws
from facegen.train.faces.synthetic.fields import Array
from facegen.train.faces.synthetic.traits import Traits

CROWN = 0.86
CHIN = 0.80
# Faces are taller than the features' own measures by this much.
TALL = 0.86


@dataclass(frozen=True)
class Head:
    """Pose and shape, each (n, 1, 1, 1); angles in radians."""

    yaw: Array
    pitch: Array
    roll: Array
    x: Array
    y: Array
    scale: Array
    width: Array
    taper: Array
    square: Array
    chin: Array

    @classmethod
    def draw(cls, draws: Draws, traits: Traits) -> Head:
        male, weight = traits.male, traits.weight
        return cls(
            yaw=draws.normal(0, 0.19),
            pitch=draws.normal(0.02, 0.06),
            roll=draws.normal(0, 0.05),
            x=draws.normal(0, 0.012),
            y=draws.normal(0.02, 0.015),
            scale=draws.normal(0.96, 0.02),
            width=draws.normal(0.595, 0.02) + 0.015 * male + 0.02 * weight,
            taper=draws.normal(0.44, 0.05) - 0.08 * male - 0.10 * weight,
            square=np.clip(draws.normal(0.34, 0.12) + 0.22 * male + 0.1 * weight, 0, 0.8),
            chin=CHIN + draws.normal(0, 0.02) + 0.04 * male,
        )


@dataclass(frozen=True)
class Surface:
    """Fields of one batch, each (n, 1, size, size) unless said otherwise."""

    step: float
    """The distance between neighbouring pixels."""
    p: Array
    """Across the head, as the picture shows it, turned by the roll alone."""
    q: Array
    """Down the head from the eyes' height."""
    s: Array
    """Across the dome, -1..1 within the head."""
    t: Array
    """Down the dome, -1..1 within the head."""
    z: Array
    """Towards the viewer on the dome; 0 outside."""
    u: Array
    v: Array
    front: Array
    """Cosine of the angle around the neck from the face's middle: 1 nose, 0 ears, -1 nape."""
    distance: Array
    """About how far outside of the head's outline; negative within."""
    sin_yaw: Array
    """(n, 1, 1, 1)."""


def surface(head: Head, size: int, chin_growth: Array) -> Surface:
    """Find the place on the face behind each pixel.

    Parameters
    ----------
    chin_growth
        How much lower a beard makes the outline, (n, 1, 1, 1).
    """
    step = 2.0 / size
    axis = ((np.arange(size) + 0.5) * step - 1.0).astype(np.float32)
    sin_yaw, cos_yaw = np.sin(head.yaw), np.cos(head.yaw)
    sin_pitch, cos_pitch = np.sin(head.pitch), np.cos(head.pitch)
    # A turned face stays where it was, as in aligned photographs: the skull moves the other way.
    x = axis.reshape(1, 1, 1, -1) - (head.x - 0.30 * sin_yaw)
    y = axis.reshape(1, 1, -1, 1) - (head.y - 0.60 * sin_pitch)
    sin_roll, cos_roll = np.sin(head.roll), np.cos(head.roll)
    p = (x * cos_roll + y * sin_roll) / head.scale
    q = (y * cos_roll - x * sin_roll) / head.scale

    below = np.maximum(q, 0.0)
    width = head.width * (1.0 - head.taper * below * below)
    width = np.maximum(width, 0.2)
    # The jaw lies in front of the neck: it swings further to the side that the face looks to.
    s = (p - 0.22 * sin_yaw * below * below) / width
    t = np.where(q > 0, q / (head.chin + chin_growth), q / CROWN)
    tt = t * t
    rise = np.where(q > 0, tt * (1.0 + head.square * (tt - 1.0)), tt * (0.72 + 0.28 * tt))
    around = s * s + rise
    z = np.sqrt(np.maximum(1.0 - around, 0.0))
    turned = s * cos_yaw - z * sin_yaw
    front = z * cos_yaw + s * sin_yaw
    # Past the ears u goes on growing, round the head.
    radius = np.sqrt(s * s + z * z)
    turned = np.where(front < 0, np.sign(s) * (2.0 * radius - np.abs(turned)), turned)
    return Surface(
        step=step,
        p=p,
        q=q,
        s=s,
        t=t,
        z=z,
        u=width * turned,
        v=TALL * q * cos_pitch - 0.7 * z * sin_pitch,
        front=front,
        distance=(np.sqrt(around) - 1.0) * 0.62,
        sin_yaw=sin_yaw,
    )
