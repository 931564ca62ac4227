"""What a checkpoint holds of PyTorch's modules and optimisers, as arrays."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn


class ModuleState:
    """Parameters and buffers."""

    def __init__(self, module: nn.Module) -> None:
        self._module = module

    def state_dict(self) -> dict[str, np.ndarray]:
        return {name: _array(tensor) for name, tensor in self._module.state_dict().items()}

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from a state; ValueError where it does not fit."""
        expected = {name: _array(tensor) for name, tensor in self._module.state_dict().items()}
        _check(expected, state)
        self._module.load_state_dict({name: torch.from_numpy(a) for name, a in state.items()})


class OptimizerState:
    """Adam's moments, by the parameters' numbers: "3.exp_avg"."""

    def __init__(self, optimiser: torch.optim.Adam) -> None:
        self._optimiser = optimiser

    def state_dict(self) -> dict[str, np.ndarray]:
        return {
            f"{number}.{name}": _array(tensor)
            for number, moments in self._optimiser.state_dict()["state"].items()
            for name, tensor in moments.items()
        }

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from a state; ValueError where it does not fit."""
        parameters = [p for group in self._optimiser.param_groups for p in group["params"]]
        expected = {
            f"{number}.{name}": np.zeros(() if name == "step" else tuple(p.shape), np.float32)
            for number, p in enumerate(parameters)
            for name in ("step", "exp_avg", "exp_avg_sq")
        }
        if not state:  # of a run that was stopped before its first step
            return
        _check(expected, state)
        moments: dict[int, dict[str, Tensor]] = {}
        for name, array in state.items():
            number, _, kind = name.partition(".")
            moments.setdefault(int(number), {})[kind] = torch.from_numpy(array)
        whole = self._optimiser.state_dict()
        self._optimiser.load_state_dict({**whole, "state": moments})


def _array(tensor: Tensor) -> np.ndarray:
    return np.array(tensor.detach().cpu().numpy(), order="C")


def _check(expected: Mapping[str, np.ndarray], state: Mapping[str, np.ndarray]) -> None:
    if state.keys() != expected.keys():
        differing = sorted(state.keys() ^ expected.keys())[0]
        raise ValueError(f"{differing} is missing, or is not of this network")
    for name, like in expected.items():
        given = state[name]
        if given.shape != like.shape or given.dtype != like.dtype:
            raise ValueError(f"{name} must be {like.dtype} of shape {like.shape}")
        if not np.isfinite(given).all():
            raise ValueError(f"{name} has a number that is not finite")
