"""The fast functional simulator: logical time, spike by spike equal to the reference."""

from snnc.simulators.functional.simulator import Functional, FunctionalResult, run

__all__ = ["Functional", "FunctionalResult", "run"]
