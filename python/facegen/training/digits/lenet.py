"""The digit classifier in PyTorch: the layers of `facegen.networks.lenet`, to be trained."""

from __future__ import annotations

import numpy as np
from torch import Tensor, nn
from torch.nn import functional

from facegen.networks.lenet import CHANNELS, DIGITS, HIDDEN, KERNEL

_SIDE = 4  # of the last map


class LeNet(nn.Module):
    """Images (n, 1, 28, 28) from 0 to 1 -> scores (n, 10), before the softmax.

    Parameters
    ----------
    dropout
        Share of the hidden values that a step of training leaves out (Srivastava et al. 2014).
    """

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = dropout
        self.conv1 = nn.Conv2d(1, CHANNELS[0], KERNEL)
        self.conv2 = nn.Conv2d(*CHANNELS, KERNEL)
        self.hidden = nn.Linear(_SIDE * _SIDE * CHANNELS[1], HIDDEN)
        self.score = nn.Linear(HIDDEN, DIGITS)

    def forward(self, images: Tensor) -> Tensor:
        x = functional.max_pool2d(functional.relu(self.conv1(images)), 2)
        x = functional.max_pool2d(functional.relu(self.conv2(x)), 2)
        x = functional.relu(self.hidden(x.permute(0, 2, 3, 1).flatten(1)))  # (h, w, c) order
        return self.score(functional.dropout(x, self.dropout, self.training))

    def canonical(self) -> dict[str, np.ndarray]:
        """Canonical weights of `facegen.networks.lenet`, float32."""
        return {name: _to_canonical(tensor) for name, tensor in self.named_parameters()}


def _to_canonical(tensor: Tensor) -> np.ndarray:
    values = tensor.detach().float().cpu()
    if values.ndim == 4:  # PyTorch's (out, in, kh, kw) -> (out, kh, kw, in)
        values = values.permute(0, 2, 3, 1)
    return np.array(values.numpy(), order="C")  # a copy: training may go on
