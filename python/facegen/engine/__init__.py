"""Devices, and the runner that feeds them batches."""

from facegen.engine.devices import Device, parse_device
from facegen.engine.runner import Runner

__all__ = ["Device", "Runner", "parse_device"]
