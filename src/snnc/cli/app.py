"""The commands: each parses its options, calls the function of the same name, shows the result."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from snnc import api
from snnc.cli import shell
from snnc.cli.options import (
    Artifact,
    BinUs,
    Data,
    Debug,
    Dialect,
    Dt,
    Encode,
    Json,
    Labels,
    LoopDelay,
    Model,
    Reset,
    Threshold,
    existing,
    input_options,
    model_options,
)
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
    model: Model,
    target: Annotated[
        Optional[str],  # noqa: UP045 - typer reads the annotation at run time
        typer.Option(
            help="Chip: a name from `snnc targets`, or a .yaml file.", show_default="loihi1"
        ),
    ] = None,
    output: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--output", "-o", help="File to write.", show_default="MODEL's name.snnc"),
    ] = None,
    calibration: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Typical data: value ranges and spike rates are measured on it."),
    ] = None,
    calibration_samples: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="Count spikes on the first so many samples.", show_default="8"),
    ] = None,
    timesteps: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="Time steps per sample.", show_default="as in the calibration data"),
    ] = None,
    weight_bits: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="Bits of a weight.", show_default="8"),
    ] = None,
    chips: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="Chips joined into one mesh.", show_default="1"),
    ] = None,
    seed: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="Seed of the mapper's search.", show_default="0"),
    ] = None,
    time_limit: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="Seconds the placement search may take.", show_default="5"),
    ] = None,
    dialect: Dialect = None,
    dt: Dt = None,
    reset: Reset = None,
    threshold: Threshold = None,
    loop_delay: LoopDelay = None,
    transpose_linear: Annotated[
        bool, typer.Option("--transpose-linear", help="Linear weights are stored [in, out].")
    ] = False,
    encode: Encode = None,
    bin_us: BinUs = None,
    labels: Labels = None,
    dump_ir: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Folder for the program after every stage."),
    ] = None,
    stop_after: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Last stage: frontend, normalise, quantize, legalize, retime, map."),
    ] = None,
    build_dir: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Folder for log, times, every stage, configuration and report."),
    ] = None,
    config: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="config.json of an earlier build folder; other options override it."),
    ] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Compile a trained network for a chip."""
    from snnc.build_folder import configured
    from snnc.cli import compiling

    given = {
        "target": target, "timesteps": timesteps, "weight_bits": weight_bits, "chips": chips,
        "seed": seed, "time_limit_s": time_limit, "calibration_samples": calibration_samples,
        "dialect": dialect, "dt": dt, "reset": reset, "threshold": threshold,
        "loop_delay": loop_delay, "transpose_linear": transpose_linear or None,
    }  # fmt: skip
    options = configured(config, {name: v for name, v in given.items() if v is not None})
    chosen = output or Path(f"{model.stem}.snnc")
    with compiling.Stages(show=not as_json) as stages:
        result = api.compile(
            existing(model, "model file"),
            options,
            output=None if stop_after not in (None, "deployment") else chosen,
            calibration=calibration,
            inputs=input_options(encode, bin_us, labels),
            build_dir=build_dir,
            dump_ir=dump_ir,
            stop_after=stop_after,
            on_stage=stages,
        )
    if as_json:
        shell.print_json(result.as_dict())
    else:
        compiling.show(result)


@app.command("report")
def report_command(
    artifact: Artifact,
    html: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Write the report as one self-contained HTML file."),
    ] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Show placement, occupancy, traffic, latency, energy estimate and certificate."""
    result = api.report(artifact)
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
    artifact: Artifact,
    input: Data,
    backend: Annotated[
        str, typer.Option(help="Simulator: cycle (time, energy), functional (fast), reference.")
    ] = "cycle",
    samples: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="Run only the first so many samples.", show_default="all"),
    ] = None,
    compare: Annotated[
        int, typer.Option(help="Compare with the reference on the first so many samples.")
    ] = api.COMPARED,
    encode: Encode = None,
    bin_us: BinUs = None,
    labels: Labels = None,
    seed: Annotated[int, typer.Option(help="Seed of the poisson encoder.")] = 0,
    trace: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Write all spikes to this .npz."),
    ] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Run a compiled network on the emulated chip."""
    from snnc.cli import running

    with running.progress(show=not as_json) as on_progress:
        result = api.run(
            artifact,
            input,
            backend=running.backend(backend),
            samples=samples,
            inputs=input_options(encode, bin_us, labels, seed),
            compare=compare,
            trace=trace,
            on_progress=on_progress,
        )
    if as_json:
        shell.print_json(result.as_dict())
    else:
        running.show(shell.out(), result)


@app.command("verify")
def verify_command(
    artifact: Artifact,
    input: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--input", help="Data for the comparison.", show_default="random"),
    ] = None,
    samples: Annotated[int, typer.Option(help="Samples to compare on.")] = api.COMPARED,
    seed: Annotated[int, typer.Option(help="Seed of the random input.")] = 0,
    encode: Encode = None,
    bin_us: BinUs = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Check capacities, certificate and synapses independently, and that all simulators agree.

    Exit code 1 when anything fails.
    """
    from snnc.cli import verdicts

    inputs = input_options(encode, bin_us, None)
    result = api.verify(artifact, input, samples=samples, seed=seed, inputs=inputs)
    if as_json:
        shell.print_json(result.as_dict())
    else:
        verdicts.show_verification(shell.out(), result)
    if not result.ok:
        raise typer.Exit(shell.NO)


@app.command("check")
def check_command(
    model: Model,
    target: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Also ask whether this chip's neurons can express it."),
    ] = None,
    dialect: Dialect = None,
    dt: Dt = None,
    reset: Reset = None,
    threshold: Threshold = None,
    loop_delay: LoopDelay = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Say node by node whether a model can be compiled.

    Exit code 0: yes; 1: a node is refused; 2: the file cannot be read.
    """
    from snnc.cli import verdicts

    options = model_options(dialect, dt, reset, threshold, loop_delay)
    result = api.check(existing(model, "model file"), target, options)
    if as_json:
        shell.print_json(result.as_dict())
    else:
        verdicts.show_check(shell.out(), result)
    if not result.ok:
        raise typer.Exit(shell.NO)


@app.command("inspect")
def inspect_command(
    model: Model,
    dialect: Dialect = None,
    dt: Dt = None,
    reset: Reset = None,
    threshold: Threshold = None,
    loop_delay: LoopDelay = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Show a model's nodes, shapes, parameters and the assumptions made about it.

    Of a model that is refused, what the file holds and the reason; exit code 2.
    """
    from snnc.cli import verdicts

    options = model_options(dialect, dt, reset, threshold, loop_delay)
    result = api.inspect(existing(model, "model file"), options)
    if as_json:
        shell.print_json(result.as_dict())
    else:
        verdicts.show_inspection(shell.out(), result)
    if result.error is not None:
        raise typer.Exit(shell.WRONG if as_json else shell.refuse(result.error, as_json=False))


@app.command("targets")
def targets_command(
    name: Annotated[
        Optional[str],  # noqa: UP045
        typer.Argument(metavar="[NAME]", help="Show this one completely."),
    ] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """List the chips, or show one with the source of every number."""
    from snnc.cli import verdicts

    result = api.targets(name)
    if as_json:
        shell.print_json(result)
    else:
        verdicts.show_targets(shell.out(), result)


@app.command("demo")
def demo_command(
    samples: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="Run the first so many images.", show_default="all 360"),
    ] = None,
    output: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--output", "-o", help="Keep the compiled network."),
    ] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Compile the shipped digits network and run real test images on the emulated chip."""
    from snnc.cli import compiling, running

    stages = compiling.Stages(show=not as_json)

    def compiled(result: CompileResult) -> None:
        stages.close()
        if not as_json:
            compiling.show(result)

    with stages, running.progress(show=not as_json) as on_progress:
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
