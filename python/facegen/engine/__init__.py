"""Devices, and the runner that feeds them batches."""

from facegen.engine.device import Device
from facegen.engine.devices import parse_device
from facegen.engine.runner import Runner

__all__ = ["Device", "Runner", "parse_device"]
