from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from facegen import Generator
from facegen.networks import NETWORKS
from facegen.weights import write


@pytest.fixture(scope="session")
def weights() -> dict[str, np.ndarray]:
    return NETWORKS["dcgan"].initial_weights(5)


@pytest.fixture(scope="session")
def network_bin(tmp_path_factory: pytest.TempPathFactory, weights: dict[str, np.ndarray]) -> Path:
    path = tmp_path_factory.mktemp("dcgan") / "network.bin"
    write(path, NETWORKS["dcgan"], weights)
    return path


@pytest.fixture(scope="session")
def generator(weights: dict[str, np.ndarray]) -> Generator:
    return Generator(weights, device="cpu")
