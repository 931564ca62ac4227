from __future__ import annotations

import numpy as np
import pytest

from facegen.networks import NETWORKS
from facegen.weights import digest, network_bin


@pytest.mark.parametrize("name", NETWORKS)
def test_the_layout_covers_the_graph(name: str) -> None:
    network = NETWORKS[name]
    assert network.name == name
    if network.binary_layout is not None:
        used = [entry for entry in network.binary_layout if entry.constant is None]
        assert {entry.name: entry.shape for entry in used} == network.shapes


SIZES = {"dcgan": 20_549_132, "colorizer": 128_964_012, "pix2pix": 217_725_452}


@pytest.mark.parametrize(("name", "size"), SIZES.items())
def test_size_of_network_bin(name: str, size: int) -> None:
    assert network_bin.size_bytes(NETWORKS[name].binary_layout) == size


@pytest.mark.parametrize("name", NETWORKS)
def test_seeded_weights(name: str) -> None:
    network = NETWORKS[name]
    weights = network.initial_weights(3)
    assert {key: values.shape for key, values in weights.items()} == network.shapes
    assert all(values.dtype == np.float32 for values in weights.values())
    assert digest(weights) == digest(network.initial_weights(3))
    assert digest(weights) != digest(network.initial_weights(4))


def test_seeded_weights_are_the_same_on_every_machine() -> None:
    weights = NETWORKS["dcgan"].initial_weights(0)
    assert digest(weights) == "ad61879da8ddd52bc9f2a93a0b52a00c65b407f7a4fe72859b12cbfbadb9d7d3"


@pytest.mark.parametrize("name", NETWORKS)
def test_the_model_is_the_class_that_is_listed(name: str) -> None:
    network = NETWORKS[name]
    assert network in network.model.networks()
    assert all(other.model is network.model for other in network.model.networks())
