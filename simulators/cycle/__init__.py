"""The emulated chip: core images in physical time, network-on-chip, energy."""

from snnc.simulators.cycle.result import CycleResult
from snnc.simulators.cycle.run import run

__all__ = ["CycleResult", "run"]
