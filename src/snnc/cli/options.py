"""The options that several commands share, spelled once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional, cast

import typer

from snnc.compiler.options import CompileOptions
from snnc.inputs import InputOptions
from snnc.ir.errors import ModelFileError

if TYPE_CHECKING:
    from snnc.inputs.encode import Encoding

Model = Annotated[
    Path, typer.Argument(metavar="MODEL", help="Trained network, a .nir or .net file.")
]
Artifact = Annotated[Path, typer.Argument(metavar="ARTIFACT", help="Compiled network, .snnc.")]
Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else.")
]
Debug = Annotated[
    bool, typer.Option("--debug", help="On an internal error, write its details to a log file.")
]
Dialect = Annotated[
    Optional[str],  # noqa: UP045 - typer reads the annotation at run time
    typer.Option(
        help="Framework whose conventions the file follows: auto, snntorch, spikingjelly, norse, "
        "sinabs, rockpool, lava, nir.",
        show_default="auto",
    ),
]
Dt = Annotated[
    Optional[float],  # noqa: UP045
    typer.Option(help="Time step in seconds.", show_default="by dialect"),
]
Reset = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(help="Reset rule: zero, subtract.", show_default="by dialect"),
]
Threshold = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        help='Comparator of the firing threshold: ">" or ">=".', show_default="by dialect"
    ),
]
LoopDelay = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        help="Recurrent loops delay before or after their weights.", show_default="by dialect"
    ),
]
InputLayer = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        help="What the input layer of a .net file is fed: values, spikes.", show_default="values"
    ),
]
Encode = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        help="Coding of static values into time: direct, poisson, latency.",
        show_default="as compiled",
    ),
]
BinUs = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option(
        "--bin-us", help="Time bin of event recordings, microseconds.", show_default="1000"
    ),
]
Labels = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(help="Label file of recordings: id<TAB>class.", show_default="found beside"),
]
Data = Annotated[
    Path,
    typer.Option("--input", help=".npz, recording (.bin, .bs2), or folder or zip of recordings."),
]


def model_options(
    dialect: str | None,
    dt: float | None,
    reset: str | None,
    threshold: str | None,
    loop_delay: str | None,
    input_layer: str | None,
) -> CompileOptions:
    """Options of commands that only read a model."""
    return CompileOptions(
        dialect=dialect or "auto", dt=dt, reset=reset, threshold=threshold, loop_delay=loop_delay,
        input_layer=input_layer or "values",
    )  # fmt: skip


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
    return InputOptions(
        encode=cast("Encoding | None", encode), bin_us=bin_us, labels=labels, seed=seed
    )
