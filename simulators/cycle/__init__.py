"""The emulated chip: core images in physical time, network-on-chip, energy."""

from snnc.simulators.cycle.chip import Loaded
from snnc.simulators.cycle.result import CycleResult
from snnc.simulators.cycle.run import load, run

__all__ = ["CycleResult", "Loaded", "load", "run"]
