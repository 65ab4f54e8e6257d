"""Networks, programs and traces as files of other tools."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from snnc.api.arguments import AnyPath
from snnc.results import ExportResult, TraceResult

if TYPE_CHECKING:
    from snnc.compiler.options import CompileOptions
    from snnc.ir.deployment import Deployment
    from snnc.ir.integer_network import IntegerNetwork
    from snnc.ir.network import Network


def export(
    model: AnyPath | Network | IntegerNetwork | Deployment,
    to: str,
    output: AnyPath,
    options: Any = None,
    *,
    reading: CompileOptions | None = None,
) -> ExportResult:
    """Write a network or a compiled program as a file of another tool.

    Args:
        model: model file, artifact, or a network in memory.
        to: a format of ``snnc.exporting.FORMATS``: "lava", "netx", "nir" or "onnx".
        output: the file to write.
        options: the format's options, e.g. ``NirExportOptions``; None takes their defaults.
        reading: how a model file is read, e.g. its dialect.

    Raises:
        SnncError: what the format cannot say, or what is wrong with model, options or output.
    """
    from snnc import exporting
    from snnc.compiler.options import CompileOptions

    given = Path(model) if isinstance(model, str | Path) else model
    source = exporting.Source(given, reading or CompileOptions())
    return exporting.export(source, to, Path(output), options)


def export_nir(
    network: AnyPath | Network,
    path: AnyPath,
    *,
    reader: str = "auto",
    dt: float | None = None,
    precision: Literal["exact", "float32"] = "exact",
    approximate: tuple[str, ...] = (),
    reading: CompileOptions | None = None,
) -> ExportResult:
    """Write a network as a NIR file; docs/nir.md says what NIR cannot hold.

    Args:
        network: model file, or a network in memory.
        path: the ``.nir`` file to write.
        reader, dt, precision, approximate: see ``NirExportOptions``.
        reading: how a model file is read.

    Raises:
        SnncError: as ``export``.
    """
    from snnc.compiler.exporters.nir import NirExportOptions

    options = NirExportOptions(reader, dt, precision, approximate)
    return export(network, "nir", path, options, reading=reading)


def export_onnx(
    model: AnyPath | Network, path: AnyPath, options: CompileOptions | None = None
) -> ExportResult:
    """Write a spiking network as ONNX: one time step with explicit state (docs/onnx-stateful.md).

    Args:
        model: a model file that snnc reads as a real network, or such a network.
        path: ``.onnx`` file to write.
        options: what the model file does not say.

    Raises:
        UnsupportedError: a model of integers, or a weight that ONNX cannot hold.
        SnncError: the model cannot be read, or the file not written.
        MissingPackageError: the package ``onnx`` is not installed.
    """
    return export(model, "onnx", path, reading=options)


def convert_trace(trace: AnyPath, to: str, output: AnyPath) -> TraceResult:
    """Write a trace that ``run`` recorded (``.h5``) in another format.

    Args:
        trace: recorded by the cycle simulator.
        to: "perfetto", for ui.perfetto.dev and chrome://tracing.
        output: the file to write.

    Raises:
        SnncError: no such trace, a damaged one, or an output that cannot be written.
    """
    from snnc.recorded_traces import convert

    return convert(Path(trace), to, Path(output))
