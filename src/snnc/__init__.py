"""snnc: compile trained spiking neural networks to neuromorphic chips, bit-exactly.

Every command of the ``snnc`` program is a function here: ``compile``, ``run``, ``report``,
``stream``, ``verify``, ``check``, ``inspect``, ``export``, ``compare``, ``targets``, ``doctor``,
``setup``, ``demo``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from snnc.analysing import AnalysisOptions
    from snnc.api import (
        check,
        compare,
        compile,
        convert_trace,
        demo,
        doctor,
        export,
        export_nir,
        export_onnx,
        inspect,
        report,
        run,
        setup,
        stream,
        targets,
        verify,
    )
    from snnc.compiler.finetune import finetune
    from snnc.compiler.frontends.torch import (
        check_neuron,
        export_torch,
        from_torch,
        register_neuron,
    )
    from snnc.compiler.options import CompileOptions
    from snnc.inputs import InputOptions
    from snnc.ir.errors import SnncError
    from snnc.resuming import SaveOptions
    from snnc.streaming import StreamOptions

__all__ = [
    "AnalysisOptions",
    "CompileOptions",
    "InputOptions",
    "SaveOptions",
    "SnncError",
    "StreamOptions",
    "__version__",
    "check",
    "check_neuron",
    "compare",
    "compile",
    "convert_trace",
    "demo",
    "doctor",
    "export",
    "export_nir",
    "export_onnx",
    "export_torch",
    "finetune",
    "from_torch",
    "inspect",
    "register_neuron",
    "report",
    "run",
    "setup",
    "stream",
    "targets",
    "verify",
]

_HOME = {
    "AnalysisOptions": "snnc.analysing",
    "CompileOptions": "snnc.compiler.options",
    "InputOptions": "snnc.inputs",
    "SaveOptions": "snnc.resuming",
    "SnncError": "snnc.ir.errors",
    "StreamOptions": "snnc.streaming",
    "export_torch": "snnc.compiler.frontends.torch",
    "check_neuron": "snnc.compiler.frontends.torch",
    "finetune": "snnc.compiler.finetune",
    "register_neuron": "snnc.compiler.frontends.torch",
    "from_torch": "snnc.compiler.frontends.torch",
}


def __getattr__(name: str) -> Any:
    """Import the public names on first use: ``import snnc`` itself loads nothing heavy."""
    if name not in __all__:
        raise AttributeError(f"module 'snnc' has no attribute {name!r}")
    value = getattr(import_module(_HOME.get(name, "snnc.api")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
