"""The options that several commands share, spelled once."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from snnc.ir.errors import ModelFileError

if TYPE_CHECKING:
    from snnc.compiler.options import CompileOptions
    from snnc.inputs import InputOptions
    from snnc.simulators.cycle.timing import Fidelity

MODEL_PANEL = "What the model file does not say"
DATA_PANEL = "How data becomes time steps"
STATIC = (
    "NAME or NAME:key=value,...: direct, poisson, latency, phase (static values), frames, events, "
    "delta (data with a time axis); see docs/coding.md."
)
BIN = "Time bin of event recordings, microseconds."
RECORDINGS = (
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
Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else.")
]
Debug = Annotated[
    bool, typer.Option("--debug", help="On an internal error, write its details to a log file.")
]

# Data.
Samples = Annotated[
    int | None, typer.Option(help="Run only the first so many samples.", show_default="all")
]
CalibrationEncode = Annotated[
    str | None, typer.Option("--encode", help=STATIC, rich_help_panel=DATA_PANEL)
]
Encode = Annotated[
    str | None,
    typer.Option(help=STATIC, show_default="as calibrated", rich_help_panel=DATA_PANEL),
]
CalibrationBinUs = Annotated[
    int | None,
    typer.Option("--bin-us", help=BIN, show_default="1000", rich_help_panel=DATA_PANEL),
]
BinUs = Annotated[
    int | None,
    typer.Option("--bin-us", help=BIN, show_default="as calibrated", rich_help_panel=DATA_PANEL),
]
Labels = Annotated[
    Path | None,
    typer.Option(
        help="Label file of recordings: id<TAB>class.",
        show_default="found beside",
        rich_help_panel=DATA_PANEL,
    ),
]
EncoderSeed = Annotated[
    int,
    typer.Option("--seed", help="Seed of the poisson encoder.", rich_help_panel=DATA_PANEL),
]
RandomSeed = Annotated[
    int, typer.Option("--seed", help="Seed of the random input and of the poisson encoder.")
]

# Runs.
Noc = Annotated[
    str,
    typer.Option(
        help="Network-on-chip of the cycle simulator: transaction (event-driven), flit (cycle "
        "by cycle, slower), or none (takes no time)."
    ),
]
Checkpoint = Annotated[
    Path | None, typer.Option(help="File that receives the state of the run as it goes on.")
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint.")]


def given(group: Any) -> dict[str, Any]:
    """The options of a group that stand on the command line, by name."""
    values = {field.name: getattr(group, field.name) for field in fields(group)}
    return {
        name: value for name, value in values.items() if value is not None and value is not False
    }


@dataclass(frozen=True)
class Reading:
    """What a model file does not say, by the fields of ``CompileOptions``."""

    dialect: Annotated[
        str | None,
        typer.Option(
            help="Framework whose conventions the file follows: auto, snntorch, spikingjelly, "
            "norse, sinabs, rockpool, spyx, lava, nir.",
            show_default="auto",
            rich_help_panel=MODEL_PANEL,
        ),
    ] = None
    dt: Annotated[
        float | None,
        typer.Option(
            help="Time step in seconds.", show_default="by dialect", rich_help_panel=MODEL_PANEL
        ),
    ] = None
    reset: Annotated[
        str | None,
        typer.Option(
            help="Reset rule: zero, subtract.",
            show_default="by dialect",
            rich_help_panel=MODEL_PANEL,
        ),
    ] = None
    threshold: Annotated[
        str | None,
        typer.Option(
            help='Comparator of the firing threshold: ">" or ">=" (in quotes).',
            show_default="by dialect",
            rich_help_panel=MODEL_PANEL,
        ),
    ] = None
    loop_delay: Annotated[
        str | None,
        typer.Option(
            help="Where recurrent loops delay: before or after their weights.",
            show_default="by dialect",
            rich_help_panel=MODEL_PANEL,
        ),
    ] = None
    transpose_linear: Annotated[
        bool,
        typer.Option(
            "--transpose-linear",
            help="Linear weights are stored as (inputs, outputs).",
            rich_help_panel=MODEL_PANEL,
        ),
    ] = False
    input_layer: Annotated[
        str | None,
        typer.Option(
            help="What the input layer of a .net file is fed: values, spikes.",
            show_default="values",
            rich_help_panel=MODEL_PANEL,
        ),
    ] = None
    spike_exponent: Annotated[
        int | None,
        typer.Option(
            help="Exponent of the messages of sigma-delta neurons in a .net file: spike_exp of "
            "netx.",
            show_default="6",
            rich_help_panel=MODEL_PANEL,
        ),
    ] = None
    constructor: Annotated[
        str | None,
        typer.Option(
            help="What a file of PyTorch weights belongs to: package.module:function, which "
            "returns (model, example input).",
            rich_help_panel=MODEL_PANEL,
        ),
    ] = None
    time_axis: Annotated[
        str | None,
        typer.Option(
            help="Time axis of a PyTorch model's input: auto, none, 0, 1.",
            show_default="auto",
            rich_help_panel=MODEL_PANEL,
        ),
    ] = None

    def options(self) -> CompileOptions:
        """As the commands take it that only read a model."""
        from snnc.compiler.options import CompileOptions

        return CompileOptions(**given(self))


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
    from snnc.inputs import InputOptions

    return InputOptions(encode=encode, bin_us=bin_us, labels=labels, seed=seed)


def noc_model(name: str) -> Fidelity:
    """The network-on-chip model of this name; the simulator refuses an unknown one."""
    return cast("Fidelity", name)
