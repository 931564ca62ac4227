"""ICC colour profiles: pictures become sRGB for the networks, and go back to their own space.

Only RGB profiles go back: a result in colour cannot carry a profile for grey or for printing inks.
"""

from __future__ import annotations

import io

from PIL import Image, ImageCms

_SPACES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK", "LAB": "LAB"}  # ICC's name -> Pillow's mode


def to_srgb(image: Image.Image, profile: bytes) -> tuple[Image.Image, bytes | None]:
    """Convert from the space that the profile describes.

    A profile that is damaged, or not for pictures of this mode, is ignored, as browsers do.

    Returns
    -------
    The picture, and the profile that results of it should get: the picture's own where it is one
    of RGB, else None, which means sRGB.
    """
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        mode = _SPACES.get(source.profile.xcolor_space.strip())
        if mode == "RGB" and image.mode in ("1", "L", "P"):
            image = image.convert("RGB")  # grey in the space of the profile
        if image.mode != mode:
            return image, None
        if mode == "RGB" and _is_srgb(source):
            return image, profile
        srgb = ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, source, srgb, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image, None
    assert converted is not None  # it is None where converted in place alone
    return converted, profile if mode == "RGB" else None


def from_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """A picture in mode RGB, sRGB, to the RGB space of the profile that `to_srgb` returned."""
    target = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    if _is_srgb(target):
        return image
    converted = ImageCms.profileToProfile(image, ImageCms.createProfile("sRGB"), target)
    assert converted is not None
    return converted


def _is_srgb(profile: ImageCms.ImageCmsProfile) -> bool:
    """By its name: converting from one flavour of sRGB to another only costs a rounding."""
    return "srgb" in (profile.profile.profile_description or "").lower()
