"""The functions of ``import snnc``, one per command.

Whatever takes long to import (NumPy, Numba, OR-Tools, the records) is imported inside the functions
that need it, so that ``import snnc``, ``snnc --help`` and ``snnc report`` start at once.
"""

from snnc.api.compiling import compile
from snnc.api.exporting import convert_trace, export, export_nir, export_onnx
from snnc.api.installing import demo, doctor, setup
from snnc.api.looking import check, inspect, report, targets
from snnc.api.running import compare, run, stream, verify

__all__ = [
    "check",
    "compare",
    "compile",
    "convert_trace",
    "demo",
    "doctor",
    "export",
    "export_nir",
    "export_onnx",
    "inspect",
    "report",
    "run",
    "setup",
    "stream",
    "targets",
    "verify",
]
