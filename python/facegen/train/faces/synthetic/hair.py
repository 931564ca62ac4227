"""Hair: an outline around the skull, an opening for the face, and strands with a sheen.

All styles are points of one continuous space: length at the sides, volume, the opening's width and
height, fringe, parting, wave and curl; a bun or a bald head are corners of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from facegen.train.faces.synthetic.draws import Draws
from facegen.train.faces.synthetic.fields import Array, bump, mix, smoothstep, stretch
from facegen.train.faces.synthetic.head import CROWN, Surface
from facegen.train.faces.synthetic.light import Light, diffuse, normals
from facegen.train.faces.synthetic.traits import Traits


@dataclass(frozen=True)
class Hair:
    """Every field is (n, 1, 1, 1) unless said otherwise."""

    length: Array
    """How far down the sides, in q: 0 to the ear's top, 0.85 the chin, 1.4 past the picture."""
    top_volume: Array
    side_volume: Array
    opening: Array
    """Half the width of the bare face."""
    fringe: Array
    hairline: Array
    """How high above the eyes hair begins."""
    sweep: Array
    part: Array
    peak: Array
    lean: Array
    """How far the top hangs over to one side."""
    flare: Array
    wave: Array
    curl: Array
    ragged: Array
    bun: Array
    bald: Array
    sheen: Array
    wisps: Array
    """How soft its edges are, in pixels."""
    colour: Array
    """(n, 3, 1, 1)."""
    phases: Array
    """(n, 8, 1, 1) of the strands."""
    tufts: Array
    """(n, 1, 26, 26)."""
    locks: Array
    """(n, 1, 5, 12)."""

    @classmethod
    def draw(cls, draws: Draws, traits: Traits) -> Hair:
        male, age = traits.male, traits.age
        tight = 0.75 * draws.uniform() + 0.55 * traits.melanin * draws.uniform()
        curl = smoothstep(0.25, 0.95, tight)
        reach = draws.uniform()
        female_length = mix(0.15, 1.6, smoothstep(0.0, 0.75, reach)) - 0.45 * age * draws.uniform()
        male_length = 0.0 + 0.16 * draws.uniform() + 0.9 * smoothstep(0.88, 1.0, reach)
        length = mix(female_length, male_length, smoothstep(0.35, 0.65, male))
        long = smoothstep(0.15, 0.8, length)
        tied = draws.chance(0.16 * (1 - male))
        long = long * (1 - tied)
        length = mix(length, 0.12, tied)
        balding = smoothstep(0.45, 1.0, male * (0.35 + 0.75 * age) + draws.normal(0, 0.22)) * male
        cropped = draws.uniform() ** 2 * male * (1 - long)
        fringe = draws.chance(0.12 + 0.2 * long * (1 - male)) * draws.uniform(0.4, 1.0)
        hairline = draws.normal(0.53, 0.03) + 0.02 * male - 0.22 * fringe + 0.13 * balding
        rise = draws.uniform(0.05, 0.15) + 0.10 * curl * draws.uniform()
        sides = draws.uniform(0.015, 0.05) + long * draws.uniform(0.06, 0.22)
        return cls(
            length=length,
            top_volume=rise * (1 - 0.75 * np.maximum(cropped, balding)) * (1 - 0.4 * tied),
            side_volume=sides + 0.09 * curl * (1 - cropped) * (1 - tied) - 0.012 * balding,
            opening=mix(draws.normal(0.568, 0.010), draws.normal(0.52, 0.02), long),
            fringe=fringe,
            hairline=hairline,
            sweep=draws.normal(0, 0.20) * (1 - 0.6 * cropped),
            part=draws.normal(0, 0.16),
            lean=draws.normal(0, 0.35) * rise * (1 - cropped),
            peak=draws.uniform(-0.02, 0.045) * (1 - fringe),
            flare=draws.normal(0.06, 0.06) * long,
            wave=draws.uniform() ** 2 * 0.10 * (0.3 + long),
            curl=curl,
            ragged=draws.uniform(0.01, 0.035) + 0.025 * long + 0.012 * curl,
            bun=tied * draws.chance(0.6) * draws.uniform(0.14, 0.24),
            bald=smoothstep(0.75, 1.0, balding),
            sheen=draws.uniform(0.25, 1.0) * (1 - 0.6 * curl),
            wisps=draws.uniform(0.8, 1.6),
            colour=traits.hair_colour,
            phases=draws.grid(1, 1, 8) * 2.5,
            tufts=draws.grid(26, 26),
            locks=draws.grid(5, 12),
        )


@dataclass(frozen=True)
class HairShape:
    """Every field is (n, 1, size, size)."""

    behind: Array
    """Cover behind face and neck."""
    front: Array
    """Cover over the face and what is beside it."""
    shadow: Array
    """The soft shadow of the hair on the skin."""
    texture: Array
    """Strands, about -1..1."""
    relief: tuple[Array, Array, Array]


def hair_shape(hair: Hair, at: Surface, light: Light, soft: float) -> HairShape:
    p, q = at.p, at.q
    size = p.shape[-1]
    tufts = stretch(hair.tufts, size)
    locks = stretch(hair.locks, size)

    # The outline: the skull, swollen, and below the temples straight down with a wave.
    half_width = 0.60 + hair.side_volume
    sway = hair.wave * np.sin(q * 7.0 + hair.phases[:, :1]) + 0.03 * locks
    above = q / (CROWN + hair.top_volume)
    below = np.maximum(q - 0.1, 0.0)
    width = half_width + hair.flare * below + sway * below
    top = np.where(q < 0, above * np.sqrt(0.72 + 0.28 * above * above), 0.0)
    rough = (0.010 + 0.030 * hair.curl) * tufts + 0.2 * hair.top_volume * locks * smoothstep(
        0.1, -0.3, q
    )
    s = (p - hair.lean * smoothstep(0.1, -0.8, q)) / width
    round_top = s * s + top * top
    outside = (np.sqrt(round_top) - 1.0) * 0.65 + rough + 0.008 * locks
    ends = hair.length + 0.05 * locks + hair.ragged * tufts
    # Short hair lies closer the lower it reaches; long hair hangs.
    ends = ends - mix(1.8, 0.25, smoothstep(0.1, 0.6, hair.length)) * np.maximum(
        np.abs(p) - 0.57, 0
    )
    # Short hair fades out towards the ears; long hair is cut.
    outside = np.maximum(outside, (q - ends) * mix(0.3, 0.7, smoothstep(0.1, 0.4, hair.length)))
    bun = np.sqrt(p * p + (q + CROWN + 0.04) ** 2) - hair.bun + rough
    wisp = soft * hair.wisps
    cover = smoothstep(wisp, -wisp, outside)
    behind = np.maximum(cover, smoothstep(soft, -soft, bun) * (hair.bun > 0.01))

    # The opening: an arch around the face, open below; strands make its edge uneven.
    v = at.v
    u = mix(at.u, p, smoothstep(0.0, 0.06, at.distance))
    line = hair.hairline - hair.sweep * u + hair.peak * (0.5 - 1.5 * bump(u / 0.16))
    strands = _strands(hair, at, width, tufts, locks)
    edge = hair.ragged * (0.45 * strands + 0.5 * tufts)
    open_width = hair.opening + hair.flare * np.maximum(v, 0.0)
    open_width = open_width + 0.5 * sway * smoothstep(0.0, 0.3, v)
    rise = np.where(v < 0.05, (v - 0.05) / (line + 0.05), 0.0)
    au = u / open_width
    face = (np.sqrt(au * au + rise * rise * (0.75 + 0.25 * rise * rise)) - 1.0) * 0.55 + edge
    front = cover * smoothstep(-1.5 * wisp, 2.2 * wisp, face + 0.5 * wisp * strands)
    front = front * (1.0 - hair.bald * smoothstep(0.12, -0.05, q + 0.25))
    cast = smoothstep(-0.11, 0.03, face) * (1.0 - 0.8 * hair.bald)
    cast = cast * smoothstep(0.12, -0.05, v - np.maximum(hair.length, 0.0))

    z = np.sqrt(np.maximum(1.0 - np.minimum(round_top, 1.0), 0.0)) + 0.12
    return HairShape(behind, front, cast, strands, (s, top * 0.9 + 0.1, z))


def _strands(hair: Hair, at: Surface, width: Array, tufts: Array, locks: Array) -> Array:
    """Strands run like meridians from the crown; curls break them up."""
    q = at.q
    lift = np.clip((q + CROWN + 0.15) / (CROWN + 0.15), 0.0, 1.0)
    spread = np.sqrt(lift * (2.0 - lift)) * 0.72 + 0.3
    c = (at.p - hair.part * (1.0 - lift)) / (width * spread)
    c = c + (0.5 * hair.wave + 0.01) * np.sin(q * 9.0 + hair.phases[:, 1:2]) + 0.02 * tufts
    c = c + 0.8 * hair.sweep * q + 0.05 * locks
    total = np.zeros_like(c)
    for k, (frequency, weight) in enumerate(((7.0, 0.35), (17.0, 0.4), (31.0, 0.35), (53.0, 0.3))):
        phase = hair.phases[:, 2 + k : 3 + k]
        total += weight * np.sin(frequency * c + phase + (0.6 + 0.3 * k) * q + 0.7 * locks)
    return mix(total, 0.55 * tufts + 0.3 * total, hair.curl)


def shade_hair(hair: Hair, shape: HairShape, at: Surface, light: Light) -> Array:
    """Radiance of hair (n, 3, size, size): matt light, and a ring of sheen across the strands."""
    x, y, z = shape.relief
    rough = shape.texture * (0.10 + 0.16 * hair.curl)
    n = normals(1.1 * x + rough * 0.8, y + rough * 0.5, 0.85 * z)
    matt = diffuse(light, n, np.zeros((1, 3, 1, 1), np.float32), 0.0)
    tone = hair.colour * (1.0 + 0.30 * shape.texture)
    ring = bump((n.y - 0.75 * light.y + 0.05) / 0.22) * np.maximum(n.x * light.x + n.z, 0.0)
    glow = 0.8 * hair.sheen * ring * (0.55 + 0.45 * shape.texture) * light.key
    # Little light reaches the hair beside neck and jaw.
    p, q = np.abs(at.p), at.q
    tone = tone * (1.0 - 0.5 * bump((p - 0.45) / 0.16) * smoothstep(0.1, 0.7, q))
    return np.maximum(tone, 0.0) * matt + glow * (0.6 * hair.colour + 0.022)
