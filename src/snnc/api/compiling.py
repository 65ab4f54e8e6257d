"""From a model file to a program in memory or on disk."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snnc.api.arguments import AnyPath, OnStage, check_output, one_phase, silent
from snnc.ir.errors import OptionError, SnncError
from snnc.results import CompileResult

if TYPE_CHECKING:
    from snnc.build_folder import BuildFolder
    from snnc.calibrating import CalibrationSource
    from snnc.compiler.options import CompileOptions
    from snnc.compiler.pipeline import Compilation
    from snnc.inputs import InputOptions
    from snnc.ir.arrays import IntArray
    from snnc.ir.deployment import Deployment
    from snnc.ir.integer_network import IntegerNetwork
    from snnc.ir.network import Network
    from snnc.ir.phased import Program


def compile(
    model: AnyPath | Network | IntegerNetwork,
    options: CompileOptions | None = None,
    *,
    output: AnyPath | None = None,
    calibration: AnyPath | None = None,
    inputs: InputOptions | None = None,
    build_dir: AnyPath | None = None,
    dump_ir: AnyPath | None = None,
    stop_after: str | None = None,
    placement_start: AnyPath | Deployment | None = None,
    on_stage: OnStage = silent,
    on_placement: Callable[[float, float], None] = silent,
) -> CompileResult:
    """Compile a trained network for a chip.

    Args:
        model: ``.nir``, ``.net``, ``.onnx``, ``.pt2`` or weights file, or a network
            (``snnc.from_torch``).
        options: target, time steps, widths, seed, dialect; see ``CompileOptions``.
        output: ``.snnc`` file to write; None keeps the deployment in memory only.
        calibration: typical data (``.npz``, recordings): value ranges and spike rates.
        inputs: how the calibration data becomes time steps.
        build_dir: folder that receives log, times, IR of every stage, configuration and report.
        dump_ir: folder that receives the IR after every stage.
        stop_after: last stage to run, one of ``snnc.compiler.pipeline.STAGES``.
        placement_start: artifact of the same network whose placement of cores is improved.
        on_stage: called as (stage, None) at a stage's start, (stage, seconds) at its end.
        on_placement: called as (share of the placement search done, weighted hops now).

    Ctrl-C during the placement search ends it with the best placement so far; the report then says
    ``interrupted``.  A second one interrupts the compilation.

    Raises:
        SnncError: what is wrong with model, data, options or output, and what to do.
    """
    from snnc.build_folder import BuildFolder
    from snnc.calibrating import CalibrationSource
    from snnc.compiler.options import CompileOptions
    from snnc.compiler.pipeline import STAGES, Compilation, check_stage
    from snnc.inputs import InputOptions
    from snnc.ir import artifact
    from snnc.offsetting import sentence as offsets_sentence
    from snnc.semantics import sentence as semantics_sentence

    options = options or CompileOptions()
    check_stage(stop_after)
    if dump_ir is not None and build_dir is not None:
        raise OptionError(
            "a build folder holds the IR of every stage already",
            where="--dump-ir",
            found="both --dump-ir and --build-dir",
            remedy="give one of them",
        )
    if output is not None:
        check_output(Path(output), model, calibration)
    source = CalibrationSource(calibration, inputs or InputOptions(), options)
    folder = None if build_dir is None else BuildFolder(Path(build_dir))
    given = Path(model) if isinstance(model, str | Path) else model
    label = given if isinstance(given, Path) else Path(given.name)
    job = Compilation(
        given,
        options,
        source,
        source.static,
        _dump_folder(dump_ir, folder),
        on_stage,
        None if placement_start is None else one_phase(placement_start).cores.location,
        on_placement,
    )
    try:
        deployment = job.run(stop_after)
    except SnncError as error:
        if folder is not None:
            folder.write_failure(label, options, job.seconds, error)
        raise
    notes, written = source.notes, None
    if deployment is not None:
        deployment, effect = _recorded(deployment, job, source)
        if effect is not None:
            notes = (*notes, semantics_sentence(effect))
        if options.offsets:
            notes = (*notes, offsets_sentence(dict(deployment.report)))
        if output is not None:
            written = Path(output)
            artifact.write(deployment, written)
    last = [stage for stage in STAGES if stage in job.results][-1]
    result = CompileResult(deployment, written, job.seconds, last, notes)
    if folder is not None:
        folder.write(label, options, result)
    return result


def _dump_folder(dump_ir: AnyPath | None, folder: BuildFolder | None) -> Path | None:
    if dump_ir is not None:
        return Path(dump_ir)
    return None if folder is None else folder.ir


def _recorded(
    deployment: Program, job: Compilation, source: CalibrationSource
) -> tuple[Program, dict[str, Any] | None]:
    """What was measured and used beyond the stages, in the program; and what the semantics did."""
    from snnc.ir.phased import PhasedDeployment
    from snnc.offsetting import kept_if_good
    from snnc.semantics import measured

    deployment = _with_inputs(deployment, source)
    data = source.data if job.options.offsets else None
    if data is not None and not isinstance(deployment, PhasedDeployment):
        deployment = kept_if_good(deployment, data)
    if job.placement_start is not None:
        deployment = _with_start(deployment, job.placement_start)
    effect = measured(job, source.data)
    if effect is not None:
        report = {**deployment.report, "semantics": effect}
        deployment = dataclasses.replace(deployment, report=report)
    return deployment, effect


def _with_start(deployment: Program, location: IntArray) -> Program:
    """Record which places the placement started from."""
    digest = hashlib.sha256(location.astype("<i8").tobytes()).hexdigest()
    known = {**deployment.provenance, "placement_start": digest}
    return dataclasses.replace(deployment, provenance=known)


def _with_inputs(deployment: Program, source: CalibrationSource) -> Program:
    """Record how the calibration data was encoded, so that ``run`` can do the same."""
    used = None
    if source.path is not None:
        used = {
            "encode": source.inputs.encode or source.inputs.usual_encode,
            "bin_us": source.inputs.bin_width,
        }
    return dataclasses.replace(deployment, provenance={**deployment.provenance, "inputs": used})
