"""Fixtures of the trainer's tests; those of PyTorch's parts skip where it is missing."""

from __future__ import annotations

import os

# Small networks on a busy machine: threads that wait for each other cost more than they bring.
os.environ.setdefault("OMP_NUM_THREADS", "1")
