"""The functions of ``import snnc``, one per command.

Heavy libraries (Numba, OR-Tools) are imported inside the functions that need them, so that
``import snnc``, ``snnc --help`` and ``snnc report`` start at once.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from snnc.calibrating import CalibrationSource
from snnc.compiler.options import CompileOptions
from snnc.inputs import Dataset, InputOptions, load
from snnc.ir import artifact
from snnc.ir.atomic import check_separate, check_writable
from snnc.ir.errors import ArtifactError, OptionError, SnncError
from snnc.ir.nodes import Input
from snnc.ir.phased import PhasedDeployment
from snnc.results import (
    CheckReport,
    CompareReport,
    CompileResult,
    Demo,
    ExportResult,
    Inspection,
    Report,
    RunReport,
    TraceResult,
    Verification,
)

if TYPE_CHECKING:
    from snnc.analysing import AnalysisOptions
    from snnc.backends.lava import LavaOptions
    from snnc.build_folder import BuildFolder
    from snnc.environment import Doctor, SetupResult
    from snnc.ir.arrays import IntArray
    from snnc.ir.deployment import Deployment
    from snnc.ir.integer_network import IntegerNetwork
    from snnc.ir.network import Network
    from snnc.ir.phased import Program
    from snnc.resuming import SaveOptions
    from snnc.running import Backend, Progress
    from snnc.simulators.cycle.timing import Fidelity
    from snnc.streaming import StreamOptions, StreamReport

AnyPath = str | Path
OnStage = Callable[[str, float | None], None]
COMPARED = 2
"""Samples that ``run`` compares with the reference unless told otherwise."""
REPORT_SCHEMA = "snnc-report/1"
PHASED_SCHEMA = "snnc-phased-report/1"


def _silent(*_: object) -> None:
    """For callers that show no progress."""


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
    on_stage: OnStage = _silent,
    on_placement: Callable[[float, float], None] = _silent,
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
    from snnc.compiler.pipeline import STAGES, Compilation, check_stage
    from snnc.offsetting import kept_if_good
    from snnc.offsetting import sentence as offsets_sentence
    from snnc.semantics import measured, sentence

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
        _check_output(Path(output), model, calibration)
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
        _former_placement(placement_start),
        on_placement,
    )
    effect = None
    try:
        deployment = job.run(stop_after)
    except SnncError as error:
        if folder is not None:
            folder.write_failure(label, options, job.seconds, error)
        raise
    if deployment is not None:
        deployment = _with_inputs(deployment, source)
        data = source.data if options.offsets else None
        if data is not None and not isinstance(deployment, PhasedDeployment):
            deployment = kept_if_good(deployment, data)
        if placement_start is not None:
            deployment = _with_start(deployment, placement_start)
        effect = measured(job, source.data)
        if effect is not None:
            report = {**deployment.report, "semantics": effect}
            deployment = dataclasses.replace(deployment, report=report)
        if output is not None:
            artifact.write(deployment, Path(output))
    written = Path(output) if output is not None and deployment is not None else None
    last = [stage for stage in STAGES if stage in job.results][-1]
    told = () if effect is None else (sentence(effect),)
    if options.offsets and deployment is not None:
        told = (*told, offsets_sentence(dict(deployment.report)))
    result = CompileResult(deployment, written, job.seconds, last, (*source.notes, *told))
    if folder is not None:
        folder.write(label, options, result)
    return result


def report(path: AnyPath, *, phase: int | None = None) -> Report:
    """Read the report of an artifact, in milliseconds.

    Args:
        path: the ``.snnc`` file.
        phase: of a program of several phases, the report of one of them, counted from 1.

    Raises:
        ArtifactError: not an artifact, damaged, or of a newer format.
        OptionError: there is no such phase.
    """
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


def run(
    deployment: AnyPath | Program,
    input: AnyPath,
    *,
    backend: Backend = "cycle",
    samples: int | None = None,
    inputs: InputOptions | None = None,
    compare: int = COMPARED,
    trace: AnyPath | None = None,
    decode: str | None = None,
    early_stop: float | None = None,
    deadline: float | None = None,
    threads: int = 1,
    lava: LavaOptions | None = None,
    noc: Fidelity = "transaction",
    saving: SaveOptions | None = None,
    device: str | None = None,
    on_progress: Progress = _silent,
) -> RunReport:
    """Run an artifact on data.

    Args:
        deployment: ``.snnc`` file, or a program in memory.
        input: ``.npz``, N-MNIST recording, or a folder or zip of recordings.
        backend: "cycle" (time and energy), "functional" (fast), "reference" (the definition) or
            "lava" (Intel's framework, in a process of its own; see docs/lava.md).
        samples: run only the first so many.
        inputs: how data becomes time steps; what it leaves open is as the network was compiled.
        compare: compare the backend with the reference on the first so many samples.
        trace: file that receives the spikes of every population, and the chip's time series:
            ``.h5``, ``.npz``, or ``.json`` to look at in a browser.
        decode: how outputs become classes, see ``snnc.simulators.decoding``; None as the model.
        early_stop: end a sample when the best class leads the second by this much.
        deadline: seconds that a sample may take on the chip; ``deadline`` of the report says
            whether they sufficed.
        threads: samples run at the same time, by the cycle or functional simulator.
        lava: interpreter and patience of the Lava backend.
        noc: network-on-chip of the cycle simulator: "transaction" (event-driven), "flit" (cycle by
            cycle, slower) or "none" (takes no time).
        saving: file that receives what was found every so many samples, and whether to go on from
            it; with ``trace`` the samples' traces are kept beside it.
        device: "cuda" or "cpu-torch": the functional simulator on PyTorch, many samples at once;
            None is the compiled one.
        on_progress: called as (samples done, samples in total).

    Raises:
        SnncError: what is wrong with artifact, data or options, and what to do.
    """
    from snnc.deadline import Deadline
    from snnc.deciding import Rules
    from snnc.execution import execute
    from snnc.in_phases import check_run
    from snnc.parallel import check_threads
    from snnc.traces import check_format

    check_threads(threads, backend)
    if device is not None and threads > 1:
        raise OptionError(
            "a device runs all samples at once", where="--threads", found=f"{threads}, {device}",
            remedy="leave one of the two out",
        )  # fmt: skip
    if compare < 0:
        raise OptionError("must not be negative", where="--compare", found=compare)
    if trace is not None:
        _check_output(Path(trace), input, deployment)
        check_format(Path(trace), backend)
    if saving is not None and saving.checkpoint is not None:
        _check_output(saving.checkpoint, input, deployment)
        if trace is not None and Path(trace).resolve() == saving.checkpoint.resolve():
            raise OptionError(
                "trace and checkpoint are two files",
                where="--checkpoint", found=f"{trace} for both", remedy="choose another path",
            )  # fmt: skip
    limit = Deadline.of(deadline, backend)
    program = _program(deployment)
    check_run(
        program,
        backend,
        early_stop=early_stop,
        deadline=deadline,
        trace_suffix=None if trace is None else Path(trace).suffix.lower(),
    )
    rules = Rules.of(program, decode, early_stop)
    data = _data(program, input, inputs or InputOptions(), samples)
    path = None if trace is None else Path(trace)
    return execute(
        program, data, backend, compare, path, on_progress, rules, lava, noc, limit, threads,
        saving, device,
    )  # fmt: skip


def stream(
    deployment: AnyPath | Deployment,
    input: AnyPath,
    *,
    options: StreamOptions | None = None,
    inputs: InputOptions | None = None,
    on_window: Callable[[int], None] = _silent,
) -> StreamReport:
    """Run an artifact on an endless event recording in bounded memory; see docs/streaming.md.

    Args:
        deployment: ``.snnc`` file, or a deployment in memory.
        input: ``.bin``, ``.bs2``, ``.dat``, or ``.npy`` with the fields t, x, y, p.
        options: windows, checkpoints, where to end; simulator, and network-on-chip of a chip.
        inputs: width of a time step and encoding; what it leaves open is as compiled.
        on_window: called with the steps run after every window.

    Raises:
        SnncError: what is wrong with artifact, recording, options or checkpoint.
    """
    from snnc.streaming import StreamOptions, run_stream

    chosen = options or StreamOptions()
    if chosen.checkpoint is not None:
        _check_output(chosen.checkpoint, input, deployment)
    program = _deployment(deployment)
    bins = _as_compiled(program, inputs or InputOptions())
    return run_stream(program, Path(input), chosen, bins, on_window)


def verify(
    deployment: AnyPath | Program,
    input: AnyPath | None = None,
    *,
    samples: int = COMPARED,
    seed: int = 0,
    inputs: InputOptions | None = None,
) -> Verification:
    """Check a deployment independently of how it was made.

    Structure: capacities, routes, certificate, synapses, schedule.  Equality: reference,
    functional and cycle simulators on the given data, or on random legal input.

    Raises:
        SnncError: the artifact or data cannot be read; broken rules do not raise.
    """
    from snnc.execution import verification

    if samples < 1:
        raise OptionError("must be at least 1", where="--samples", found=samples)
    if seed < 0:
        raise OptionError("must not be negative", where="--seed", found=seed)
    program = _program(deployment)
    data = None
    if input is not None:
        data = _data(program, input, inputs or InputOptions(), samples)
    return verification(program, data, samples, seed)


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

    return inspect_model(Path(model), options or CompileOptions(), analysis or AnalysisOptions())


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


def compare(
    a: AnyPath,
    b: AnyPath | None = None,
    input: AnyPath | None = None,
    *,
    a_options: Sequence[str] = (),
    b_options: Sequence[str] = (),
    samples: int | None = None,
    inputs: InputOptions | None = None,
    tolerance: float = 0.0,
    on_progress: Progress = _silent,
) -> CompareReport:
    """Find where two readings of a network first differ: layer, step, neuron and both values.

    Args:
        a: model file, artifact, or recorded spikes (``.npz``).
        b: the other one; None is the same file as ``a``, read with other options.
        input: data both run on; None takes random spikes.
        a_options, b_options: ``"key=value"`` of a side, see docs/compare.md.
        samples: run only the first so many.
        inputs: how data becomes time steps.
        tolerance: difference of an output value that still counts as equal.
        on_progress: called as (samples done, samples in total).

    Raises:
        SnncError: what is wrong with files, data or options, and what to do.
    """
    from snnc import comparing, sides

    left = sides.opened(Path(a), a_options, "--a")
    right = sides.opened(Path(a if b is None else b), b_options, "--b")
    path = None if input is None else Path(input)
    return comparing.compared(
        left, right, path, inputs or InputOptions(), samples, tolerance, on_progress
    )


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

    given = Path(model) if isinstance(model, str | Path) else model
    source = exporting.Source(given, reading or CompileOptions())
    return exporting.export(source, to, Path(output), options)


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


def doctor() -> Doctor:
    """Say what is installed, what is missing and why; starts interpreters that may have Lava."""
    from snnc import environment

    return environment.doctor()


def setup(
    what: str, folder: AnyPath | None = None, *, on_command: Callable[[str], None] = _silent
) -> SetupResult:
    """Make an environment for something that cannot live in snnc's own; see docs/lava.md.

    Args:
        what: "lava".
        folder: where; None takes the place where snnc looks for it.
        on_command: called with every command before it runs.

    Raises:
        SnncError: a command failed, or the result does not work.
    """
    from snnc import environment

    return environment.setup(what, None if folder is None else Path(folder), on_command)


def demo(
    output: AnyPath | None = None,
    *,
    samples: int | None = None,
    on_stage: OnStage = _silent,
    on_compiled: Callable[[CompileResult], None] = _silent,
    on_progress: Progress = _silent,
) -> Demo:
    """Compile the shipped digits network for ``loihi1`` and run its test images on the chip.

    Args:
        output: keep the artifact here.
        samples: run only the first so many images; all are compared with the reference.
        on_stage, on_progress: as in ``compile`` and ``run``.
        on_compiled: called between the two.
    """
    if samples is not None and samples < 1:
        raise OptionError("must be at least 1", where="--samples", found=samples)
    data = files("snnc") / "demo_data"
    with as_file(data / "digits_cnn.nir") as model, as_file(data / "digits_test.npz") as images:
        inputs = InputOptions(encode="direct")
        options = CompileOptions(target="loihi1", timesteps=10)
        compiled = compile(
            model, options, output=output, calibration=images, inputs=inputs, on_stage=on_stage
        )
        on_compiled(compiled)
        assert compiled.deployment is not None  # no stop_after
        ran = run(
            compiled.deployment, images, samples=samples, compare=10**9, on_progress=on_progress
        )
    return Demo(compiled, ran)


def _check_output(output: Path, *sources: object) -> None:
    """Raise ``OutputError`` early where the output cannot be written or is one of the inputs."""
    check_writable(output)
    check_separate(output, *(Path(s) for s in sources if isinstance(s, str | Path)))


def _with_start(deployment: Program, start: AnyPath | Deployment) -> Program:
    """Record which places the placement started from."""
    location = _deployment(start).cores.location.astype("<i8")
    digest = hashlib.sha256(location.tobytes()).hexdigest()
    known = {**deployment.provenance, "placement_start": digest}
    return dataclasses.replace(deployment, provenance=known)


def _former_placement(start: AnyPath | Deployment | None) -> IntArray | None:
    return None if start is None else _deployment(start).cores.location


def _dump_folder(dump_ir: AnyPath | None, folder: BuildFolder | None) -> Path | None:
    if dump_ir is not None:
        return Path(dump_ir)
    return None if folder is None else folder.ir


def _with_inputs(deployment: Program, source: CalibrationSource) -> Program:
    """Record how the calibration data was encoded, so that ``run`` can do the same."""
    used = None
    if source.path is not None:
        used = {
            "encode": source.inputs.encode or source.inputs.usual_encode,
            "bin_us": source.inputs.bin_width,
        }
    return dataclasses.replace(deployment, provenance={**deployment.provenance, "inputs": used})


def _deployment(deployment: AnyPath | Deployment) -> Deployment:
    """A program of one phase."""
    if isinstance(deployment, str | Path):
        return artifact.read(Path(deployment))
    if isinstance(deployment, PhasedDeployment):
        raise artifact.several_phases(deployment, deployment.network.name)
    return deployment


def _program(deployment: AnyPath | Program) -> Program:
    if isinstance(deployment, str | Path):
        return artifact.read_program(Path(deployment))
    return deployment


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


def _data(deployment: Program, path: AnyPath, inputs: InputOptions, samples: int | None) -> Dataset:
    """Load data as the network was compiled for, where the options leave it open."""
    steps = deployment.timesteps
    if inputs.timesteps not in (None, steps):
        raise OptionError(
            "the artifact runs a fixed number of time steps",
            where="--timesteps",
            found=inputs.timesteps,
            allowed=steps,
            remedy="compile again with another --timesteps",
        )
    chosen = dataclasses.replace(_as_compiled(deployment, inputs), timesteps=steps)
    return load(Path(path), deployment.network.of_type(Input), chosen, samples)


def _as_compiled(deployment: Program, inputs: InputOptions) -> InputOptions:
    """What the options leave open is as the network was compiled."""
    recorded = deployment.provenance.get("inputs")
    compiled_for: Mapping[str, Any] = recorded if isinstance(recorded, Mapping) else {}
    return dataclasses.replace(
        inputs,
        usual_encode=compiled_for.get("encode") or inputs.usual_encode,
        usual_bin_us=compiled_for.get("bin_us") or inputs.usual_bin_us,
    )
