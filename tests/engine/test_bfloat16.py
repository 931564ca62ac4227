"""Precision "bfloat16": on processors with AMX, and refused elsewhere."""

from __future__ import annotations

import numpy as np
import pytest

from facegen import _native
from facegen.engine import Runner
from facegen.errors import DeviceError
from facegen.networks import dcgan
from facegen.nn import lower

HAS_BFLOAT16 = bool(_native.available_isas("bfloat16"))
needs_amx = pytest.mark.skipif(not HAS_BFLOAT16, reason="this processor has no AMX")


def faces(precision: str, count: int = 2) -> tuple[Runner, np.ndarray]:
    runner = Runner(
        lower(dcgan.graph(), dcgan.initial_weights(0)), "cpu", threads=2, precision=precision
    )
    return runner, runner(dcgan.latents(range(count)).reshape(-1, 1, 1, dcgan.LATENT))


@needs_amx
def test_beside_float32_in_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FACEGEN_ISA", raising=False)
    runner, rounded = faces("bfloat16")
    _, exact = faces("strict")
    error = np.sqrt(np.mean((rounded - exact) ** 2) / np.mean(exact**2))
    assert runner.isa == "amx_bfloat16"
    assert 1e-4 < error < 2e-2  # a few layers of 2.4e-3 each
    _, again = faces("float32")
    assert np.sqrt(np.mean((again - exact) ** 2) / np.mean(exact**2)) < 2e-6


@needs_amx
def test_batch_equals_its_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FACEGEN_ISA", raising=False)
    _, few = faces("bfloat16", 2)
    _, many = faces("bfloat16", 5)
    np.testing.assert_array_equal(many[:2], few)


def test_other_instruction_sets_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEGEN_ISA", "portable")
    said = "expected amx" if HAS_BFLOAT16 else "needs a processor with AMX"
    with pytest.raises(DeviceError, match=said):
        faces("bfloat16")


def test_no_such_precision() -> None:
    with pytest.raises(ValueError, match="float32, strict and bfloat16, not float16"):
        _native.available_isas("float16")
