"""Spiking networks in ONNX: one time step with explicit state, operators of the domain ``snnc``.

``docs/onnx-stateful.md`` is the definition of the operators, version 1.
"""

from snnc.compiler.frontends.onnx.stateful.build import lower
from snnc.compiler.frontends.onnx.stateful.export import export, model_proto

__all__ = ["export", "lower", "model_proto"]
