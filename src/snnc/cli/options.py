"""The options that several commands share, spelled once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from snnc.calibrating import RANGE_SAMPLES
from snnc.compiler.options import CompileOptions
from snnc.inputs import InputOptions
from snnc.ir.errors import ModelFileError

_MODEL_PANEL = "What the model file does not say"
_ANN_PANEL = "How a trained ANN becomes spiking"
_DATA_PANEL = "How data becomes time steps"
_INSIDE_PANEL = "Looking inside"
_STATIC = (
    "NAME or NAME:key=value,...: direct, poisson, latency, phase (static values), frames, events, "
    "delta (data with a time axis); see docs/coding.md."
)
_BIN = "Time bin of event recordings, microseconds."
_RECORDINGS = (
    ".npz, recording (.bin, .bs2, .dat, .aedat, .aedat4), or folder or zip of .bin or .bs2."
)

Model = Annotated[
    Path,
    typer.Argument(
        metavar="MODEL",
        help="Trained network: .nir, .net, .onnx, .pt2, .safetensors, .pt.",
    ),
]
Artifact = Annotated[Path, typer.Argument(metavar="ARTIFACT", help="Compiled network, .snnc.")]
ModelOrArtifact = Annotated[
    Path, typer.Argument(metavar="MODEL", help="Trained network, or compiled network (.snnc).")
]
Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else.")
]
Debug = Annotated[
    bool, typer.Option("--debug", help="On an internal error, write its details to a log file.")
]

# What is compiled, for what, into what.
TargetName = Annotated[
    str | None,
    typer.Option(
        "--target", help="Chip: a name from `snnc targets`, or a .yaml file.", show_default="loihi1"
    ),
]
CheckTarget = Annotated[
    str | None,
    typer.Option("--target", help="Also ask whether this chip's neurons can express it."),
]
ArtifactOut = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="File to write.", show_default="MODEL's name.snnc"),
]
Timesteps = Annotated[
    int | None,
    typer.Option(
        help="Time steps per sample; needed unless the calibration data has a time axis.",
        show_default="as in the calibration data",
    ),
]
WeightBits = Annotated[
    str | None,
    typer.Option(help="Bits of a weight, 1 to 16: 8, or conv1=4,fc=8.", show_default="8"),
]
MemoryBudget = Annotated[
    float | None,
    typer.Option(help="KiB for all weights: layers take the widths with the least error."),
]
Correct = Annotated[
    str | None,
    typer.Option(help="What calibration data corrects: rounding,bias,rates.", show_default="none"),
]
Leak = Annotated[
    str | None,
    typer.Option(help="Approximate decays: shift (1 - 2^-k) or linear (a constant per step)."),
]
Chips = Annotated[
    str | None,
    typer.Option(
        help="Chips joined into one mesh: a number, columns x rows (8x5), or auto for as many as "
        "the network needs in a nearly square rectangle.",
        show_default="1",
    ),
]
Phases = Annotated[
    str | None,
    typer.Option(
        help="Groups of a network larger than the chips, which take turns: never, auto, or at most "
        "so many.",
        show_default="never",
    ),
]
Semantics = Annotated[
    str | None,
    typer.Option(
        help="Whose neurons: chip, or lava (Lava's fixed-point LIF, for Loihi-class targets).",
        show_default="chip",
    ),
]
WireCode = Annotated[
    str | None,
    typer.Option(
        help="How counts cross the chip: auto, unary, bitplane, graded.", show_default="auto"
    ),
]
Partitioner = Annotated[
    str | None,
    typer.Option(
        help="Which layers are also cut as hypergraphs: auto, tiles (none), own, mtkahypar (all).",
        show_default="auto",
    ),
]
Routing = Annotated[
    str | None,
    typer.Option(
        help="Routes: xy, yx, tree (multicast trees with few edges), balanced (least load on the "
        "busiest link).",
        show_default="xy",
    ),
]
Pin = Annotated[
    list[str] | None,
    typer.Option(
        "--pin",
        metavar="POPULATION@PLACE",
        help="Hold a population to a router (x,y), a core (x,y,slot) or a chip (chip:k); may be "
        "repeated.",
    ),
]
Pins = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="YAML file with the pins: POPULATION: PLACE, line by line."),
]
Goal = Annotated[
    str | None,
    typer.Option(
        "--objective",
        metavar="TERM=WEIGHT,...",
        help="What the mapping shall be good for: energy, mean_latency, worst_latency, max_link, "
        "cores, chips, chip_crossings.",
        show_default="energy=1, on the fewest cores",
    ),
]
Offsets = Annotated[
    bool,
    typer.Option(
        "--offsets",
        help="Let cores begin a tick at different cycles to flatten bursts; needs --calibration.",
    ),
]
MaxSpikes = Annotated[
    int | None,
    typer.Option(
        help="Most spikes per neuron and step where the model sets no limit and none is proven.",
        show_default="refuse",
    ),
]
MapperSeed = Annotated[
    int | None, typer.Option("--seed", help="Seed of the mapper's search.", show_default="0")
]
TimeLimit = Annotated[
    float | None,
    typer.Option(
        help="Seconds the search for a placement may take; Ctrl-C ends it earlier, with the best "
        "placement so far.",
        show_default="5",
    ),
]
Effort = Annotated[
    str | None,
    typer.Option(
        help="How long to search for a placement: low, normal, high.", show_default="normal"
    ),
]
PlacementStart = Annotated[
    Path | None,
    typer.Option(
        metavar="ARTIFACT",
        help="Improve the placement of this artifact of the same network, e.g. one cut by Ctrl-C.",
    ),
]

# What a model file does not say.
Dialect = Annotated[
    str | None,
    typer.Option(
        help="Framework whose conventions the file follows: auto, snntorch, spikingjelly, norse, "
        "sinabs, rockpool, spyx, lava, nir.",
        show_default="auto",
        rich_help_panel=_MODEL_PANEL,
    ),
]
Dt = Annotated[
    float | None,
    typer.Option(
        help="Time step in seconds.", show_default="by dialect", rich_help_panel=_MODEL_PANEL
    ),
]
Reset = Annotated[
    str | None,
    typer.Option(
        help="Reset rule: zero, subtract.",
        show_default="by dialect",
        rich_help_panel=_MODEL_PANEL,
    ),
]
Threshold = Annotated[
    str | None,
    typer.Option(
        help='Comparator of the firing threshold: ">" or ">=" (in quotes).',
        show_default="by dialect",
        rich_help_panel=_MODEL_PANEL,
    ),
]
LoopDelay = Annotated[
    str | None,
    typer.Option(
        help="Where recurrent loops delay: before or after their weights.",
        show_default="by dialect",
        rich_help_panel=_MODEL_PANEL,
    ),
]
SpikeExponent = Annotated[
    int | None,
    typer.Option(
        help="Exponent of the messages of sigma-delta neurons in a .net file: spike_exp of netx.",
        show_default="6",
        rich_help_panel=_MODEL_PANEL,
    ),
]
InputLayer = Annotated[
    str | None,
    typer.Option(
        help="What the input layer of a .net file is fed: values, spikes.",
        show_default="values",
        rich_help_panel=_MODEL_PANEL,
    ),
]
Constructor = Annotated[
    str | None,
    typer.Option(
        help="What a file of PyTorch weights belongs to: package.module:function, which returns "
        "(model, example input).",
        rich_help_panel=_MODEL_PANEL,
    ),
]
TimeAxis = Annotated[
    str | None,
    typer.Option(
        help="Time axis of a PyTorch model's input: auto, none, 0, 1.",
        show_default="auto",
        rich_help_panel=_MODEL_PANEL,
    ),
]
TransposeLinear = Annotated[
    bool,
    typer.Option(
        "--transpose-linear",
        help="Linear weights are stored as (inputs, outputs).",
        rich_help_panel=_MODEL_PANEL,
    ),
]

# Comparing.
SideA = Annotated[
    Path, typer.Argument(metavar="A", help="Model, compiled network (.snnc) or recording (.npz).")
]
SideB = Annotated[
    Path | None, typer.Argument(metavar="[B]", help="The other one.", show_default="A")
]
_KEYS = (
    "reading (dialect, dt, reset, threshold, loop-delay, ...), integers, target, weight-bits, "
    "backend, precision"
)
OptionsA = Annotated[
    list[str] | None, typer.Option("--a", metavar="KEY=VALUE", help=f"Option of A: {_KEYS}.")
]
OptionsB = Annotated[
    list[str] | None, typer.Option("--b", metavar="KEY=VALUE", help="Option of B, the same.")
]
CompareData = Annotated[
    Path | None,
    typer.Option("--input", help=f"Data both run on: {_RECORDINGS}", show_default="random spikes"),
]
CompareSteps = Annotated[
    int | None,
    typer.Option(
        "--timesteps", help="Time steps per sample.", show_default="as in the data, or 32"
    ),
]
Tolerance = Annotated[
    float, typer.Option(help="Difference of an output value that counts as equal.")
]

# How a trained ANN becomes spiking.
Conversion = Annotated[
    str | None,
    typer.Option(
        help="How thresholds follow from the activations of an ANN (.onnx): error, percentile, "
        "max.",
        show_default="error",
        rich_help_panel=_ANN_PANEL,
    ),
]
Percentile = Annotated[
    float | None,
    typer.Option(
        help="Percentile for --conversion percentile.",
        show_default="99.9",
        rich_help_panel=_ANN_PANEL,
    ),
]
Levels = Annotated[
    int | None,
    typer.Option(
        help="Spikes a converted neuron may send in one step.",
        show_default="1, or 15 where a spike carries its count",
        rich_help_panel=_ANN_PANEL,
    ),
]

# Other tools' files.
To = Annotated[str, typer.Option("--to", help="Format to write: lava, netx, nir or onnx.")]
ExportOut = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="File to write.", show_default="MODEL's name and suffix"),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Option of the format; nir: reader, dt, precision, approximate (docs/nir.md).",
    ),
]

# Data.
Data = Annotated[Path, typer.Option("--input", help=_RECORDINGS)]
VerifyData = Annotated[
    Path | None,
    typer.Option("--input", help=f"Data to compare on: {_RECORDINGS}", show_default="random"),
]
Calibration = Annotated[
    Path | None,
    typer.Option(
        help=f"Typical data: {_RECORDINGS} Value ranges are taken from its first "
        f"{RANGE_SAMPLES} samples.",
        rich_help_panel=_DATA_PANEL,
    ),
]
CalibrationSamples = Annotated[
    int | None,
    typer.Option(
        help="Count spikes on the first so many samples.",
        show_default="8",
        rich_help_panel=_DATA_PANEL,
    ),
]
CalibrationEncode = Annotated[
    str | None, typer.Option("--encode", help=_STATIC, rich_help_panel=_DATA_PANEL)
]
Encode = Annotated[
    str | None,
    typer.Option(help=_STATIC, show_default="as calibrated", rich_help_panel=_DATA_PANEL),
]
CalibrationBinUs = Annotated[
    int | None,
    typer.Option("--bin-us", help=_BIN, show_default="1000", rich_help_panel=_DATA_PANEL),
]
BinUs = Annotated[
    int | None,
    typer.Option("--bin-us", help=_BIN, show_default="as calibrated", rich_help_panel=_DATA_PANEL),
]
Labels = Annotated[
    Path | None,
    typer.Option(
        help="Label file of recordings: id<TAB>class.",
        show_default="found beside",
        rich_help_panel=_DATA_PANEL,
    ),
]
EncoderSeed = Annotated[
    int,
    typer.Option("--seed", help="Seed of the poisson encoder.", rich_help_panel=_DATA_PANEL),
]
RandomSeed = Annotated[
    int, typer.Option("--seed", help="Seed of the random input and of the poisson encoder.")
]

# Looking inside.
DumpIr = Annotated[
    Path | None,
    typer.Option(help="Folder for the program after every stage.", rich_help_panel=_INSIDE_PANEL),
]
StopAfter = Annotated[
    str | None,
    typer.Option(
        help="Last stage: frontend, normalise, quantize, legalize, retime, map. "
        "Writes no artifact.",
        rich_help_panel=_INSIDE_PANEL,
    ),
]
BuildDir = Annotated[
    Path | None,
    typer.Option(
        help="Folder for log, times, every stage, configuration and report.",
        rich_help_panel=_INSIDE_PANEL,
    ),
]
Config = Annotated[
    Path | None,
    typer.Option(
        help="config.json of an earlier build folder; other options override it.",
        rich_help_panel=_INSIDE_PANEL,
    ),
]
Phase = Annotated[
    int | None,
    typer.Option(help="Show one phase of a program of several, counted from 1."),
]
Html = Annotated[
    Path | None, typer.Option(help="Write the report as one self-contained HTML file.")
]
Backend = Annotated[
    str, typer.Option(help="Simulator: cycle (time, energy), functional (fast), reference, lava.")
]
StreamBackend = Annotated[
    str, typer.Option(help="Simulator: functional (fast) or cycle (time and energy of the chip).")
]
Noc = Annotated[
    str,
    typer.Option(
        help="Network-on-chip of the cycle simulator: transaction (event-driven), flit (cycle "
        "by cycle, slower), or none (takes no time)."
    ),
]
LavaPython = Annotated[
    Path | None,
    typer.Option(
        help="Interpreter that has lava-nc, for --backend lava.",
        show_default="$SNNC_LAVA_PYTHON, this one, or that of `snnc setup lava`",
    ),
]
LavaTimeout = Annotated[
    float | None,
    typer.Option(help="Seconds without a time step after which Lava hangs.", show_default="120"),
]
Samples = Annotated[
    int | None, typer.Option(help="Run only the first so many samples.", show_default="all")
]
Compare = Annotated[
    int, typer.Option(help="Compare with the reference on the first so many samples.")
]
Decode = Annotated[
    str | None,
    typer.Option(
        help="How outputs become classes: count, sum, last, max, first, leaky:tau=STEPS.",
        show_default="as the model says",
    ),
]
EarlyStop = Annotated[
    float | None,
    typer.Option(
        help="End a sample when the best class leads the second by so much.",
        show_default="run all steps",
    ),
]
VerifySamples = Annotated[int, typer.Option("--samples", help="Samples to compare on.")]
Inspected = Annotated[
    Path, typer.Argument(metavar="MODEL", help="Trained network, or compiled one (.snnc).")
]
AnalysisTarget = Annotated[
    str | None,
    typer.Option(
        "--target",
        help="Hold widths against this chip's registers; a real network is quantized for it.",
    ),
]
AnalysisData = Annotated[
    Path | None,
    typer.Option(
        "--input",
        help=f"Count operations on this data: {_RECORDINGS}",
        show_default="upper bounds",
        rich_help_panel=_DATA_PANEL,
    ),
]
AnalysisSamples = Annotated[
    int,
    typer.Option(
        "--samples", help="Count on the first so many samples.", rich_help_panel=_DATA_PANEL
    ),
]
AnalysisSteps = Annotated[
    int | None,
    typer.Option(
        "--timesteps",
        help="Time steps per sample.",
        show_default="the data's, or one",
        rich_help_panel=_DATA_PANEL,
    ),
]
Trace = Annotated[
    Path | None,
    typer.Option(help="Write spikes and time series: .h5 or .npz, or .json for ui.perfetto.dev."),
]
Threads = Annotated[
    int, typer.Option(help="Samples run at the same time (cycle and functional simulator).")
]
Device = Annotated[
    str | None,
    typer.Option(
        help="Functional simulator on PyTorch, same integers: cuda, cpu-torch.",
        show_default="compiled, without PyTorch",
    ),
]
Deadline = Annotated[
    float | None,
    typer.Option(help="Seconds a sample may take on the chip; exit code 1 when one takes longer."),
]

RecordedTrace = Annotated[
    Path, typer.Argument(metavar="TRACE", help="Recorded by snnc run --trace FILE.h5.")
]
TraceTo = Annotated[str, typer.Option("--to", help="Format to write: perfetto.")]
TraceOut = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="File to write.", show_default="TRACE's name.json"),
]

# Streams.
Recording = Annotated[
    Path,
    typer.Option(
        "--input",
        help="Events: .bin, .bs2, .dat, .aedat, .aedat4, or .npy with the fields t, x, y, p.",
    ),
]
Window = Annotated[
    int | None,
    typer.Option(help="Steps after which classes are decided.", show_default="of a sample"),
]
StreamSteps = Annotated[
    int | None, typer.Option("--steps", help="End after so many.", show_default="all")
]
Checkpoint = Annotated[
    Path | None, typer.Option(help="File that receives the state of the run as it goes on.")
]
CheckpointEvery = Annotated[
    int, typer.Option("--checkpoint-every", help="Steps between two checkpoints.")
]
SaveEvery = Annotated[
    int, typer.Option("--checkpoint-every", help="Samples between two checkpoints.")
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint.")]


def model_options(
    dialect: str | None,
    dt: float | None,
    reset: str | None,
    threshold: str | None,
    loop_delay: str | None,
    transpose_linear: bool,
    input_layer: str | None,
    spike_exponent: int | None = None,
    constructor: str | None = None,
    time_axis: str | None = None,
) -> CompileOptions:
    """Options of commands that only read a model."""
    return CompileOptions(
        dialect=dialect or "auto",
        dt=dt,
        reset=reset,
        threshold=threshold,
        loop_delay=loop_delay,
        transpose_linear=transpose_linear,
        input_layer=input_layer or "values",
        spike_exponent=6 if spike_exponent is None else spike_exponent,
        constructor=constructor,
        time_axis=time_axis or "auto",
    )


def existing(path: Path, what: str) -> Path:
    """The path, if it is a file that can be opened.

    Raises:
        ModelFileError: it is not.
    """
    if not path.is_file():
        raise ModelFileError(
            f"no such {what}",
            where=str(path),
            found="a folder" if path.is_dir() else "nothing",
            remedy="check the path",
        )
    return path


def input_options(
    encode: str | None, bin_us: int | None, labels: Path | None, seed: int = 0
) -> InputOptions:
    """Options of commands that read data; ``InputOptions`` checks the values."""
    return InputOptions(encode=encode, bin_us=bin_us, labels=labels, seed=seed)
