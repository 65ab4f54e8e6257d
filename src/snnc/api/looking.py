"""What is in a model, an artifact, a target description; nothing is compiled or written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snnc.api.arguments import AnyPath
from snnc.ir.errors import ArtifactError, OptionError
from snnc.results import CheckReport, Inspection, Report

if TYPE_CHECKING:
    from snnc.analysing import AnalysisOptions
    from snnc.compiler.options import CompileOptions

REPORT_SCHEMA = "snnc-report/1"
PHASED_SCHEMA = "snnc-phased-report/1"


def report(path: AnyPath, *, phase: int | None = None) -> Report:
    """Read the report of an artifact, in milliseconds.

    Args:
        path: the ``.snnc`` file.
        phase: of a program of several phases, the report of one of them, counted from 1.

    Raises:
        ArtifactError: not an artifact, damaged, or of a newer format.
        OptionError: there is no such phase.
    """
    from snnc.ir import artifact

    found = artifact.read_report(Path(path))
    schema = found.report.get("schema")
    if phase is not None:
        return Report(Path(path).name, _of_phase(found.report, phase), found.provenance)
    if schema not in (REPORT_SCHEMA, PHASED_SCHEMA):
        raise ArtifactError(
            "the artifact's report is of another kind",
            where=f"{path}:report.json",
            found=schema,
            allowed=f"{REPORT_SCHEMA}, {PHASED_SCHEMA}",
            remedy="compile the model again",
        )
    return Report(Path(path).name, found.report, found.provenance)


def check(
    model: AnyPath, target: str | None = None, options: CompileOptions | None = None
) -> CheckReport:
    """Say node by node whether a model can be compiled, without compiling it.

    Args:
        model: ``.nir``, ``.net`` or ``.onnx`` file.
        target: also ask whether this target's neurons can express it.
        options: dialect and widths.

    Raises:
        SnncError: the file cannot be read as a network at all.
    """
    from snnc.checking import check_model
    from snnc.compiler.options import CompileOptions

    return check_model(Path(model), target, options or CompileOptions())


def inspect(
    model: AnyPath,
    options: CompileOptions | None = None,
    *,
    analysis: AnalysisOptions | None = None,
) -> Inspection:
    """Show a model as the frontend understands it, and what its arithmetic asks for.

    Nodes, shapes, parameters and assumptions; value types, accumulator widths, places that
    multiply, operations and energy (``docs/inspect.md``).  A model that is refused is shown as
    stored, with the reason in ``error``.

    Args:
        model: model file, or a compiled ``.snnc`` artifact.
        options: what the file does not say, and the weight bits for ``analysis.target``.
        analysis: target, data and steps of the analysis.

    Raises:
        ModelFileError: there is no readable model file.
        InputError: the data does not fit the network.
    """
    from snnc.analysing import AnalysisOptions
    from snnc.checking import inspect_model
    from snnc.compiler.options import CompileOptions

    return inspect_model(Path(model), options or CompileOptions(), analysis or AnalysisOptions())


def targets(name: str | None = None) -> Mapping[str, Any]:
    """Describe one target completely, or all of them by id, name and summary.

    Raises:
        TargetError: unknown name (with suggestions) or invalid description.
    """
    from snnc.backends import targets as library

    if name is not None:
        target = library.load(name)
        return {"schema": "snnc-target/1", **target.model_dump(mode="json", by_alias=True)}
    found = [library.load(known) for known in library.names()]
    rows = [{"id": t.id, "name": t.name, "summary": t.summary} for t in found]
    return {"schema": "snnc-targets/1", "targets": rows}


def _of_phase(report: Mapping[str, Any], phase: int) -> Mapping[str, Any]:
    """The report of one phase."""
    rows = report.get("phases")
    if not isinstance(rows, Sequence) or not 1 <= phase <= len(rows):
        count = len(rows) if isinstance(rows, Sequence) else 1
        raise OptionError(
            "no such phase",
            where="--phase",
            found=phase,
            allowed=f"1 to {count}" if count > 1 else "the program has one phase: leave it out",
        )
    found: Mapping[str, Any] = rows[phase - 1]["report"]
    return found
