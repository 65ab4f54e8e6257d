"""``snnc compile``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from snnc import api
from snnc.choices import RANGE_SAMPLES
from snnc.cli import options as opt
from snnc.cli import terminal
from snnc.cli.grouping import grouped

ANN_PANEL = "How a trained ANN becomes spiking"
INSIDE_PANEL = "Looking inside"
TargetName = Annotated[
    str | None,
    typer.Option(
        "--target", help="Chip: a name from `snnc targets`, or a .yaml file.", show_default="loihi1"
    ),
]
ArtifactOut = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="File to write.", show_default="MODEL's name.snnc"),
]
PlacementStart = Annotated[
    Path | None,
    typer.Option(
        metavar="ARTIFACT",
        help="Improve the placement of this artifact of the same network, e.g. one cut by Ctrl-C.",
    ),
]
Calibration = Annotated[
    Path | None,
    typer.Option(
        help=f"Typical data: {opt.RECORDINGS} Value ranges are taken from its first "
        f"{RANGE_SAMPLES} samples.",
        rich_help_panel=opt.DATA_PANEL,
    ),
]
CalibrationSamples = Annotated[
    int | None,
    typer.Option(
        help="Count spikes on the first so many samples.",
        show_default="8",
        rich_help_panel=opt.DATA_PANEL,
    ),
]
DumpIr = Annotated[
    Path | None,
    typer.Option(help="Folder for the program after every stage.", rich_help_panel=INSIDE_PANEL),
]
StopAfter = Annotated[
    str | None,
    typer.Option(
        help="Last stage: frontend, normalise, quantize, legalize, retime, map. "
        "Writes no artifact.",
        rich_help_panel=INSIDE_PANEL,
    ),
]
BuildDir = Annotated[
    Path | None,
    typer.Option(
        help="Folder for log, times, every stage, configuration and report.",
        rich_help_panel=INSIDE_PANEL,
    ),
]
Config = Annotated[
    Path | None,
    typer.Option(
        help="config.json of an earlier build folder; other options override it.",
        rich_help_panel=INSIDE_PANEL,
    ),
]


@dataclass(frozen=True)
class Wanted:
    """What the program shall be like, by the fields of ``CompileOptions``; pins also as a file."""

    timesteps: Annotated[
        int | None,
        typer.Option(
            help="Time steps per sample; needed unless the calibration data has a time axis.",
            show_default="as in the calibration data",
        ),
    ] = None
    weight_bits: Annotated[
        str | None,
        typer.Option(help="Bits of a weight, 1 to 16: 8, or conv1=4,fc=8.", show_default="8"),
    ] = None
    memory_budget: Annotated[
        float | None,
        typer.Option(help="KiB for all weights: layers take the widths with the least error."),
    ] = None
    correct: Annotated[
        str | None,
        typer.Option(
            help="What calibration data corrects: rounding,bias,rates.", show_default="none"
        ),
    ] = None
    leak: Annotated[
        str | None,
        typer.Option(help="Approximate decays: shift (1 - 2^-k) or linear (a constant per step)."),
    ] = None
    chips: Annotated[
        str | None,
        typer.Option(
            help="Chips joined into one mesh: a number, columns x rows (8x5), or auto for as many "
            "as the network needs in a nearly square rectangle.",
            show_default="1",
        ),
    ] = None
    phases: Annotated[
        str | None,
        typer.Option(
            help="Groups of a network larger than the chips, which take turns: never, auto, or at "
            "most so many.",
            show_default="never",
        ),
    ] = None
    wire_code: Annotated[
        str | None,
        typer.Option(
            help="How counts cross the chip: auto, unary, bitplane, graded.", show_default="auto"
        ),
    ] = None
    partitioner: Annotated[
        str | None,
        typer.Option(
            help="Which layers are also cut as hypergraphs: auto, tiles (none), own, mtkahypar "
            "(all).",
            show_default="auto",
        ),
    ] = None
    routing: Annotated[
        str | None,
        typer.Option(
            help="Routes: xy, yx, tree (multicast trees with few edges), balanced (least load on "
            "the busiest link).",
            show_default="xy",
        ),
    ] = None
    pin: Annotated[
        list[str] | None,
        typer.Option(
            "--pin",
            metavar="POPULATION@PLACE",
            help="Hold a population to a router (x,y), a core (x,y,slot) or a chip (chip:k); may "
            "be repeated.",
        ),
    ] = None
    pins: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="YAML file with the pins: POPULATION: PLACE, line by line."
        ),
    ] = None
    objective: Annotated[
        str | None,
        typer.Option(
            "--objective",
            metavar="TERM=WEIGHT,...",
            help="What the mapping shall be good for: energy, mean_latency, worst_latency, "
            "max_link, cores, chips, chip_crossings.",
            show_default="energy=1, on the fewest cores",
        ),
    ] = None
    offsets: Annotated[
        bool,
        typer.Option(
            "--offsets",
            help="Let cores begin a tick at different cycles to flatten bursts; needs "
            "--calibration.",
        ),
    ] = False
    semantics: Annotated[
        str | None,
        typer.Option(
            help="Whose neurons: chip, or lava (Lava's fixed-point LIF, for Loihi-class targets).",
            show_default="chip",
        ),
    ] = None
    max_spikes: Annotated[
        int | None,
        typer.Option(
            help="Most spikes per neuron and step where the model sets no limit and none is "
            "proven.",
            show_default="refuse",
        ),
    ] = None
    seed: Annotated[
        int | None, typer.Option("--seed", help="Seed of the mapper's search.", show_default="0")
    ] = None
    time_limit_s: Annotated[
        float | None,
        typer.Option(
            "--time-limit",
            help="Seconds the search for a placement may take; Ctrl-C ends it earlier, with the "
            "best placement so far.",
            show_default="5",
        ),
    ] = None
    effort: Annotated[
        str | None,
        typer.Option(
            help="How long to search for a placement: low, normal, high.", show_default="normal"
        ),
    ] = None


@dataclass(frozen=True)
class Conversion:
    """How a trained ANN becomes spiking, by the fields of ``CompileOptions``."""

    conversion: Annotated[
        str | None,
        typer.Option(
            help="How thresholds follow from the activations of an ANN (.onnx): error, percentile, "
            "max.",
            show_default="error",
            rich_help_panel=ANN_PANEL,
        ),
    ] = None
    percentile: Annotated[
        float | None,
        typer.Option(
            help="Percentile for --conversion percentile.",
            show_default="99.9",
            rich_help_panel=ANN_PANEL,
        ),
    ] = None
    levels: Annotated[
        int | None,
        typer.Option(
            help="Spikes a converted neuron may send in one step.",
            show_default="1, or 15 where a spike carries its count",
            rich_help_panel=ANN_PANEL,
        ),
    ] = None


@grouped
def compile_command(
    model: opt.Model,
    *,
    target: TargetName = None,
    output: ArtifactOut = None,
    wanted: Wanted,
    placement_start: PlacementStart = None,
    calibration: Calibration = None,
    calibration_samples: CalibrationSamples = None,
    encode: opt.CalibrationEncode = None,
    bin_us: opt.CalibrationBinUs = None,
    reading: opt.Reading,
    conversion: Conversion,
    dump_ir: DumpIr = None,
    stop_after: StopAfter = None,
    build_dir: BuildDir = None,
    config: Config = None,
    as_json: opt.Json = False,
    debug: opt.Debug = False,
) -> None:
    """Compile a trained network for a chip, and show the report.

    Every option that shapes the result is stored in the artifact.
    """
    from snnc.build_folder import configured
    from snnc.cli.views import compiling
    from snnc.pin_files import joined

    given = {**opt.given(wanted), **opt.given(reading), **opt.given(conversion)}
    given.pop("pins", None)
    given["pin"] = joined(wanted.pin, wanted.pins)
    given |= {"target": target, "calibration_samples": calibration_samples}
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
    terminal.present(result, compiling.show, as_json=as_json)
