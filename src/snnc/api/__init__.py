"""The functions of ``import snnc``, one per command.

Heavy libraries (Numba, OR-Tools) are imported inside the functions that need them, so that
``import snnc``, ``snnc --help`` and ``snnc report`` start at once.
"""

from snnc.api.compiling import compile
from snnc.api.exporting import convert_trace, export, export_nir, export_onnx
from snnc.api.installing import demo, doctor, setup
from snnc.api.looking import check, inspect, report, targets
from snnc.api.running import COMPARED, compare, run, stream, verify

__all__ = [
    "COMPARED",
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
