"""Frames as a GIF (Pillow), an MP4 (PyAV, extra `[video]`) or raw RGB24 for a pipe."""

from __future__ import annotations

import io
import os
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from facegen import extras
from facegen.errors import FacegenError, FormatError
from facegen.files.atomic import AtomicFile
from facegen.files.standard import is_stream, output_file

Frames = NDArray[np.uint8]  # (n, height, width, 3), RGB


def enlarge(frames: Frames, factor: int) -> Frames:
    """Each frame `factor` times as high and wide, by bicubic interpolation."""
    from PIL import Image

    if factor == 1:
        return frames
    size = frames.shape[2] * factor, frames.shape[1] * factor
    larger = [Image.fromarray(f).resize(size, Image.Resampling.BICUBIC) for f in frames]
    return np.stack([np.asarray(image) for image in larger])


def writer(path: str) -> Callable[[Frames, float], bytes]:
    """What encodes frames at a rate in frames a second, by the path's extension.

    '-', a device or a pipe without one gets raw frames.

    Raises
    ------
    FormatError
        Another extension.
    FacegenError
        An .mp4 without PyAV.
    """
    extension = os.path.splitext(path)[1].lower()
    if extension not in _WRITERS and is_stream(path):
        extension = ".rgb"
    if extension not in _WRITERS:
        raise FormatError(f"{path}: expected a name in {', '.join(_WRITERS)}, or - for raw frames")
    if extension == ".mp4":
        try:
            import av  # noqa: F401
        except ImportError:
            raise FacegenError(
                f"{path}: MP4 needs PyAV, which is missing: {extras.install('video')}"
            ) from None
    return _WRITERS[extension]


def save(path: str, frames: Frames, rate: float) -> None:
    """Encode frames and write them; the file appears when it is complete."""
    data = writer(path)(frames, rate)
    with AtomicFile(output_file(path)) as file:
        file.write(data)


def _gif(frames: Frames, rate: float) -> bytes:
    from PIL import Image

    # One palette for all frames: colours would flicker with one a frame. It is taken from a sample
    # of the pixels of all of them.
    sample = frames.reshape(-1, 3)
    sample = sample[:: max(1, len(sample) // 200_000)]
    palette = Image.fromarray(sample[np.newaxis]).quantize(256, Image.Quantize.MEDIANCUT)
    images = [
        Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)
        for frame in frames
    ]
    data = io.BytesIO()
    milliseconds = max(20, round(1000 / rate / 10) * 10)  # GIF counts hundredths; 2 is the least
    images[0].save(
        data, "GIF", save_all=True, append_images=images[1:], duration=milliseconds, loop=0,
        optimize=False,
    )
    return data.getvalue()


def _mp4(frames: Frames, rate: float) -> bytes:
    from fractions import Fraction

    import av

    data = io.BytesIO()
    with av.open(data, "w", format="mp4") as container:
        stream = container.add_stream("h264", rate=Fraction(rate).limit_denominator(1000))
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return data.getvalue()


def _raw(frames: Frames, rate: float) -> bytes:
    return np.ascontiguousarray(frames).tobytes()


_WRITERS: dict[str, Callable[[Frames, float], bytes]] = {".gif": _gif, ".mp4": _mp4, ".rgb": _raw}
