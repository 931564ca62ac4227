"""Colour spaces: pictures become sRGB for the networks, and go back to that of their ICC profile.

Only RGB profiles go back: a result in colour cannot carry a profile for grey or for printing inks.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from facegen.colour import icc

_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK", "LAB": "LAB"}  # of ICC's spaces
_ALIKE = {"RGB": ("1", "L", "P", "YCbCr"), "GRAY": ("1",)}  # modes that become a space's mode first

# PNG's cICP, nclx of HEIF and AVIF (ITU-T H.273). High dynamic range is not among them: it takes
# more than a profile.
_CICP_PRIMARIES = {1: icc.SRGB_PRIMARIES, 9: icc.BT2020_PRIMARIES, 12: icc.P3_PRIMARIES}
_CICP_CURVES = {4: icc.power(2.2), 5: icc.power(2.8), 8: icc.power(1.0), 13: icc.SRGB_CURVE}

_SAME_LEVELS = 2  # of 255: flavours of sRGB differ by so much, and to convert costs a rounding


def to_srgb(
    image: Image.Image, info: Mapping[str, Any]
) -> tuple[Image.Image, bytes | None]:
    """Convert from the space that the file says.

    A profile that is damaged, or not for pictures of this mode, is ignored, as browsers do.

    Parameters
    ----------
    info
        As `Image.info`, with "cicp" for PNG's chunk of that name, and "nclx_profile" as pillow-heif
        has it.

    Returns
    -------
    The picture, and the profile that results of it should get: the picture's own where it is one
    of RGB that can be converted to, else None, which means sRGB.
    """
    for profile, own in _described(info):
        converted = _converted(image, profile)
        if converted is not None:
            return converted, profile if own and _takes(profile) else None
    return image, None


def from_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """A picture in mode RGB, sRGB, to the RGB space of the profile that `to_srgb` returned.

    Raises
    ------
    ValueError
        The profile is no such one.
    """
    try:
        target = _opened(profile)
        if _is_srgb(target):
            return image
        converted = ImageCms.profileToProfile(image, _srgb(), target, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError) as error:
        raise ValueError(f"its colour profile cannot be converted to: {error}") from error
    assert converted is not None  # it is None where converted in place alone
    return converted


def deep_to_srgb(
    values: NDArray[np.uint16], info: Mapping[str, Any]
) -> NDArray[np.uint16] | None:
    """Values, grey (height, width) or (height, width, 3), from the profile that `to_srgb` uses.

    None where it is of RGB and not sRGB's: it is converted from in 8 bits alone.
    """
    for profile, _ in _described(info):
        try:
            source = _opened(profile)
            space = source.profile.xcolor_space.strip()
            if space == "RGB":
                return values if _is_srgb(source) else None
            if space == "GRAY" and values.ndim == 2:
                return _greys(values, source)
        except (ImageCms.PyCMSError, OSError, ValueError):
            continue
    return values


def _greys(values: NDArray[np.uint16], source: ImageCms.ImageCmsProfile) -> NDArray[np.uint16]:
    target = _opened(icc.grey_profile(icc.SRGB_CURVE))
    exact = ImageCms.Flags.NOOPTIMIZE  # else a table of few entries is interpolated
    convert = ImageCms.buildTransform(source, target, "I;16", "I;16", flags=exact)
    converted = ImageCms.applyTransform(Image.fromarray(values), convert)
    assert converted is not None  # it is None where converted in place alone
    return np.array(converted)


def is_srgb(profile: bytes) -> bool:
    """Whether a profile that `to_srgb` returned changes no colour of sRGB's."""
    return _is_srgb(_opened(profile))


def _described(info: Mapping[str, Any]) -> Iterator[tuple[bytes, bool]]:
    """Profiles that say what the colours are, and whether each is the file's own.

    The first that can be used holds (PNG's third edition; in HEIF and AVIF a profile before nclx).
    """
    cicp = info.get("cicp", ())
    if len(cicp) == 4 and cicp[2:] == (0, 1):  # of RGB, in full range
        yield from _numbered(cicp[0], cicp[1])
    profile = info.get("icc_profile")
    if isinstance(profile, bytes) and profile:
        yield profile, True
    nclx = info.get("nclx_profile")
    if isinstance(nclx, Mapping):  # the decoder has undone its matrix and its range
        yield from _numbered(nclx.get("color_primaries"), nclx.get("transfer_characteristics"))
    gamma = info.get("gamma")
    if "srgb" not in info and isinstance(gamma, float) and 0.1 < gamma < 10:
        about_srgb = abs(gamma * 2.2 - 1) < 0.05  # 1 / 2.2 stands for its curve
        curve = icc.SRGB_CURVE if about_srgb else icc.power(1 / gamma)
        for primaries in (info.get("chromaticity"), icc.SRGB_PRIMARIES):
            made = _made(primaries, curve)
            if made is not None:
                yield made, False


def _numbered(primaries: Any, curve: Any) -> Iterator[tuple[bytes, bool]]:
    """The profile of two of H.273's numbers, if they are understood."""
    made = _made(_CICP_PRIMARIES.get(primaries), _CICP_CURVES.get(curve))
    if made is not None:
        yield made, False


def _made(primaries: tuple[float, ...] | None, curve: icc.Curve | None) -> bytes | None:
    return None if primaries is None or curve is None else icc.rgb_profile(primaries, curve)


def _converted(image: Image.Image, profile: bytes) -> Image.Image | None:
    """The picture in sRGB; None where the profile cannot be used for it."""
    try:
        source = _opened(profile)
        space = source.profile.xcolor_space.strip()
        if image.mode in _ALIKE.get(space, ()):
            image = image.convert(_MODES[space])  # grey in the space of the profile
        if image.mode != _MODES.get(space):
            return None
        if space == "RGB" and _is_srgb(source):
            return image
        return ImageCms.profileToProfile(image, source, _srgb(), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None


def _takes(profile: bytes) -> bool:
    """Whether results can be converted to a profile: from some of phones one can only read."""
    try:
        target = _opened(profile)
        if target.profile.xcolor_space.strip() != "RGB":
            return False
        ImageCms.profileToProfile(Image.new("RGB", (1, 1)), _srgb(), target, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        return False
    return True


def _is_srgb(profile: ImageCms.ImageCmsProfile) -> bool:
    """Whether the profile does to colours what sRGB does, whatever its name."""
    colours = _samples()
    converted = ImageCms.profileToProfile(colours, profile, _srgb(), outputMode="RGB")
    difference = np.asarray(converted, np.int16) - np.asarray(colours, np.int16)
    return bool(np.abs(difference).max() <= _SAME_LEVELS)


@cache
def _samples() -> Image.Image:
    """All greys and a cube of colours, in a row."""
    levels = np.arange(256, dtype=np.uint8)
    greys = np.stack([levels] * 3, axis=1)
    steps = levels[::51]
    cube = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 3)
    return Image.fromarray(np.concatenate([greys, cube])[np.newaxis])


def _opened(profile: bytes) -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(io.BytesIO(profile))


def _srgb() -> ImageCms.core.CmsProfile:
    return ImageCms.createProfile("sRGB")
