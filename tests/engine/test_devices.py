"""Device strings, and what is said where a GPU is not usable. No GPU needed."""

from __future__ import annotations

import subprocess
import sys

import pytest

from facegen import kernels
from facegen.engine import Device, parse_device
from facegen.engine.devices import why_no_cuda
from facegen.errors import DeviceError


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


def test_cpu():
    assert parse_device("cpu") == Device("cpu") and str(Device("cpu")) == "cpu"


@pytest.mark.parametrize("text", ["", "gpu", "cuda:", "cuda:x", "cuda:0,", "cuda:-1", "cpu:0"])
def test_other_texts_are_refused(text):
    with pytest.raises(DeviceError, match='device must be "auto", "cpu", "cuda"'):
        parse_device(text)


def test_auto_falls_back(no_gpu):
    assert parse_device("auto") == Device("cpu")


@pytest.mark.parametrize("text", ["cuda", "cuda:0", "cuda:1,0", "all"])
def test_an_explicit_gpu_never_falls_back(text, no_gpu):
    with pytest.raises(DeviceError, match=f"device '{text}': .+") as raised:
        parse_device(text)
    assert str(raised.value).endswith(why_no_cuda())


def test_the_ops_refuse_too(no_gpu):
    import numpy as np

    with pytest.raises(DeviceError, match="device 'cuda'"):
        kernels.relu(np.zeros((1, 1, 1, 1), np.float32), device="cuda")


def test_computing_on_the_cpu_loads_no_cuda():
    code = (
        "import sys, numpy as np; from facegen import kernels;"
        "kernels.relu(np.zeros((1, 1, 1, 1), np.float32), device='cpu');"
        "sys.exit('facegen._cuda' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_cuda_module_that_is_gone(monkeypatch):
    """A damaged installation says so; "auto" is the CPU."""
    monkeypatch.setattr("facegen._native.WHY_NO_CUDA", "")
    monkeypatch.setitem(sys.modules, "facegen._cuda", None)
    monkeypatch.delattr("facegen._cuda", raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert "the CUDA engine cannot be loaded, install again" in why_no_cuda()
    assert parse_device("auto").kind == "cpu"
