"""The readable definition of truth: plain NumPy, no cleverness, no speed."""

from snnc.simulators.reference.integer import run

__all__ = ["run"]
