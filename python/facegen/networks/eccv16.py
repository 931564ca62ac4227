"""The colorizer of PyTorch's own layers: what our kernels are compared with.

Its modules are numbered as in the published checkpoint, so that ``state_dict`` has those names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from facegen import extras
from facegen.errors import FacegenError
from facegen.networks.colorizer import AB_SCALE, BINS, BLOCKS, COLORIZER, DILATED


class Eccv16:
    """The network in PyTorch, on the CPU.

    Parameters
    ----------
    weights
        Canonical.
    dtype
        "float32" or "float64".

    Raises
    ------
    FacegenError
        PyTorch is not installed.
    """

    def __init__(self, weights: Mapping[str, np.ndarray], dtype: str = "float32") -> None:
        try:
            import torch
        except ImportError:
            raise FacegenError(
                f"this needs PyTorch, which is missing: {extras.install('torch')}"
            ) from None
        self._torch = torch
        self._dtype = getattr(torch, dtype)
        self.module = _modules(torch.nn)
        self.module.load_state_dict(state_dict(weights), strict=False)
        self.module.to(self._dtype).eval()

    def predict_ab(self, L: np.ndarray) -> np.ndarray:
        """(n, side, side) of L to (n, 2, side, side) of a and b."""
        torch, functional = self._torch, self._torch.nn.functional
        with torch.inference_mode():
            x = torch.from_numpy(np.ascontiguousarray(L)).to(self._dtype)[:, None]
            x = (x - 50) / 100
            for block in range(1, 9):
                x = self.module[f"model{block}"](x)
            x = self.module["model_out"](x.softmax(1))
            x = functional.interpolate(x, scale_factor=4, mode="bilinear", align_corners=False)
            return (x * AB_SCALE).numpy()


def state_dict(weights: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Canonical weights under the names and in the layouts of the checkpoint."""
    import torch

    state = {}
    for name, entry in COLORIZER.foreign["pytorch"].items():
        values = weights[entry.name].transpose(np.argsort(entry.axes))
        state[name] = torch.from_numpy(np.ascontiguousarray(values))
    return state


def _modules(nn: Any) -> Any:
    """Blocks 1 to 8 and model_out; the softmax and what follows have no parameters."""
    blocks = {}
    channels = 1
    for block, (widths, stride) in enumerate(BLOCKS, start=1):
        dilation = 2 if block in DILATED else 1
        layers: list[Any] = []
        for i, width in enumerate(widths, start=1):
            step = stride if i == len(widths) else 1
            layers.append(nn.Conv2d(channels, width, 3, step, dilation, dilation))
            layers.append(nn.ReLU())
            channels = width
        blocks[f"model{block}"] = nn.Sequential(*layers, nn.BatchNorm2d(channels))
    blocks["model8"] = nn.Sequential(
        nn.ConvTranspose2d(channels, 256, 4, 2, 1),
        nn.ReLU(),
        nn.Conv2d(256, 256, 3, 1, 1),
        nn.ReLU(),
        nn.Conv2d(256, 256, 3, 1, 1),
        nn.ReLU(),
        nn.Conv2d(256, BINS, 1),
    )
    blocks["model_out"] = nn.Conv2d(BINS, 2, 1, bias=False)
    return nn.ModuleDict(blocks)
