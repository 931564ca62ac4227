"""The models as callable classes of Ray Data: one a worker, made there."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from facegen.networks.dcgan import Generator, initial_weights, latents

ray = pytest.importorskip("ray", reason="Ray is not installed")


class Faces:
    def __init__(self, weights: dict[str, np.ndarray]) -> None:
        self.generator = Generator(weights, device="cpu", threads=1)

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"index": batch["index"], "face": self.generator(batch["latent"])}


def test_map_batches() -> None:
    weights = initial_weights(1)
    values = latents(range(10))
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        runtime_env={"env_vars": {"PYTHONPATH": path}},
    )
    try:
        data = ray.data.from_items([{"index": i, "latent": v} for i, v in enumerate(values)])
        mapped = data.map_batches(
            Faces, fn_constructor_args=(weights,), concurrency=2, batch_size=4
        )
        rows = sorted(mapped.take_all(), key=lambda row: row["index"])
    finally:
        ray.shutdown()
    expected = Generator(weights, device="cpu")(values)
    np.testing.assert_array_equal(np.stack([row["face"] for row in rows]), expected)
