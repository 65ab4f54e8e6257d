"""The commands: each parses its options, calls the function of the same name, shows the result."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from snnc import api
from snnc.cli import environment, shell
from snnc.cli import options as opt
from snnc.results import CompileResult

app = typer.Typer(
    name="snnc",
    help="Compile trained spiking neural networks to neuromorphic chips, bit-exactly.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def command() -> Any:
    """The whole command line as a Click command (of Click, or of Typer's own copy)."""
    return typer.main.get_command(app)


def _version(wanted: bool) -> None:
    if wanted:
        from snnc import __version__

        typer.echo(f"snnc {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    del version


@app.command("compile")
def compile_command(
    model: opt.Model,
    target: opt.TargetName = None,
    output: opt.ArtifactOut = None,
    timesteps: opt.Timesteps = None,
    weight_bits: opt.WeightBits = None,
    memory_budget: opt.MemoryBudget = None,
    correct: opt.Correct = None,
    leak: opt.Leak = None,
    chips: opt.Chips = None,
    phases: opt.Phases = None,
    wire_code: opt.WireCode = None,
    partitioner: opt.Partitioner = None,
    routing: opt.Routing = None,
    pin: opt.Pin = None,
    pins: opt.Pins = None,
    objective: opt.Goal = None,
    offsets: opt.Offsets = False,
    semantics: opt.Semantics = None,
    max_spikes: opt.MaxSpikes = None,
    seed: opt.MapperSeed = None,
    time_limit: opt.TimeLimit = None,
    effort: opt.Effort = None,
    placement_start: opt.PlacementStart = None,
    calibration: opt.Calibration = None,
    calibration_samples: opt.CalibrationSamples = None,
    encode: opt.CalibrationEncode = None,
    bin_us: opt.CalibrationBinUs = None,
    dialect: opt.Dialect = None,
    dt: opt.Dt = None,
    reset: opt.Reset = None,
    threshold: opt.Threshold = None,
    loop_delay: opt.LoopDelay = None,
    transpose_linear: opt.TransposeLinear = False,
    input_layer: opt.InputLayer = None,
    spike_exponent: opt.SpikeExponent = None,
    constructor: opt.Constructor = None,
    time_axis: opt.TimeAxis = None,
    conversion: opt.Conversion = None,
    percentile: opt.Percentile = None,
    levels: opt.Levels = None,
    dump_ir: opt.DumpIr = None,
    stop_after: opt.StopAfter = None,
    build_dir: opt.BuildDir = None,
    config: opt.Config = None,
    as_json: opt.Json = False,
    debug: opt.Debug = False,
) -> None:
    """Compile a trained network for a chip, and show the report.

    Every option that shapes the result is stored in the artifact.
    """
    from snnc.build_folder import configured
    from snnc.cli import compiling
    from snnc.pin_files import joined

    given = {
        "target": target, "timesteps": timesteps, "weight_bits": weight_bits,
        "memory_budget": memory_budget, "correct": correct, "leak": leak, "chips": chips,
        "phases": phases,
        "seed": seed, "time_limit_s": time_limit, "calibration_samples": calibration_samples,
        "dialect": dialect, "dt": dt, "reset": reset, "threshold": threshold,
        "loop_delay": loop_delay, "transpose_linear": transpose_linear or None,
        "input_layer": input_layer, "spike_exponent": spike_exponent, "conversion": conversion,
        "percentile": percentile, "levels": levels, "wire_code": wire_code, "semantics": semantics,
        "partitioner": partitioner,
        "routing": routing, "offsets": offsets or None,
        "constructor": constructor,
        "time_axis": time_axis,
        "max_spikes": max_spikes,
        "effort": effort,
        "pin": joined(pin, pins),
        "objective": objective,
    }  # fmt: skip
    options = configured(config, {name: v for name, v in given.items() if v is not None})
    chosen = output or Path(f"{model.stem}.snnc")
    with compiling.Stages(show=not as_json) as stages:
        result = api.compile(
            opt.existing(model, "model file"),
            options,
            output=None if stop_after not in (None, "deployment") else chosen,
            calibration=calibration,
            inputs=opt.input_options(encode, bin_us, None),
            build_dir=build_dir,
            dump_ir=dump_ir,
            stop_after=stop_after,
            placement_start=placement_start,
            on_stage=stages,
            on_placement=stages.placing,
        )
    if as_json:
        shell.print_json(result.as_dict())
    else:
        compiling.show(result)


@app.command("report")
def report_command(
    artifact: opt.Artifact,
    html: opt.Html = None,
    phase: opt.Phase = None,
    as_json: opt.Json = False,
    debug: opt.Debug = False,
) -> None:
    """Show placement, occupancy, traffic, latency, energy estimate and certificate."""
    result = api.report(artifact, phase=phase)
    if html is not None:
        from snnc.ir.atomic import check_separate
        from snnc.reporting.html import write_html

        check_separate(html, artifact)
        write_html(result, html)
    if as_json:
        shell.print_json(result.as_dict())
    elif html is None:
        from snnc.reporting.terminal import show_report

        show_report(shell.out(), result)
    else:
        shell.out().print(f"wrote {html}")


@app.command("run")
def run_command(
    artifact: opt.Artifact,
    input: opt.Data,
    backend: opt.Backend = "cycle",
    samples: opt.Samples = None,
    compare: opt.Compare = api.COMPARED,
    trace: opt.Trace = None,
    decode: opt.Decode = None,
    early_stop: opt.EarlyStop = None,
    noc: opt.Noc = "transaction",
    deadline: opt.Deadline = None,
    threads: opt.Threads = 1,
    device: opt.Device = None,
    checkpoint: opt.Checkpoint = None,
    checkpoint_every: opt.SaveEvery = 100,
    resume: opt.Resume = False,
    lava_python: opt.LavaPython = None,
    lava_timeout: opt.LavaTimeout = None,
    encode: opt.Encode = None,
    bin_us: opt.BinUs = None,
    labels: opt.Labels = None,
    seed: opt.EncoderSeed = 0,
    as_json: opt.Json = False,
    debug: opt.Debug = False,
) -> None:
    """Run a compiled network on the emulated chip.

    Exit code 1 when a sample misses the deadline.
    """
    from snnc.cli import running
    from snnc.resuming import SaveOptions

    saving = SaveOptions(checkpoint, checkpoint_every, resume)
    with running.progress(show=not as_json) as on_progress:
        result = api.run(
            artifact,
            input,
            backend=running.backend(backend),
            samples=samples,
            inputs=opt.input_options(encode, bin_us, labels, seed),
            compare=compare,
            trace=trace,
            decode=decode,
            early_stop=early_stop,
            deadline=deadline,
            threads=threads,
            lava=running.lava(backend, lava_python, lava_timeout),
            noc=running.noc(noc),
            saving=saving,
            device=device,
            on_progress=on_progress,
        )
    if as_json:
        shell.print_json(result.as_dict())
    else:
        running.show(shell.out(), result)
    if result.deadline is not None and not result.deadline["met"]:
        raise typer.Exit(shell.NO)


@app.command("stream")
def stream_command(
    artifact: opt.Artifact,
    input: opt.Recording,
    backend: opt.StreamBackend = "functional",
    noc: opt.Noc = "transaction",
    window: opt.Window = None,
    steps: opt.StreamSteps = None,
    checkpoint: opt.Checkpoint = None,
    checkpoint_every: opt.CheckpointEvery = 10_000,
    resume: opt.Resume = False,
    encode: opt.Encode = None,
    bin_us: opt.BinUs = None,
    as_json: opt.Json = False,
    debug: opt.Debug = False,
) -> None:
    """Run a compiled network on an endless recording, without resets, in bounded memory."""
    from snnc.cli import running, streaming
    from snnc.streaming import StreamOptions

    options = StreamOptions(
        window, steps, checkpoint, checkpoint_every, resume,
        streaming.backend(backend), running.noc(noc),
    )  # fmt: skip
    inputs = opt.input_options(encode, bin_us, None)
    with streaming.progress(show=not as_json) as on_window:
        result = api.stream(artifact, input, options=options, inputs=inputs, on_window=on_window)
    if as_json:
        shell.print_json(result.as_dict())
    else:
        streaming.show(shell.out(), result)


@app.command("verify")
def verify_command(
    artifact: opt.Artifact,
    input: opt.VerifyData = None,
    samples: opt.VerifySamples = api.COMPARED,
    seed: opt.RandomSeed = 0,
    encode: opt.Encode = None,
    bin_us: opt.BinUs = None,
    as_json: opt.Json = False,
    debug: opt.Debug = False,
) -> None:
    """Check capacities, certificate and synapses independently, and that all simulators agree.

    Exit code 1 when anything fails.
    """
    from snnc.cli import verdicts

    inputs = opt.input_options(encode, bin_us, None, seed)
    result = api.verify(artifact, input, samples=samples, seed=seed, inputs=inputs)
    if as_json:
        shell.print_json(result.as_dict())
    else:
        verdicts.show_verification(shell.out(), result)
    if not result.ok:
        raise typer.Exit(shell.NO)


@app.command("check")
def check_command(
    model: opt.Model,
    target: opt.CheckTarget = None,
    dialect: opt.Dialect = None,
    dt: opt.Dt = None,
    reset: opt.Reset = None,
    threshold: opt.Threshold = None,
    loop_delay: opt.LoopDelay = None,
    transpose_linear: opt.TransposeLinear = False,
    input_layer: opt.InputLayer = None,
    spike_exponent: opt.SpikeExponent = None,
    constructor: opt.Constructor = None,
    time_axis: opt.TimeAxis = None,
    as_json: opt.Json = False,
    debug: opt.Debug = False,
) -> None:
    """Say node by node whether a model can be compiled.

    Exit code 0: yes; 1: a node is refused; 2: the file cannot be read.
    """
    from snnc.cli import verdicts

    options = opt.model_options(
        dialect,
        dt,
        reset,
        threshold,
        loop_delay,
        transpose_linear,
        input_layer,
        spike_exponent,
        constructor,
        time_axis,
    )
    result = api.check(opt.existing(model, "model file"), target, options)
    if as_json:
        shell.print_json(result.as_dict())
    else:
        verdicts.show_check(shell.out(), result)
    if not result.ok:
        raise typer.Exit(shell.NO)


@app.command("inspect")
def inspect_command(
    model: opt.Inspected,
    target: opt.AnalysisTarget = None,
    input: opt.AnalysisData = None,
    samples: opt.AnalysisSamples = 32,
    timesteps: opt.AnalysisSteps = None,
    encode: opt.CalibrationEncode = None,
    bin_us: opt.CalibrationBinUs = None,
    seed: opt.EncoderSeed = 0,
    dialect: opt.Dialect = None,
    dt: opt.Dt = None,
    reset: opt.Reset = None,
    threshold: opt.Threshold = None,
    loop_delay: opt.LoopDelay = None,
    transpose_linear: opt.TransposeLinear = False,
    input_layer: opt.InputLayer = None,
    spike_exponent: opt.SpikeExponent = None,
    constructor: opt.Constructor = None,
    time_axis: opt.TimeAxis = None,
    as_json: opt.Json = False,
    debug: opt.Debug = False,
) -> None:
    """Show a model's nodes, the assumptions about it, and its arithmetic.

    Value types, accumulator widths, places that multiply, operations and energy.
    Of a model that is refused, what the file holds and the reason; exit code 2.
    """
    from snnc.analysing import AnalysisOptions
    from snnc.cli import inspecting

    options = opt.model_options(
        dialect,
        dt,
        reset,
        threshold,
        loop_delay,
        transpose_linear,
        input_layer,
        spike_exponent,
        constructor,
        time_axis,
    )
    wanted = AnalysisOptions(
        target, input, samples, timesteps, opt.input_options(encode, bin_us, None, seed)
    )
    result = api.inspect(opt.existing(model, "model file"), options, analysis=wanted)
    if as_json:
        shell.print_json(result.as_dict())
    else:
        inspecting.show_inspection(shell.out(), result)
    if result.error is not None:
        raise typer.Exit(shell.WRONG if as_json else shell.refuse(result.error, as_json=False))


@app.command("compare")
def compare_command(
    a: opt.SideA,
    b: opt.SideB = None,
    input: opt.CompareData = None,
    a_options: opt.OptionsA = None,
    b_options: opt.OptionsB = None,
    samples: opt.Samples = None,
    tolerance: opt.Tolerance = 0.0,
    timesteps: opt.CompareSteps = None,
    encode: opt.Encode = None,
    bin_us: opt.BinUs = None,
    labels: opt.Labels = None,
    seed: opt.RandomSeed = 0,
    as_json: opt.Json = False,
    debug: opt.Debug = False,
) -> None:
    """Find where two networks, or two readings of one, first differ.

    Exit code 0: every spike and output is the same; 1: they differ.
    """
    from snnc.cli import comparing, running

    inputs = replace(opt.input_options(encode, bin_us, labels, seed), timesteps=timesteps)
    with running.progress(show=not as_json) as on_progress:
        result = api.compare(
            a,
            b,
            input,
            a_options=a_options or (),
            b_options=b_options or (),
            samples=samples,
            inputs=inputs,
            tolerance=tolerance,
            on_progress=on_progress,
        )
    if as_json:
        shell.print_json(result.as_dict())
    else:
        comparing.show(shell.out(), result)
    if not result.equal:
        raise typer.Exit(shell.NO)


@app.command("export")
def export_command(
    model: opt.ModelOrArtifact,
    to: opt.To,
    output: opt.ExportOut = None,
    assignments: opt.Set = None,
    dialect: opt.Dialect = None,
    dt: opt.Dt = None,
    reset: opt.Reset = None,
    threshold: opt.Threshold = None,
    loop_delay: opt.LoopDelay = None,
    transpose_linear: opt.TransposeLinear = False,
    input_layer: opt.InputLayer = None,
    spike_exponent: opt.SpikeExponent = None,
    constructor: opt.Constructor = None,
    time_axis: opt.TimeAxis = None,
    as_json: opt.Json = False,
    debug: opt.Debug = False,
) -> None:
    """Write a network or a compiled program as a file of another tool.

    What the format cannot say is refused by name.
    """
    from snnc.assignments import assigned
    from snnc.cli import exporting
    from snnc.exporting import format_of

    form = format_of(to)
    result = api.export(
        opt.existing(model, "file"),
        to,
        output or Path(f"{model.stem}{form.suffix}"),
        assigned(form.options, assignments or (), "--set"),
        reading=opt.model_options(
            dialect,
            dt,
            reset,
            threshold,
            loop_delay,
            transpose_linear,
            input_layer,
            spike_exponent,
            constructor,
            time_axis,
        ),
    )
    if as_json:
        shell.print_json(result.as_dict())
    else:
        exporting.show(shell.out(), result)


@app.command("trace")
def trace_command(
    trace: opt.RecordedTrace,
    to: opt.TraceTo = "perfetto",
    output: opt.TraceOut = None,
    as_json: opt.Json = False,
    debug: opt.Debug = False,
) -> None:
    """Convert a recorded trace for a browser: ui.perfetto.dev or chrome://tracing."""
    from snnc.cli import exporting

    result = api.convert_trace(trace, to, output or trace.with_suffix(".json"))
    if as_json:
        shell.print_json(result.as_dict())
    else:
        exporting.show_trace(shell.out(), result)


@app.command("targets")
def targets_command(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="Show this one completely."),
    ] = None,
    as_json: opt.Json = False,
    debug: opt.Debug = False,
) -> None:
    """List the chips, or show one with the source of every number."""
    from snnc.cli import verdicts

    result = api.targets(name)
    if as_json:
        shell.print_json(result)
        return
    from snnc.backends.targets import check_target, load

    verdicts.show_targets(shell.out(), result, [] if name is None else check_target(load(name)))


app.command("doctor")(environment.doctor_command)
app.command("setup")(environment.setup_command)


@app.command("demo")
def demo_command(
    samples: Annotated[
        int | None,
        typer.Option(help="Run the first so many images.", show_default="all 360"),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Keep the compiled network."),
    ] = None,
    as_json: opt.Json = False,
    debug: opt.Debug = False,
) -> None:
    """Compile the shipped digits network and run real test images on the emulated chip."""
    from snnc.cli import compiling, running

    def compiled(result: CompileResult) -> None:
        stages.close()
        if not as_json:
            compiling.show(result)

    with (
        compiling.Stages(show=not as_json) as stages,
        running.progress(show=not as_json) as on_progress,
    ):
        result = api.demo(
            output,
            samples=samples,
            on_stage=stages,
            on_compiled=compiled,
            on_progress=on_progress,
        )
    if as_json:
        shell.print_json(result.as_dict())
    else:
        running.show(shell.out(), result.run)
