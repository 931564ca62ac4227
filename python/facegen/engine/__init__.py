"""Devices, and the runner that feeds them batches."""

from facegen.engine.device import Device
from facegen.engine.devices import parse_device
from facegen.engine.foreign import library_of
from facegen.engine.runner import Runner

__all__ = ["Device", "Runner", "library_of", "parse_device"]
